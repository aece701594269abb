"""A split on its way: what requests go by, who may change it, and what is told of it."""

import pytest

from inference_provider.canary import Move
from inference_provider.drift import drift
from inference_provider.errors import RouterRejected, StillServing
from inference_provider.observed import Actor, Kind
from inference_provider.plan import kept_by_rollouts, plan
from inference_provider.stack import Pipeline
from tests.conformance.labs import together
from tests.conformance.labs.lab import ANN, BOB

SERVICE = Actor(user="service", command="canary")
pytestmark = pytest.mark.parametrize("opened", ["memory", "toy"], indirect=True, scope="module")
"""With a real router: `tests/local/test_canary.py`."""

BAD = "'iris/green': ErrorRate 40 % above 5 %, of 25 requests in 9 s"


@pytest.fixture
def lab(lab):
    """A lab with two deployments, of which blue answers all requests."""
    if not lab.target.capabilities.rollouts:
        pytest.skip("nothing goes on with a rollout on this target yet")
    lab.up()
    lab.apply(lab.deployment("green"), lab.deployment("red"))
    return lab


@pytest.fixture
def moving(lab):
    """One on its way from blue to green."""
    lab.apply(lab.rollout(green=100))
    return lab


def split(lab) -> dict[str, int]:
    """Return the shares that the router serves."""
    found = lab.router.status().weights["iris"]
    return {name: share for name, share in found.items() if share}


def seen(lab):
    [found] = lab.target.shifts(lab.workspace)
    return found


def move(lab, what: Move, why: str = "") -> None:
    lab.target.move(seen(lab), what, why, SERVICE)


def status(lab) -> str:
    return lab.target.observe([lab.workspace]).get(lab.id(Kind.TRAFFIC, "iris")).status


def told(lab, traffic) -> list[str]:
    """Return what a plan and a drift report say of the split."""
    there = lab.target.observe([lab.workspace])
    others = [one for one in lab.desired if one.id.kind != Kind.TRAFFIC]
    wanted = [*others, lab.deployment("green"), lab.deployment("red"), traffic]
    planned = [
        action.repairs or action.kind.value for action in plan(wanted, there, "demo").pending
    ]
    report = drift(wanted, there, "demo").resources
    return planned + [found.reason for found in report if found.verdict != "clean"]


def fix_of(lab, traffic) -> str:
    """Return what a drift report says that the next up does to the split."""
    report = drift([traffic], lab.target.observe([lab.workspace]), "demo").resources
    return next(found.fix.value for found in report if found.id == traffic.id)


def test_an_up_takes_the_first_step_and_records_what_is_declared(moving):
    assert split(moving) == {"blue": 90, "green": 10}
    record = moving.target.record(moving.id(Kind.TRAFFIC, "iris"))
    assert record.properties["traffic"] == {"green": 100}
    assert moving.journal()[-1] == "update Traffic iris"


def test_it_moves_step_by_step_to_the_declared_split_and_the_journal_says_why(moving):
    move(moving, Move.STEP, "no alarm for 10 min")
    assert split(moving) == {"blue": 50, "green": 50}
    move(moving, Move.FINISH, "no alarm for 30 min")
    assert split(moving) == {"green": 100}
    assert moving.target.shifts(moving.workspace) == ()
    entries = moving.ports.records.journal()[-2:]
    assert [(one.action, one.why, one.actor) for one in entries] == [
        ("step on", "no alarm for 10 min", SERVICE),
        ("finish the rollout of", "no alarm for 30 min", SERVICE),
    ]
    assert told(moving, moving.rollout(green=100)) == []


def test_shares_on_the_way_are_neither_plan_nor_drift_and_the_status_says_where_it_is(moving):
    assert told(moving, moving.rollout(green=100)) == []
    assert status(moving) in {
        f"blue 90 %, green 10 %; rollout step 1 of 3 (10 %), at least {left} min left"
        for left in (9, 10)
    }
    move(moving, Move.STEP)
    assert told(moving, moving.rollout(green=100)) == []
    assert status(moving).startswith("blue 50 %, green 50 %; rollout step 2 of 3 (50 %), ")


def test_shares_that_somebody_else_set_meanwhile_are_drift(moving):
    moving.apply(moving.traffic(blue=100))
    assert told(moving, moving.rollout(green=100)) == ["update", ""]


