"""Whether a split goes on, ends or goes back, over recorded curves of requests."""

import pytest

from inference_provider.canary import Counts, Decision, Known, Move, decide, gaining, weights_at
from inference_provider.spec.rollout_plan import RolloutPlan

STEPS = [{"share": 10, "bake_minutes": 1}, {"share": 50, "bake_minutes": 2}]
ERRORS = {"metric": "ErrorRate", "above": 5, "window_s": 30}
SLOWNESS = {"metric": "RequestLatency", "percentile": 90, "above": 500, "window_s": 30}


def plan(**fields) -> RolloutPlan:
    return RolloutPlan.model_validate({"steps": STEPS, "alarms": [ERRORS, SLOWNESS], **fields})


class Rollout:
    """One on its way, whose counts a test tells second by second."""

    def __init__(self, **fields) -> None:
        self.plan, self.step, self.at_s = plan(**fields), 0, 100.0
        self.known = Known()
        self.counts = {"iris/green": Counts()}
        self.ended: Decision | None = None
        self.moved: list[tuple[float, str]] = []
        """After how many seconds it moved, and how."""

    def goes_on(
        self, seconds: int, *, requests=10, failed=0, slow=0, measured=True, name="iris/green"
    ) -> "Rollout":
        for _ in range(seconds):
            if self.ended:
                return self
            before = self.counts.get(name, Counts())
            timed = before.timed + requests
            quick = dict(before.within).get(500.0, 0) + requests - slow
            self.counts[name] = Counts(
                requests=before.requests + requests,
                failed=before.failed + failed,
                timed=timed,
                within=((500.0, quick), (1000.0, timed)),
            )
            self.look(measured=measured)
        return self

    def look(self, *, measured: bool = True) -> None:
        self.at_s += 1
        counts = dict(self.counts) if measured else None
        decision = decide(self.plan, self.step, self.at_s, counts, self.known)
        self.known = decision.known
        if decision.move == Move.STEP:
            self.step, self.known = self.step + 1, decision.known.at_next_step()
        if decision.move != Move.STAY:
            self.moved.append((self.at_s - 100, decision.move.value))
        if decision.move not in (Move.STAY, Move.STEP):
            self.ended = decision

    @property
    def why(self) -> str:
        assert self.ended
        return self.ended.why


def test_a_good_version_bakes_at_each_step_and_goes_through():
    rollout = Rollout().goes_on(300)
    assert rollout.moved == [(61, "step on"), (181, "finish the rollout of")]
    assert rollout.why == "no alarm for 2 min; 300 requests in the last 30 s"


def test_a_version_that_fails_goes_back_as_soon_as_there_are_enough_requests():
    rollout = Rollout().goes_on(30, requests=3, failed=1)
    assert rollout.moved == [(5, "roll back")]
    assert rollout.why == "'iris/green': ErrorRate 33.3 % above 5 %, of 12 requests in 4 s"


def test_errors_that_begin_late_are_not_hidden_by_the_good_time_before():
    rollout = Rollout().goes_on(100).goes_on(30, failed=10)
    assert rollout.moved == [(61, "step on"), (102, "roll back")]


def test_a_version_that_becomes_slow_goes_back():
    rollout = Rollout().goes_on(50).goes_on(30, slow=9)
    assert rollout.moved == [(54, "roll back")]
    assert rollout.why == (
        "'iris/green': RequestLatency, percentile 90, above 500 ms:"
        " 36 of 300 requests took longer in 30 s"
    )


def test_what_the_router_refuses_quickly_does_not_make_a_slow_version_look_quick():
    counts = Counts(requests=20, timed=1000, within=((500.0, 985), (1000.0, 1000)), refused=980)
    known = Known()
    for at_s in (1, 7):
        known = decide(plan(), 0, at_s, {"iris/green": Counts()}, known).known
    decided = decide(plan(), 0, 8, {"iris/green": counts}, known)
    assert decided.move == Move.BACK
    assert "15 of 20 requests took longer" in decided.why


