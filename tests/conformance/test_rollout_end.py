"""An `up` that waits for the end of a rollout: when it returns, when it fails, and what it says."""

import re

import pytest

from inference_provider.canary import Move
from inference_provider.errors import NotReady, RolloutFailed, SeveralFailed, TargetUnreachable
from inference_provider.observed import Actor, Kind
from inference_provider.rollout_end import await_rollouts
from inference_provider.spec import TrafficSpec
from inference_provider.workspace.system_clock import SystemClock
from tests.conformance.labs.lab import ANN

SERVICE = Actor(user="service", command="canary")
pytestmark = pytest.mark.parametrize("opened", ["memory", "toy"], indirect=True, scope="module")


class Clock(SystemClock):
    """Lets something happen at each look, and half an hour pass."""

    def __init__(self, *happenings) -> None:
        self._happenings = [*happenings]
        self._minutes = 0

    def monotonic_s(self) -> float:
        return 60.0 * self._minutes

    def sleep(self, _seconds: float) -> None:
        self._minutes += 30
        if self._happenings:
            self._happenings.pop(0)()


@pytest.fixture
def lab(lab):
    """A lab with two deployments, of which blue answers all requests."""
    if not lab.target.capabilities.rollouts:
        pytest.skip("nothing goes on with a rollout on this target yet")
    lab.up()
    lab.apply(lab.deployment("green"))
    return lab


def awaited(lab, minutes: float = 60, **shares: int):
    """Return a split whose plan says to wait."""
    wanted = lab.rollout(**shares)
    plan = {**wanted.spec.rollout.model_dump(), "wait_minutes": minutes}
    spec = TrafficSpec.model_validate({**wanted.spec.model_dump(), "rollout": plan})
    return wanted.model_copy(update={"spec": spec})


def move(lab, what: Move, why: str = ""):
    def happens() -> None:
        [seen] = lab.target.shifts(lab.workspace)
        lab.target.move(seen, what, why, SERVICE)

    return happens


def wait(lab, wanted, *happenings) -> list[str]:
    """Apply a split and wait for it; return what is told meanwhile."""
    told = []
    lab.apply(wanted)
    await_rollouts([wanted], lab.target, lambda _id, said: told.append(said), Clock(*happenings))
    return told


def test_it_returns_when_the_declared_split_is_in_force_and_tells_each_step_once(lab):
    wanted = awaited(lab, 120, green=100)
    told = wait(lab, wanted, lambda: None, move(lab, Move.STEP), move(lab, Move.FINISH))
    assert told == ["rollout step 1 of 3 (10 %)", "rollout step 2 of 3 (50 %)"]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (Move.BACK, "the rollout went back: 40 % failed; applying the same again leaves it"),
        (Move.HOLD, "the rollout is held at step 1 of 3 (10 %): 40 % failed; applying the same"),
    ],
)
def test_it_fails_when_an_alarm_fires_and_says_why(lab, what, told):
    with pytest.raises(RolloutFailed, match=re.escape(told)):
        wait(lab, awaited(lab, green=100), move(lab, what, "40 % failed"))


def test_the_same_split_again_fails_at_once_as_long_as_it_is_not_in_force(lab):
    with pytest.raises(RolloutFailed):
        wait(lab, awaited(lab, green=100), move(lab, Move.BACK, "40 % failed"))
    with pytest.raises(RolloutFailed, match="the rollout went back: 40 % failed"):
        wait(lab, awaited(lab, green=100))


def test_it_fails_when_somebody_sets_another_split_or_deletes_it(lab):
    other = lab.traffic(blue=50, green=50)
    with pytest.raises(
        RolloutFailed, match="somebody has set another split meanwhile; `inferctl journal`"
    ):
        wait(lab, awaited(lab, green=100), lambda: lab.apply(other))
    gone = lab.id(Kind.TRAFFIC, "iris")
    with pytest.raises(RolloutFailed, match="the split was deleted meanwhile"):
        wait(lab, awaited(lab, green=100), lambda: lab.target.delete(gone, "demo", ANN))


def test_it_waits_no_longer_than_the_plan_says_and_the_rollout_goes_on(lab):
    step = "not in force after 60 min: rollout step 1 of 3 (10 %)"
    told = f"{step}; it goes on; `inferctl status` tells how far"
    with pytest.raises(NotReady, match=re.escape(told)):
        wait(lab, awaited(lab, green=100))
    assert len(lab.target.shifts(lab.workspace)) == 1


def test_it_promises_nothing_while_what_moves_the_split_does_not_run(lab):
    told, lost = [], "the service does not run"

    def end() -> None:
        lab.router.lost = lost

    wanted = awaited(lab, 90, green=100)
    lab.apply(wanted)
    step = "rollout step 1 of 3 (10 %)"
    both = re.escape(f"after 90 min: {step}; the workspace: {lost}; see `inferctl status`")
    with pytest.raises(NotReady, match=both):
        await_rollouts([wanted], lab.target, lambda _id, said: told.append(said), Clock(end))
    lab.router.lost = ""
    assert told == [step, f"{step}; the workspace: {lost}"]


def pair(lab):
    """Return splits of two endpoints that are on their way."""
    lab.apply(lab.endpoint("rose"), lab.deployment("blue", "rose"), lab.deployment("red", "rose"))
    lab.apply(lab.traffic("rose", blue=100))
    iris = awaited(lab, green=100)
    rose = iris.spec.model_copy(update={"endpoint": "rose", "traffic": {"red": 100}})
    both = [iris, iris.model_copy(update={"id": lab.id(Kind.TRAFFIC, "rose"), "spec": rose})]
    lab.apply(*both)
    return both


def test_what_fails_first_is_told_while_another_is_waited_for_and_both_are_named(lab):
    both, told, lost = pair(lab), [], []

    def tell(resource, said: str) -> None:
        told.append((resource.name, said))

    def lose() -> None:
        assert told[-1] == ("rose", "the split was deleted meanwhile")
        lost.append("iris")

    class Target:
        def observe_one(self, resource):
            if resource.name in lost:
                raise TargetUnreachable("ask", "the router", "it does not answer")
            return lab.target.observe_one(resource)

    clock = Clock(lambda: lab.target.delete(lab.id(Kind.TRAFFIC, "rose"), "demo", ANN), lose)
    with pytest.raises(SeveralFailed) as failed:
        await_rollouts(both, Target(), tell, clock)
    first, second = map(str, failed.value.failures)
    assert "/rose': the split was deleted meanwhile" in first
    assert second == "ask the router: it does not answer"


def test_all_that_fail_are_named(lab):
    both = pair(lab)
    with pytest.raises(SeveralFailed, match=r"'[^']*/iris'.*\n.*'[^']*/rose': not in force"):
        await_rollouts(both, lab.target, lambda *_told: None, Clock())


def test_to_wait_or_not_does_not_begin_it_again(lab):
    lab.apply(lab.rollout(green=100))
    move(lab, Move.STEP)()
    lab.apply(awaited(lab, green=100))
    [seen] = lab.target.shifts(lab.workspace)
    assert seen.shift.share == 50


def test_a_split_that_is_in_force_at_once_and_one_that_nobody_waits_for_are_passed_over(lab):
    assert wait(lab, awaited(lab, blue=100)) == []
    assert wait(lab, lab.rollout(green=100)) == []
    assert len(lab.target.shifts(lab.workspace)) == 1
