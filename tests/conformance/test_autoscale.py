"""The count under an autoscale rule: the rule decides it, and nobody changes it by accident."""

import pytest

from inference_provider.desired import DesiredResource
from inference_provider.drift import drift
from inference_provider.errors import Busy, OutOfCapacity
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.workspace.state import deployment_lock
from tests.conformance.labs import wait_until


@pytest.fixture
def ruled(lab):
    """A lab whose deployment asks for what a rule goes by."""
    if Kind.AUTOSCALE_RULE not in lab.target.capabilities.kinds:
        pytest.skip("this target has no autoscale rules yet")
    lab.allow_rules()
    lab.measure()
    lab.apply(*lab.desired[:-2], lab.blue(), lab.desired[-1])
    return lab


def changes(lab, *more) -> list[str]:
    """Return what a plan and a drift report say of the deployment, and of a rule beside it."""
    wanted = [*lab.desired[:-2], *more, lab.desired[-1]]
    there = lab.target.observe([lab.workspace])
    planned = [str(action.id.kind) for action in plan(wanted, there, "demo").pending]
    report = drift(wanted, there, "demo").resources
    return planned + [str(found.id.kind) for found in report if found.verdict != "clean"]


def beside(deployment: DesiredResource) -> DesiredResource:
    """Return a deployment as it is resolved beside a rule."""
    return deployment.model_copy(update={"owned": frozenset({"instance_count"})})


def test_a_rule_moves_the_count_into_its_limits_and_leaves_it_there(ruled):
    ruled.apply(ruled.rule(min_instances=3, max_instances=3))
    assert len(ruled.instances()) == 3
    ruled.apply(ruled.rule(min_instances=1, max_instances=5))
    ruled.apply(ruled.blue(tags={"a": "b"}))
    assert len(ruled.instances()) == 3
    ruled.apply(ruled.rule(min_instances=1, max_instances=2))
    wait_until(lambda: len(ruled.instances()) == 2)
    assert ruled.ask() == 200


def test_the_count_under_a_rule_is_neither_plan_nor_drift(ruled):
    rule = ruled.rule(min_instances=2, max_instances=3)
    ruled.apply(rule)
    assert changes(ruled, beside(ruled.blue()), rule) == []
    assert changes(ruled, beside(ruled.blue(instance_count=7)), rule) == []


def test_a_new_generation_starts_with_as_many_as_the_rule_has_now(ruled):
    ruled.apply(ruled.rule(min_instances=3, max_instances=3))
    ruled.apply(ruled.rule(min_instances=1, max_instances=5))
    before = set(ruled.instances())
    ruled.apply(ruled.blue(environment_variables={"A": "1"}))
    after = ruled.instances()
    assert len(after) == 3
    assert before.isdisjoint(after)


@pytest.mark.parametrize("ended", ["deleted", "off"])
def test_a_rule_that_ends_gives_the_declared_count_back(ruled, ended):
    ruled.apply(ruled.rule(min_instances=3, max_instances=3))
    ruled.apply(ruled.blue(instance_count=2))
    assert len(ruled.instances()) == 3
    off = ruled.rule(min_instances=3, max_instances=3, enabled=False)
    if ended == "deleted":
        ruled.delete(off.id)
    else:
        ruled.apply(off)
    wait_until(lambda: len(ruled.instances()) == 2)
    declared = [] if ended == "deleted" else [off]
    assert changes(ruled, ruled.blue(instance_count=2), *declared) == []
    assert ruled.ask() == 200


def test_a_rule_that_its_deployment_cannot_follow_is_not_recorded(ruled):
    ruled.apply(ruled.space(quota={"max_instances": 2}))
    rule = ruled.rule(min_instances=1, max_instances=3)
    with pytest.raises(OutOfCapacity, match="bring the workspace to 3 instances; its quota is 2"):
        ruled.apply(rule)
    assert ruled.target.record(rule.id) is None
    assert len(ruled.instances()) == 1


def test_a_deployment_goes_after_its_rule(ruled):
    rule = ruled.rule(min_instances=2, max_instances=3)
    ruled.apply(rule)
    ruled.apply(ruled.traffic())
    ruled.delete(rule.id)
    ruled.delete(ruled.blue().id)
    assert ruled.instances() == {}
    assert ruled.ports.compute.instances() == {}