class Late(Rollout):
    """One whose router adds durations up every 5 s, and requests at once."""

    def __init__(self, **fields) -> None:
        super().__init__(**fields)
        self.real = self.counts

    def look(self, *, measured: bool = True) -> None:
        real = dict(self.counts)
        if int(self.at_s) % 5 == 0:
            self.real = real
        self.counts = {
            name: one.model_copy(
                update={
                    "timed": self.real.get(name, Counts()).timed,
                    "within": self.real.get(name, Counts()).within,
                }
            )
            for name, one in real.items()
        }
        super().look(measured=measured)
        self.counts = real


@pytest.mark.parametrize("offset", range(5))
def test_a_good_version_whose_requests_become_few_is_not_slow(offset):
    """Its durations are those of the many requests before, of which as few were slow."""
    rollout = Late(alarms=[{**SLOWNESS, "window_s": 10}]).goes_on(
        20 + offset, requests=1000, slow=50
    )
    assert rollout.goes_on(30, requests=2).moved == []


@pytest.mark.parametrize("offset", range(5))
def test_a_service_that_begins_in_the_middle_takes_no_earlier_durations_for_its_own(offset):
    rollout = Late(alarms=[{**SLOWNESS, "window_s": 10}])
    rollout.goes_on(20 + offset, requests=1000, slow=50)
    rollout.known = Known()
    assert rollout.goes_on(30, requests=2).moved == []


def test_a_slow_version_goes_back_though_durations_come_late():
    rollout = Late(alarms=[SLOWNESS]).goes_on(60, slow=9)
    assert [move for _, move in rollout.moved] == ["roll back"]


def test_a_version_that_fails_the_few_requests_that_come_does_not_get_to_the_next_step():
    steps = [{"share": 10, "bake_minutes": 10}]
    rollout = Rollout(steps=steps, alarms=[{"metric": "ErrorRate", "above": 5}])
    for _ in range(70):
        rollout.goes_on(11, requests=0).goes_on(1, requests=1, failed=1)
    assert rollout.moved == [(601, "roll back")]
    assert rollout.why == (
        "'iris/green': ErrorRate 100 % above 5 %, of 50 requests in the whole step, 600 s"
    )


def test_each_step_is_judged_by_its_own_requests():
    rollout = Rollout()
    for _ in range(2):  # nine requests a step, and an alarm asks for ten
        rollout.goes_on(9, requests=1, failed=1).goes_on(52, requests=0)
    rollout.goes_on(60, requests=0)
    assert rollout.moved == [(61, "step on"), (181, "finish the rollout of")]


def test_a_step_that_has_baked_waits_while_nothing_is_measured():
    """A move may have failed before, so that it is still to be made."""
    counts = {"iris/green": Counts()}
    known = decide(plan(), 0, 0, counts, Known()).known
    known = decide(plan(), 0, 90, counts, known).known
    silent = decide(plan(), 0, 91, None, known)
    assert (silent.move, silent.known.samples) == (Move.STAY, ())
    assert decide(plan(), 0, 92, counts, silent.known).move == Move.STEP


@pytest.mark.parametrize("windows", [(3600,), (10, 3600)])
def test_of_a_long_window_a_few_samples_tell_as_much(windows):
    alarms = [{**ERRORS, "window_s": each, "min_requests": 1} for each in windows]
    steps = [{"share": 10, "bake_minutes": 1000}]
    rollout = Rollout(alarms=alarms, steps=steps).goes_on(4000)
    assert len(rollout.known.samples) < 80
    within = rollout.at_s - rollout.known.samples[0].at_s
    assert 3600 <= within <= 3600 + 2 * 61
    rollout.goes_on(10, failed=10)
    assert len(rollout.moved) == (1 if 10 in windows else 0)


def test_errors_below_the_threshold_change_nothing_whenever_they_come():
    rollout = Rollout()
    for _ in range(30):
        rollout.goes_on(9).goes_on(1, failed=4)  # 4 % of 100 requests
    assert [move for _, move in rollout.moved] == ["step on", "finish the rollout of"]