def test_an_alarm_gives_the_old_split_back_and_everybody_is_told_why(moving):
    move(moving, Move.STEP)
    move(moving, Move.BACK, BAD)
    assert split(moving) == {"blue": 100}
    sentence = (
        f"the rollout went back: {BAD}; applying the same again leaves it so; it begins again when"
        " the deployment, the plan or the split is changed"
    )
    assert told(moving, moving.rollout(green=100)) == [sentence, sentence]
    assert status(moving) == f"blue 100 %, green 0 %; the rollout went back: {BAD}"
    assert fix_of(moving, moving.rollout(green=100)) == "nothing"  # no up begins it again
    assert fix_of(moving, moving.rollout(green=50, blue=50)) == "live"
    assert moving.ports.records.journal()[-1].why == BAD


def another_version(lab):
    return lab.deployment("green", environment_variables={"VERSION": "2"})


def planned(lab, *, on_alarm="revert", steps=((10, 10), (50, 30)), above=5, **shares):
    """Return a split to such shares by other steps or another alarm."""
    found = lab.rollout(on_alarm=on_alarm, **shares)
    stated = [{"share": share, "bake_minutes": minutes} for share, minutes in steps]
    plan_ = {
        "steps": stated,
        "alarms": [{"metric": "ErrorRate", "above": above}],
        "on_alarm": on_alarm,
    }
    spec = type(found.spec).model_validate({**found.spec.model_dump(), "rollout": plan_})
    return found.model_copy(update={"spec": spec})


def test_the_next_up_after_a_way_back_gives_known_bad_code_nothing(moving):
    move(moving, Move.BACK, BAD)
    for _ in range(3):
        moving.apply(moving.deployment("green"), moving.rollout(green=100))
    assert split(moving) == {"blue": 100}
    assert told(moving, moving.rollout(green=100))[0].startswith("the rollout went back")


def test_another_version_or_plan_after_a_way_back_begins_again(moving):
    move(moving, Move.BACK, BAD)
    moving.apply(another_version(moving), moving.rollout(green=100))
    assert split(moving) == {"blue": 90, "green": 10}
    move(moving, Move.BACK, BAD)
    moving.apply(planned(moving, green=100, above=50))
    assert split(moving) == {"blue": 90, "green": 10}


def test_a_split_by_hand_to_where_it_came_from_lets_the_next_up_begin_again(moving):
    move(moving, Move.BACK, BAD)
    Pipeline(moving.target, BOB).split(moving.id(Kind.ENDPOINT, "iris"), {"blue": 100})
    moving.apply(moving.rollout(green=100))
    assert split(moving) == {"blue": 90, "green": 10}


def test_no_up_gives_a_held_version_more_requests(lab):
    lab.apply(lab.rollout(green=100, on_alarm="hold"))
    move(lab, Move.HOLD, BAD)
    assert split(lab) == {"blue": 90, "green": 10}
    assert told(lab, lab.rollout(green=100, on_alarm="hold"))[0].startswith(
        f"the rollout is held at step 1 of 3 (10 %): {BAD}"
    )
    for _ in range(3):
        lab.apply(lab.rollout(green=100, on_alarm="hold"))
        assert split(lab) == {"blue": 90, "green": 10}
    for above in (6, 7, 8):
        lab.apply(planned(lab, green=100, on_alarm="hold", above=above))
        assert split(lab) == {"blue": 90, "green": 10}
        assert seen(lab).shift.origin == {"blue": 100}
        move(lab, Move.HOLD, BAD)
    lab.apply(another_version(lab), planned(lab, green=100, on_alarm="hold", above=8))
    assert split(lab) == {"blue": 90, "green": 10}
    assert seen(lab).shift.origin == {"blue": 100}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (((10, 10), (50, 60)), "step 2 of 3 (50 %)"),
        (((10, 10), (20, 10)), "step 2 of 3 (50 %)"),
        (((10, 10), (70, 10)), "step 1 of 3 (50 %)"),
    ],
)
def test_another_plan_in_the_middle_keeps_the_shares_and_where_an_alarm_leads(moving, steps, said):
    move(moving, Move.STEP)
    moving.apply(planned(moving, green=100, steps=steps))
    assert split(moving) == {"blue": 50, "green": 50}
    assert said in status(moving)
    move(moving, Move.BACK, BAD)
    assert split(moving) == {"blue": 100}


