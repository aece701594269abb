"""Without surge the old instances end before new ones start, and come back if those do not."""

import pytest

from inference_provider.errors import NotReady
from tests.conformance.labs import ANN, wait_until
from tests.conformance.test_drain import Change


@pytest.fixture
def served(lab):
    lab.apply(*lab.desired[:-2], lab.deployment(surge=0), lab.desired[-1])
    return lab


def changed(lab, **fields):
    return lab.deployment(surge=0, environment_variables={"ANSWER": "2"}, **fields)


def test_the_old_instances_are_gone_before_new_ones_start(served):
    old, seen = served.instances(), []

    def progress(_id, told):
        seen.append((told, served.instances().keys() & old.keys()))

    wanted = changed(served)
    served.target.apply(wanted, ANN, progress)
    told = [words for words, _ in seen if "built" not in words and "pod" not in words]
    assert told == [
        "1 old instance drained and stopped, to make room",
        "1 of 1 new instances ready",
        "1 instance admitted by the router",
    ]
    assert [left for _, left in seen] == [set()] * len(seen)
    assert [*served.instances().values()] == [wanted.generation]
    assert served.ask() == 200


def test_what_gives_way_finishes_its_last_request(served):
    with served.in_flight() as flight:
        old = served.instances()
        change = Change(lambda: served.apply(changed(served)))
        wait_until(lambda: not served.admitted())
        assert served.instances() == old
        flight.land()
        change.end()
    assert flight.status == 200
    assert served.ask() == 200


def test_new_instances_that_do_not_start_give_way_to_the_old_ones(served):
    blue, old = served.deployment(surge=0), served.instances()
    record = served.target.record(blue.id)
    journal = served.journal()
    with pytest.raises(NotReady, match=r"start Deployment 'lab\w+/iris/blue'"):
        served.apply(served.deployment(surge=0, environment_variables={"FAIL": "1"}))
    assert served.ask() == 200
    assert [*served.instances().values()] == [*old.values()]
    admitted = served.target.record(blue.id).admitted
    assert served.target.record(blue.id) == record.model_copy(update={"admitted": admitted})
    assert served.target.observe_one(blue.id).degraded == ""
    assert served.journal() == journal

    served.apply(changed(served))
    assert served.ask() == 200


def test_what_a_killed_change_left_of_a_deployment_without_surge_is_served_again(served):
    def interrupt(_id, told):
        if "to make room" in told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        served.target.apply(changed(served), ANN, interrupt)
    blue = served.deployment(surge=0)
    assert served.target.observe_one(blue.id).properties["instance_count"] == 0
    served.apply(blue)
    assert served.target.observe_one(blue.id).degraded == ""
    assert served.ask() == 200


def test_what_a_killed_change_left_comes_back_when_the_next_one_fails_too(served):
    def interrupt(_id, told):
        if "to make room" in told:
            raise KeyboardInterrupt

    told = []
    with pytest.raises(KeyboardInterrupt):
        served.target.apply(changed(served), ANN, interrupt)
    with pytest.raises(NotReady):
        wanted = served.deployment(surge=0, environment_variables={"FAIL": "1"})
        served.target.apply(wanted, ANN, lambda _id, words: told.append(words))
    assert "starting the old instances again" in told
    assert "0 old instances drained and stopped, to make room" not in told
    assert served.ask() == 200


def test_surge_alone_changes_nothing_that_runs_and_a_new_count_starts_beside(served):
    before = served.instances()
    served.apply(served.deployment())
    assert served.instances() == before
    served.apply(served.deployment(surge=0, instance_count=2))
    assert before.items() < served.instances().items()


def test_a_person_learns_that_none_of_the_same_generation_is_left(served, monkeypatch):
    if served.ports.compute.replaces_instances:
        pytest.skip("a cluster replaces its pods by itself")

    def ensure(_unit, _count, _progress, make_room):
        make_room(())
        raise NotReady("start", "it", "its image is broken")

    monkeypatch.setattr(served.ports.compute, "ensure", ensure)
    told = []
    with pytest.raises(NotReady):
        served.target.apply(served.deployment(surge=0), ANN, lambda _id, words: told.append(words))
    assert told[-2:] == [
        "1 old instance drained and stopped, to make room",
        "no instance serves: fix the cause and run this again",
    ]


def test_an_instance_that_cannot_be_used_again_is_gone_before_the_next_starts(served):
    if served.ports.compute.replaces_instances:
        pytest.skip("a cluster replaces its pods by itself")
    pair = served.deployment(surge=0, instance_count=2)
    served.apply(pair)
    ending, kept = served.instances()
    served.end(ending)
    left, told = ending in served.instances(), []
    served.target.apply(pair, ANN, lambda _id, words: told.append(words))
    made_room = "1 old instance drained and stopped, to make room"
    assert [words for words in told if words.startswith("1 ")] == [
        *([made_room] if left else []),
        "1 of 1 new instances ready",
    ]
    assert kept in served.instances()
    assert served.target.observe_one(pair.id).degraded == ""
    assert served.ask() == 200
