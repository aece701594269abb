"""What a smaller count leaves: it drains while others change the deployment."""

import threading

import pytest
from tests.conformance.labs import MemoryLab, wait_until
from tests.conformance.labs.lab import ANN

from inference_provider.drift import drift
from inference_provider.errors import Busy, InferenceError, RouterRejected
from inference_provider.workspace.state import deployment_lock


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "lab").mkdir()
    lab = MemoryLab(MemoryLab.open(tmp_path), tmp_path / "lab", "lab")
    lab.up()
    lab.apply(lab.rule(min_instances=1, max_instances=3))
    return lab


class Draining:
    """A change of the count whose leaving instances have a request in flight."""

    def __init__(self, lab: MemoryLab, count: int) -> None:
        self.lab = lab
        self._made = threading.Event()
        scaling = lab.target.scaling("lab", ANN)
        given = (lab.blue().id, count, self._made.set)
        self._thread = threading.Thread(target=scaling.scale, args=given, daemon=True)
        self._flight = lab.in_flight()

    def __enter__(self):
        self.flight = self._flight.__enter__()
        self._thread.start()
        assert self._made.wait(60)
        return self

    def __exit__(self, *_fault) -> None:
        self._flight.__exit__(None, None, None)
        self._thread.join(60)

    @property
    def goes_on(self) -> bool:
        return self._thread.is_alive()


def admitted(lab) -> int:
    return len(lab.target.record(lab.blue().id).admitted)


def there(lab) -> int:
    return len(lab.ports.compute.instances()["iris/blue"])


def differs(lab) -> list[str]:
    blue = lab.blue().model_copy(update={"owned": frozenset({"instance_count"})})
    rule = lab.rule(min_instances=1, max_instances=3)
    wanted = [*lab.desired[:-2], blue, rule, lab.desired[-1]]
    report = drift(wanted, lab.target.observe(["lab"]), "demo").resources
    return [str(found.id.kind) for found in report if found.verdict != "clean"]


def test_neither_an_apply_nor_more_load_waits_for_what_drains(lab):
    lab.scale(3)
    with Draining(lab, 1) as change:
        assert (admitted(lab), there(lab), differs(lab)) == (1, 3, [])
        lab.apply(lab.blue())
        assert (admitted(lab), there(lab), change.goes_on) == (1, 3, True)
        lab.scale(2)
        assert (admitted(lab), there(lab), change.goes_on) == (2, 3, True)
        change.flight.land()
        assert change.flight.status == 200
    assert (admitted(lab), there(lab), differs(lab)) == (2, 2, [])


def test_a_second_smaller_count_ends_with_the_first(lab):
    lab.scale(3)
    with Draining(lab, 2) as change:
        lab.scale(1)
        assert (admitted(lab), there(lab), change.goes_on) == (1, 3, True)
    assert there(lab) == 1


def test_a_new_generation_ends_its_own_and_leaves_what_drains_to_who_drains_it(lab):
    lab.scale(3)
    with Draining(lab, 1) as change:
        lab.router.router.busy.clear()  # not those that serve
        old = set(lab.instances())
        lab.apply(lab.blue(environment_variables={"A": "1"}))
        assert len(set(lab.instances()) - old) == 1
        assert change is not None
    wait_until(lambda: there(lab) == 1)
    assert differs(lab) == ["Deployment"]  # which is declared without the variable


def test_what_somebody_changes_now_is_not_taken_for_left(lab):
    with lab.ports.records.lock(deployment_lock("iris/blue")), pytest.raises(Busy):
        lab.target.scaling("lab", ANN).end_left(lab.blue().id)


def test_a_deployment_without_an_instance_can_be_deleted_though_none_starts(lab):
    rule = lab.rule(min_instances=0, max_instances=3)
    lab.apply(rule)
    lab.scale(0)
    lab.ports.compute.fails = lambda _unit: "told to fail"
    lab.delete(rule.id)
    assert lab.target.record(rule.id) is None
    report = drift(lab.desired, lab.target.observe(["lab"]), "demo").resources
    assert "Deployment" in [str(one.id.kind) for one in report if one.verdict != "clean"]
    lab.apply(lab.traffic())
    lab.delete(lab.blue().id)
    assert lab.ports.compute.instances() == {}


def patience(lab) -> list[int]:
    """Return how long requests wait for blue, as the router has it."""
    found = [one for entry in lab.router.router.endpoints for one in entry.deployments]
    return [one.patience_s for one in found if one.name == "blue"]


def test_a_rule_whose_making_or_deletion_fails_leaves_the_router_as_it_was(lab):
    rule = lab.rule(min_instances=0, max_instances=3)
    lab.apply(lab.blue(instance_count=2), rule)
    [before] = patience(lab)
    assert before > 0
    lab.scale(1)
    lab.ports.compute.fails = lambda _unit: "told to fail"
    with pytest.raises(InferenceError, match="told to fail"):
        lab.apply(lab.rule(min_instances=3, max_instances=3))
    assert patience(lab) == [before]
    with pytest.raises(InferenceError, match="told to fail"):
        lab.delete(rule.id)
    assert patience(lab) == [before]
    lab.router.router.refuses = refuse_patience  # what puts it back changes the records even so
    with pytest.raises(InferenceError, match="told to fail"):
        lab.delete(rule.id)
    assert lab.target.record(rule.id) is not None


def refuse_patience(endpoints) -> None:
    if any(one.patience_s for entry in endpoints for one in entry.deployments):
        raise RouterRejected("told to refuse")