def test_another_version_meanwhile_bakes_from_the_first_step(moving):
    move(moving, Move.STEP)
    before = seen(moving)
    moving.apply(another_version(moving))
    moving.target.move(before, Move.FINISH, "no alarm", SERVICE)  # seen before it came
    assert split(moving) == {"blue": 50, "green": 50}
    assert seen(moving).renewed == ("green",)
    move(moving, Move.AGAIN, "'iris/green' is another version now")
    assert split(moving) == {"blue": 90, "green": 10}
    assert seen(moving).renewed == ()
    assert seen(moving).shift.step == 0


def test_the_same_up_again_does_not_disturb_it(moving):
    move(moving, Move.STEP)
    began = seen(moving).shift.began
    moving.apply(moving.rollout(green=100))
    assert (seen(moving).shift.began, seen(moving).shift.step) == (began, 1)


def test_another_split_in_the_middle_starts_from_the_one_in_force(moving):
    move(moving, Move.STEP)
    moving.apply(moving.rollout(red=100))
    assert split(moving) == {"blue": 45, "green": 45, "red": 10}


def test_without_a_rollout_a_split_changes_at_once_and_ends_the_one_under_way(moving):
    moving.apply(moving.traffic(green=100))
    assert split(moving) == {"green": 100}
    assert moving.target.shifts(moving.workspace) == ()


def test_a_split_that_served_nobody_and_one_that_is_to_serve_nobody_change_at_once(lab):
    lab.apply(lab.rollout(blue=0))
    assert split(lab) == {}
    lab.apply(lab.rollout(green=100))
    assert split(lab) == {"green": 100}


@pytest.mark.parametrize("shares", [{"blue": 100}, {"green": 100}])
def test_a_split_by_hand_takes_effect_at_once_and_keeps_the_plan(moving, shares):
    Pipeline(moving.target, BOB).split(moving.id(Kind.ENDPOINT, "iris"), shares)
    assert split(moving) == shares
    assert moving.target.shifts(moving.workspace) == ()
    record = moving.target.record(moving.id(Kind.TRAFFIC, "iris"))
    assert record.properties["rollout"]["on_alarm"] == "revert"


def test_the_plan_of_a_split_by_hand_stays_the_same_while_a_step_bakes(moving):
    pipeline, iris = Pipeline(moving.target, BOB), moving.id(Kind.ENDPOINT, "iris")
    _, shown = pipeline.split_plan(iris, {"blue": 100})
    assert [one.repairs for one in shown.pending] == ["rollout step 1 of 3 (10 %)"]
    pipeline.split(iris, {"blue": 100}, shown=shown)
    assert split(moving) == {"blue": 100}


def kept(lab, deleted: str, traffic) -> list[str]:
    """Return what a plan that deletes a deployment of iris would be refused for."""
    there = lab.target.observe([lab.workspace])
    gone = lab.id(Kind.DEPLOYMENT, f"iris/{deleted}")
    others = [lab.deployment("green"), lab.deployment("red")]
    wanted = [one for one in lab.desired if one.id.kind != Kind.TRAFFIC] + others
    left = [one for one in wanted if one.id != gone]
    return [one.name for one in kept_by_rollouts(plan([*left, traffic], there, "demo"), there)]


def test_what_failed_may_be_deleted_after_a_way_back_and_what_serves_may_not(moving):
    move(moving, Move.BACK, BAD)
    assert kept(moving, "green", moving.rollout(blue=100)) == []
    assert kept(moving, "blue", moving.rollout(red=100)) == ["iris/blue"]
    moving.apply(moving.rollout(blue=100))
    moving.delete(moving.id(Kind.DEPLOYMENT, "iris/green"))


def test_a_plan_that_deletes_what_a_rollout_on_its_way_would_give_requests_is_refused(moving):
    assert kept(moving, "blue", moving.rollout(green=100)) == ["iris/blue"]
    assert kept(moving, "red", moving.rollout(green=100)) == []
    assert kept(moving, "green", moving.rollout(red=100)) == ["iris/green"]
    assert kept(moving, "blue", moving.traffic(green=100)) == []  # at once
    move(moving, Move.HOLD, BAD)
    assert kept(moving, "blue", moving.rollout(green=100)) == ["iris/blue"]


def test_who_saw_an_older_step_moves_nothing(moving):
    stale = seen(moving)
    move(moving, Move.STEP)
    moving.target.move(stale, Move.BACK, BAD, SERVICE)
    assert split(moving) == {"blue": 50, "green": 50}
    assert moving.ports.records.journal()[-1].action == "step on"