def test_a_version_that_fails_now_and_then_goes_back_at_the_first_window_beyond():
    rollout = Rollout()
    for _ in range(5):
        rollout.goes_on(20).goes_on(10, failed=2)  # 6.7 % of the window
    assert rollout.moved == [(27, "roll back")]


def test_without_requests_no_alarm_says_anything_and_the_rollout_goes_through():
    rollout = Rollout().goes_on(300, requests=0)
    assert [move for _, move in rollout.moved] == ["step on", "finish the rollout of"]
    assert rollout.why == "no alarm for 2 min; 0 requests in the last 30 s"


def test_fewer_requests_than_an_alarm_needs_say_nothing_though_all_fail():
    rollout = Rollout(alarms=[{**ERRORS, "min_requests": 150}])
    assert rollout.goes_on(100, requests=1, failed=1).moved == [(61, "step on")]


def test_a_step_does_not_bake_while_nothing_is_measured():
    rollout = Rollout().goes_on(31).goes_on(100, measured=False).goes_on(30)
    assert rollout.moved == []
    assert rollout.goes_on(2).moved == [(162, "step on")]


@pytest.mark.parametrize(("on_alarm", "move"), [("revert", Move.BACK), ("hold", Move.HOLD)])
def test_what_stays_unmeasured_for_ten_minutes_is_taken_for_an_alarm(on_alarm, move):
    rollout = Rollout(on_alarm=on_alarm).goes_on(700, measured=False)
    assert rollout.moved == [(602, move.value)]
    assert rollout.why == "it was not measured for 10 min"


def test_an_alarm_holds_a_rollout_that_asks_for_it():
    assert Rollout(on_alarm="hold").goes_on(9, failed=9).moved == [(2, "hold the rollout of")]


def test_a_router_that_counts_from_0_again_is_no_sign_of_anything():
    rollout = Rollout().goes_on(40)
    rollout.counts = {"iris/green": Counts()}
    assert rollout.goes_on(22).moved == [(62, "step on")]


def test_a_clock_that_stands_still_bakes_nothing_and_one_that_jumps_bakes_what_it_counted():
    counts = {"iris/green": Counts(requests=5)}
    decided = decide(plan(), 0, 100, counts, Known())
    for _ in range(1000):
        decided = decide(plan(), 0, 100, counts, decided.known)
    assert decided.move == Move.STAY
    assert decide(plan(), 0, 40, counts, decided.known).known.baked_s == 0


def test_one_bad_deployment_of_several_that_gain_is_enough():
    rollout = Rollout()
    rollout.counts["iris/red"] = Counts()
    rollout.look()
    rollout.counts["iris/green"] = Counts(requests=900)
    rollout.counts["iris/red"] = Counts(requests=20, failed=20)
    rollout.look()
    assert rollout.why == "'iris/red': ErrorRate 100 % above 5 %, of 20 requests in 1 s"


@pytest.mark.parametrize(
    ("origin", "goal", "share", "expected"),
    [
        ({"blue": 100}, {"green": 100}, 10, {"blue": 90, "green": 10}),
        ({"blue": 100}, {"blue": 96, "green": 4}, 10, {"blue": 99, "green": 1}),
        ({"blue": 60, "red": 40}, {"green": 100}, 50, {"blue": 30, "red": 20, "green": 50}),
        ({"blue": 100}, {"green": 50, "red": 50}, 1, {"blue": 98, "green": 1, "red": 1}),
        ({"blue": 1, "red": 99}, {"green": 100}, 99, {"blue": 0, "red": 1, "green": 99}),
        ({"blue": 50, "red": 50}, {"blue": 75, "red": 25}, 50, {"blue": 63, "red": 37}),
    ],
)
def test_a_split_on_its_way_sums_to_100_and_whoever_gains_gets_some(origin, goal, share, expected):
    found = weights_at(origin, goal, share)
    assert found == expected
    assert sum(found.values()) == 100


def test_the_deployments_that_gain_are_those_with_more_at_the_end():
    assert gaining({"blue": 70, "red": 30}, {"blue": 20, "red": 40, "green": 40}) == (
        "green",
        "red",
    )
