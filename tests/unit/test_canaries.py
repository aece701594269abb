"""The rounds of what watches splits, on a target in memory: what it measures, moves and forgets."""

import pytest
from tests.conformance.labs import MemoryLab

from inference_provider.canary import Counts
from inference_provider.errors import RouterRejected
from inference_provider.observed import Actor, Kind
from inference_provider.service.canaries import Canaries
from inference_provider.service.looking import look

SERVICE = Actor(user="service", command="rollout")


class Case:
    """Green on its way to all requests, and what watches it with counts that a test tells."""

    def __init__(self, folder) -> None:
        self.lab = MemoryLab(MemoryLab.open(folder), folder, "lab")
        self.lab.up()
        self.lab.apply(self.lab.deployment("green"), self.lab.rollout(green=100))
        self.at_s, self.requests, self.failed = 0.0, 0, 0
        self.measurable = True
        self.asked: list[list[str]] = []
        self.told: list[tuple[str, ...]] = []
        self.canaries = self.another()

    def another(self) -> Canaries:
        """Return what watches in a new process, which remembers nothing."""
        measure, clock_s = self._counts, lambda: self.at_s
        return Canaries(
            self.lab.target,
            "lab",
            measure,
            actor=SERVICE,
            clock_s=clock_s,
            unreadable=lambda: self.lab.target.unreadable_rollouts("lab"),
            tell=lambda *event: self.told.append(event),
        )

    def _counts(self, names):
        self.asked.append(names)
        counted = Counts(requests=self.requests, failed=self.failed)
        return dict.fromkeys(names, counted) if self.measurable else None

    def looks(self, times: int, *, every_s: float = 60, requests=100, failed=0) -> None:
        for _ in range(times):
            self.at_s += every_s
            self.requests += requests
            self.failed += failed
            self.canaries.look()

    @property
    def split(self) -> dict[str, int]:
        return self.lab.router.status().weights["iris"]

    @property
    def actions(self) -> list[str]:
        found = self.lab.ports.records.journal()
        return [one.action for one in found if one.actor == SERVICE]


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_a_good_version_gets_its_steps_when_they_are_baked(case):
    case.looks(10)
    assert case.split == {"blue": 90, "green": 10}
    case.looks(1)
    assert case.split == {"blue": 50, "green": 50}
    case.looks(30)
    assert case.split == {"green": 100}
    assert case.actions == ["step on", "finish the rollout of"]
    case.looks(1)
    assert case.asked[-1] == ["iris/green"]
    assert len(case.asked) == 41  # nothing is measured once it has ended


def test_a_rollout_that_cannot_be_read_is_told_once_with_what_to_do(case):
    kept = case.lab.ports.records.read("shifts", "iris").decode()

    def keep(text: str) -> None:
        with case.lab.ports.records.edit():
            case.lab.ports.records.put("shifts", "iris", text)

    case.looks(2)
    keep("{")
    case.looks(3)
    [(endpoint, name, message)] = case.told
    assert (endpoint, name) == ("iris", "RolloutUnreadable")
    assert "file is corrupt; restore it, or split the traffic of its endpoint by hand" in message
    keep(kept)
    case.looks(1)
    keep("{")
    case.looks(1)
    assert len(case.told) == 2


def test_a_bad_version_goes_back_at_the_first_look_that_sees_it(case):
    case.looks(3)
    case.looks(1, failed=50)
    assert case.split == {"blue": 100}
    [entry] = [one for one in case.lab.ports.records.journal() if one.actor == SERVICE]
    assert (entry.action, entry.why) == (
        "roll back",
        "'iris/green': ErrorRate 50 % above 5 %, of 100 requests in 60 s",
    )
    case.looks(50, failed=50)
    assert case.actions == ["roll back"]


def test_one_that_watches_anew_lets_the_step_bake_again_from_then(case):
    case.looks(9)
    case.canaries = case.another()
    case.looks(10)
    assert case.split == {"blue": 90, "green": 10}
    case.looks(1)
    assert case.split == {"blue": 50, "green": 50}


def test_what_was_recorded_and_not_published_is_published_by_who_looks_next(case):
    case.lab.router.router.endpoints = ()  # somebody was killed in between
    case.looks(1)
    assert case.split == {"blue": 90, "green": 10}