def test_who_saw_it_before_its_step_baked_again_moves_it_all_the_same(moving):
    before = seen(moving)
    move(moving, Move.STAY)
    assert seen(moving).shift.since > before.shift.since
    moving.target.move(before, Move.STEP, "no alarm", SERVICE)
    assert split(moving) == {"blue": 50, "green": 50}


def test_of_two_who_move_it_at_once_one_does(moving):
    stale, other = seen(moving), moving.another()
    raised = together(
        lambda: moving.target.move(stale, Move.STEP, "one", SERVICE),
        lambda: other.move(stale, Move.STEP, "other", SERVICE),
    )
    assert raised == [None, None]
    assert seen(moving).shift.step == 1
    assert [one.action for one in moving.ports.records.journal()].count("step on") == 1


@pytest.mark.parametrize("name", ["blue", "green"])
def test_what_answers_requests_on_the_way_or_would_again_is_not_deleted(moving, name):
    with pytest.raises(StillServing):
        moving.delete(moving.id(Kind.DEPLOYMENT, f"iris/{name}"))
    move(moving, Move.BACK, BAD)
    with pytest.raises(StillServing):
        moving.delete(moving.id(Kind.DEPLOYMENT, f"iris/{name}"))


def test_what_lost_all_its_requests_is_deleted_once_the_rollout_has_ended(moving):
    move(moving, Move.FINISH)
    moving.delete(moving.id(Kind.DEPLOYMENT, "iris/blue"))
    assert split(moving) == {"green": 100}


def test_a_stop_and_a_start_in_the_middle_keep_the_shares(moving):
    moving.target.stop(moving.workspace, ANN)
    moving.target.start(moving.workspace, ANN)
    assert split(moving) == {"blue": 90, "green": 10}
    assert len(moving.target.shifts(moving.workspace)) == 1


def test_a_split_that_is_deleted_and_made_again_knows_nothing_of_the_rollout(moving):
    moving.delete(moving.id(Kind.TRAFFIC, "iris"))
    assert moving.target.shifts(moving.workspace) == ()
    moving.apply(moving.traffic(green=100))
    assert split(moving) == {"green": 100}


def test_who_is_on_the_way_to_answer_is_not_mirrored_to_meanwhile(lab):
    mirrored = lab.rollout(blue=100)
    both = mirrored.spec.model_copy(update={"mirror_traffic": {"green": 20, "red": 0}})
    lab.apply(mirrored.model_copy(update={"spec": both}))
    assert lab.router.status().mirrors["iris"] == {"green": 20}
    back = lab.rollout(green=100)
    away = back.spec.model_copy(update={"mirror_traffic": {"blue": 20}})
    lab.apply(back.model_copy(update={"spec": away}))
    assert split(lab) == {"blue": 90, "green": 10}
    assert not {n: s for n, s in lab.router.status().mirrors.get("iris", {}).items() if s}
    move(lab, Move.FINISH)
    assert lab.router.status().mirrors["iris"] == {"blue": 20}


def test_a_step_that_the_router_refuses_changes_nothing(moving):
    def refuse(_endpoints):
        raise RouterRejected("told to refuse")

    before = seen(moving).shift
    moving.router.before = refuse
    with pytest.raises(RouterRejected):
        move(moving, Move.STEP)
    assert seen(moving).shift == before
    assert moving.journal()[-1] == "update Traffic iris"


@pytest.mark.parametrize("mended", ["by the next look", "by an up"])
def test_a_step_that_was_recorded_and_not_published_is_mended(moving, mended):
    further = seen(moving).shift.model_copy(update={"step": 1})
    moving.ports.records.put("shifts", "iris", further.model_dump_json())
    moving.ports.records.put("unpublished", "router", "{}")
    assert split(moving) == {"blue": 90, "green": 10}
    if mended == "by an up":
        assert told(moving, moving.rollout(green=100))[0].startswith("the last change was killed")
        moving.apply(moving.space())
    else:
        move(moving, Move.STAY)
    assert split(moving) == {"blue": 50, "green": 50}
    assert told(moving, moving.rollout(green=100)) == []


def test_a_split_whose_record_was_set_aside_stays_on_its_way(moving):
    move(moving, Move.BACK, BAD)
    traffic = moving.id(Kind.TRAFFIC, "iris")
    with moving.ports.records.edit():
        moving.ports.records.put("records", "Traffic.iris", "{")
    moving.target.set_aside(traffic, ANN)
    moving.apply(moving.rollout(green=100))
    assert split(moving) == {"blue": 100}
