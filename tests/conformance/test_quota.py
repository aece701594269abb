"""What is being started counts in a workspace's quota, and nothing that nobody starts."""

import threading
from datetime import UTC, datetime

import pytest

from inference_provider.errors import OutOfCapacity
from inference_provider.spec.quota import Size
from inference_provider.workspace.reservation import Reservation
from tests.conformance.labs import ANN, BOB, together


@pytest.fixture
def narrow(lab):
    """A lab for 3 instances, without a deployment."""
    lab.apply(lab.space(quota={"max_instances": 3}), *lab.desired[1:4])
    return lab


def test_of_two_creations_at_once_the_quota_lets_one_in(narrow):
    pair = [narrow.deployment(name, instance_count=2) for name in ("blue", "green")]
    raised = together(*(lambda d=d: narrow.target.apply(d, ANN) for d in pair))
    assert sorted(type(fault).__name__ for fault in raised) == ["NoneType", "OutOfCapacity"]
    made = {len(narrow.instances(f"iris/{name}")) for name in ("blue", "green")}
    assert made == {0, 2}
    assert narrow.documents()["reservations"] == {}


def test_a_refusal_names_what_is_being_started_and_by_whom(narrow):
    ready, refused = threading.Event(), threading.Event()

    def progress(_id, told):
        if told == "1 of 2 new instances ready":
            ready.set()
            assert refused.wait(20)

    blue = narrow.deployment("blue", instance_count=2)
    thread = threading.Thread(target=lambda: narrow.target.apply(blue, BOB, progress))
    thread.start()
    assert ready.wait(20)
    try:
        with pytest.raises(OutOfCapacity) as caught:
            narrow.apply(narrow.deployment("green", instance_count=2))
        with pytest.raises(OutOfCapacity):
            narrow.apply(narrow.deployment("green", instance_count=2), target=narrow.another())
    finally:
        refused.set()
        thread.join()
    assert str(caught.value) == (
        f"start Deployment '{narrow.workspace}/iris/green': would bring the workspace to"
        " 4 instances; its quota is 3 (iris/blue is being started by bob in build/7 (pytest));"
        " raise quota.max_instances, or scale another deployment in"
    )
    assert len(narrow.instances("iris/blue")) == 2
    assert narrow.instances("iris/green") == {}
    narrow.apply(narrow.deployment("green", instance_count=1))


def test_a_reservation_of_somebody_who_was_killed_does_not_count_and_goes(narrow):
    left = Reservation(size=Size(3, 0), actor=BOB, time=datetime.now(UTC))
    narrow.state.put_reservation("iris/ghost", left)
    narrow.apply(narrow.deployment("blue", instance_count=3))
    assert len(narrow.instances("iris/blue")) == 3
    assert narrow.documents()["reservations"] == {}


def test_a_start_that_failed_keeps_nothing_reserved(narrow):
    with pytest.raises(Exception, match=r"start Deployment"):
        narrow.apply(
            narrow.deployment("blue", instance_count=2, environment_variables={"FAIL": "1"})
        )
    assert narrow.documents()["reservations"] == {}
    narrow.apply(narrow.deployment("green", instance_count=3))


def test_what_a_deployment_has_already_is_not_counted_twice_when_it_scales_or_rolls(narrow):
    narrow.apply(narrow.deployment("blue", instance_count=2))
    narrow.apply(narrow.deployment("blue", instance_count=3))
    rolled = narrow.deployment("blue", instance_count=3, environment_variables={"A": "2"})
    narrow.apply(rolled)
    assert [*narrow.instances("iris/blue").values()] == [rolled.generation] * 3
    with pytest.raises(OutOfCapacity, match=r"to 4 instances; its quota is 3; raise quota"):
        narrow.apply(narrow.deployment("blue", instance_count=4))


def test_what_is_scaled_in_or_deleted_is_free_again(narrow):
    narrow.apply(narrow.deployment("blue", instance_count=3))
    narrow.apply(narrow.deployment("blue", instance_count=1))
    narrow.apply(narrow.deployment("green", instance_count=2))
    narrow.delete(narrow.deployment("green").id)
    narrow.apply(narrow.deployment("blue", instance_count=3))


def test_gpus_count_in_the_quota(lab, gpus):
    lab.apply(lab.space(quota={"max_gpus": 3}), *lab.desired[1:4])
    two = {"resources": {"limits": {"nvidia.com/gpu": 2}}}
    pair = [lab.deployment(name, **two) for name in ("blue", "green")]
    raised = together(*(lambda d=d: lab.target.apply(d, ANN) for d in pair))
    assert sorted(type(fault).__name__ for fault in raised) == ["NoneType", "OutOfCapacity"]
    [refused] = [str(fault) for fault in raised if fault]
    assert "would bring the workspace to 4 gpus; its quota is 3" in refused


def test_no_more_gpus_are_handed_out_than_there_are(lab, gpus):
    assert gpus == 4
    lab.apply(*lab.desired[:4])
    three = {"resources": {"limits": {"nvidia.com/gpu": 3}}}
    pair = [lab.deployment(name, **three) for name in ("blue", "green")]
    raised = together(*(lambda d=d: lab.target.apply(d, ANN) for d in pair))
    assert sorted(type(fault).__name__ for fault in raised) == ["NoneType", "OutOfCapacity"]


def test_the_edit_that_admits_instances_drops_their_reservation(lab):
    *before, deployment, _traffic = lab.desired
    lab.apply(*before)
    found = []
    lab.router.before = lambda _endpoints: found.append(lab.state.reservations())
    lab.apply(deployment)
    assert found == [{}]