def begin_rose(lab) -> None:
    """Begin the same at another endpoint."""
    lab.apply(lab.endpoint("rose"), lab.deployment("blue", "rose"), lab.deployment("green", "rose"))
    rose = lab.rollout(green=100)
    spec = rose.spec.model_copy(update={"endpoint": "rose"})
    id_ = lab.id(Kind.TRAFFIC, "rose")
    lab.apply(lab.traffic("rose", blue=100), rose.model_copy(update={"id": id_, "spec": spec}))


def test_a_move_that_the_router_refuses_is_tried_again_and_holds_up_no_other(case):
    lab = case.lab
    begin_rose(lab)
    case.looks(10)

    def refuse_iris(endpoints) -> None:
        if any(one.name == "iris" and one.weights.get("green") == 50 for one in endpoints):
            raise RouterRejected("told to refuse")

    lab.router.router.refuses = refuse_iris
    with pytest.raises(RouterRejected):
        case.looks(1)
    weights = lab.router.status().weights
    assert (weights["iris"]["green"], weights["rose"]["green"]) == (10, 50)
    lab.router.router.refuses = lambda _endpoints: None
    case.looks(1)
    assert case.split == {"blue": 50, "green": 50}
    assert case.actions == ["step on", "step on"]


def test_a_fault_that_nobody_foresaw_is_told_and_holds_up_no_other(case, capfd):
    begin_rose(case.lab)
    case.looks(10)

    def fail_iris(endpoints) -> None:
        if any(one.name == "iris" and one.weights.get("green") == 50 for one in endpoints):
            raise KeyError("iris")

    case.lab.router.router.refuses = fail_iris
    case.at_s, case.requests = case.at_s + 60, case.requests + 100
    said = look(case.canaries, "")
    assert look(case.canaries, said) == said == "KeyError: 'iris'"
    assert capfd.readouterr().err.count("Traceback (most recent call last):") == 1
    weights = case.lab.router.status().weights
    assert (weights["iris"]["green"], weights["rose"]["green"]) == (10, 50)


def test_a_silent_router_moves_nothing_until_it_was_silent_for_too_long(case):
    case.looks(2)
    case.measurable = False
    case.looks(10, every_s=59)
    assert case.split == {"blue": 90, "green": 10}
    case.looks(1, every_s=59)
    assert case.split == {"blue": 100}
    assert case.lab.ports.records.journal()[-1].why == "it was not measured for 10 min"


def test_an_up_in_the_middle_is_followed_from_its_first_step(case):
    case.looks(9)
    case.lab.apply(case.lab.deployment("red"), case.lab.rollout(red=100))
    assert case.split == {"blue": 81, "green": 9, "red": 10}
    case.looks(10)
    assert case.split == {"blue": 81, "green": 9, "red": 10}
    assert case.asked[-1] == ["iris/red"]


def test_a_plan_of_a_newer_release_is_held_and_says_so(case):
    lab = case.lab
    record = lab.target.record(lab.id(Kind.TRAFFIC, "iris"))
    newer = {**record.properties, "rollout": {**record.properties["rollout"], "pace": "slow"}}
    with lab.ports.records.edit():
        lab.state.put_record(record.model_copy(update={"properties": newer}))
    case.looks(3)
    assert case.actions == ["hold the rollout of"]
    assert case.split == {"blue": 90, "green": 10}
    status = lab.target.observe_one(lab.id(Kind.TRAFFIC, "iris")).status
    assert "held at step 1 of 3 (10 %): its plan is of a newer release" in status
    with lab.ports.records.edit():
        lab.state.put_record(record)  # as that release reads it
    lab.apply(lab.rollout(green=100))
    assert len(lab.target.shifts("lab")) == 1


def test_another_version_bakes_anew_from_the_first_step(case):
    case.looks(12)
    assert case.split == {"blue": 50, "green": 50}
    case.looks(28)
    case.lab.apply(case.lab.deployment("green", environment_variables={"VERSION": "2"}))
    case.looks(5)
    assert case.split == {"blue": 90, "green": 10}
    assert case.actions == ["step on", "begin again the rollout of"]
    case.looks(7)
    assert case.split == {"blue": 50, "green": 50}