def test_a_rule_s_metrics_move_the_count_and_nobody_has_applied_anything(ruled):
    ruled.apply(ruled.rule(min_instances=1, max_instances=3))
    before = ruled.target.record(ruled.blue().id)
    ruled.scale(3)
    assert len(ruled.instances()) == 3
    ruled.scale(2)
    wait_until(lambda: len(ruled.instances()) == 2)
    after = ruled.target.record(ruled.blue().id)
    assert (after.actor, after.time) == (before.actor, before.time)
    assert changes(ruled, beside(ruled.blue()), ruled.rule(min_instances=1, max_instances=3)) == []


def test_a_count_beyond_a_rule_is_moved_into_what_it_or_a_schedule_of_it_allows(ruled):
    ruled.apply(ruled.rule(min_instances=1, max_instances=2))
    ruled.scale(9)
    assert len(ruled.instances()) == 2
    ruled.scale(0)
    wait_until(lambda: len(ruled.instances()) == 1)


def test_without_a_rule_a_count_that_comes_late_is_the_declared_one(ruled):
    rule = ruled.rule(min_instances=1, max_instances=5)
    ruled.apply(rule)
    ruled.delete(rule.id)
    ruled.scale(4)
    assert len(ruled.instances()) == 1


def test_a_count_gives_way_to_who_changes_the_deployment_and_does_not_wait(ruled):
    ruled.apply(ruled.rule(min_instances=1, max_instances=3))
    with ruled.ports.records.lock(deployment_lock("iris/blue")), pytest.raises(Busy):
        ruled.scale(3)
    assert len(ruled.instances()) == 1
    ruled.scale(3)
    assert len(ruled.instances()) == 3


def test_an_apply_keeps_a_count_that_only_a_schedule_of_the_rule_allows(ruled):
    if ruled.ports.compute.replaces_instances:
        pytest.skip("its schedules raise the least count alone")
    night = {"cron": "0 0 1 1 *", "duration_s": 60, "min_instances": 1, "max_instances": 4}
    ruled.apply(ruled.rule(min_instances=1, max_instances=2, schedules=[night]))
    ruled.scale(4)
    assert len(ruled.instances()) == 4
    ruled.apply(ruled.blue(tags={"a": "b"}))
    assert len(ruled.instances()) == 4


def test_a_rule_that_leaves_no_instance_is_left_so_until_a_new_generation_has_to_start(ruled):
    if ruled.ports.compute.replaces_instances:
        pytest.skip("its own autoscaler leaves none")
    rule = ruled.rule(min_instances=0, max_instances=3)
    ruled.apply(rule)
    ruled.scale(0)
    wait_until(lambda: not ruled.instances())
    assert changes(ruled, beside(ruled.blue()), rule) == []
    assert ruled.target.observe_one(ruled.blue().id).status == "no instance, until a request comes"
    ruled.apply(ruled.blue(tags={"a": "b"}))
    assert not ruled.instances()
    ruled.apply(ruled.blue(environment_variables={"A": "1"}))
    assert len(ruled.instances()) == 1
    ruled.scale(0)
    ruled.scale(2)
    assert len(ruled.instances()) == 2
    ruled.scale(0)
    wait_until(lambda: not ruled.instances())
    ruled.apply(ruled.rule(min_instances=1, max_instances=3))
    assert len(ruled.instances()) == 1
    assert ruled.ask() == 200


def test_instances_that_a_rule_starts_or_ends_now_are_neither_plan_nor_drift(ruled):
    if ruled.ports.compute.replaces_instances:
        pytest.skip("this target measures for itself")
    rule = ruled.rule(min_instances=1, max_instances=3)
    ruled.apply(rule)
    seen: list[list[str]] = []

    def look(_endpoints) -> None:
        seen.append(changes(ruled, beside(ruled.blue()), rule))

    ruled.router.before = look
    ruled.scale(3)
    ruled.scale(1)
    ruled.router.before = lambda _endpoints: None
    wait_until(lambda: len(ruled.instances()) == 1)
    assert seen
    assert [one for one in seen if one] == []
