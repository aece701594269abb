"""When the autoscaler changes a count, and beside whom it does not."""

from tests.unit.autoscaler.case import HELD, Case

from inference_provider.observed import Kind
from inference_provider.service import autoscaler
from inference_provider.workspace.state import deployment_lock


def test_more_requests_bring_instances_at_once_and_fewer_end_them_after_a_while(case):
    assert case.look(1) == 1
    assert case.look(8) == 4
    assert case.look(2, seconds=8) == 4
    assert case.look(2, seconds=5) == 1


def test_while_a_change_is_being_made_no_other_begins(case):
    case.threads.holds = True
    assert case.look(4) == 1
    case.look(10, seconds=5)
    assert case.lines("count", "wanted") == [{"count": 1, "wanted": 2}]
    case.threads.release()
    case.threads.holds = False
    assert case.look(10) == 5


def test_who_changes_the_deployment_is_not_waited_for_and_the_change_comes_later(case):
    lock = case.lab.ports.records.lock(deployment_lock("iris/blue"))
    with lock:
        assert case.look(8, seconds=3) == 1
    assert case.look(8, seconds=6) == 4
    told = [line["failed"] for line in case.lines() if "failed" in line]
    assert told == [HELD]


def test_the_first_instance_for_who_waits_is_asked_for_again_at_the_next_look(tmp_path):
    case = Case(tmp_path, min_instances=0)
    assert case.look(0, seconds=20) == 0
    with case.lab.ports.records.lock(deployment_lock("iris/blue")):
        assert case.look(1) == 0
    assert case.look(1, seconds=2) == 1
    assert case.look(0, seconds=20) == 0
    case.lab.ports.compute.fails = lambda _unit: "told to fail"
    assert case.look(1, seconds=60) == 0
    failed = [line["failed"] for line in case.lines() if "failed" in line]
    assert failed[0] == HELD
    assert len(failed) == 5  # after 5, 10 and 20 s again: callers who wait make it no faster
    assert "told to fail" in case.faults()["iris/blue"]


def test_it_says_whether_a_rule_allows_no_instance(case):
    assert case.autoscaler.allows_none
    case.look(1)
    assert not case.autoscaler.allows_none
    case.lab.apply(case.lab.rule(min_instances=0, max_instances=2))
    case.look(1)
    assert case.autoscaler.allows_none


def test_what_was_decided_before_another_change_does_not_undo_it(tmp_path):
    case = Case(tmp_path, min_instances=0, scale_in={"stabilization_s": 3})
    assert case.look(0, seconds=10) == 0
    case.threads.holds = True
    assert case.look(1) == 0
    case.lab.scale(3)
    case.threads.release()
    assert case.count == 3
    assert case.look(6) == 3
    assert case.lines("failed")[-1] == {"failed": HELD}
    assert case.look(1, seconds=5) == 3
    case.lab.scale(4)
    case.threads.release()
    assert case.count == 4


def test_instances_that_do_not_start_are_tried_again_ever_later_and_what_serves_stays(case):
    fails = {"told": True}
    case.lab.ports.compute.fails = lambda _unit: "told to fail" if fails["told"] else ""
    assert case.look(8, seconds=60) == 1
    failed = [line for line in case.lines() if "failed" in line]
    assert len(failed) == 4
    assert "told to fail" in failed[0]["failed"]
    fails["told"] = False
    assert case.look(8, seconds=40) == 4


def test_what_cannot_be_measured_changes_nothing(case):
    case.look(8)
    assert case.look(None, seconds=60) == 4


def test_without_a_rule_nothing_is_measured(case):
    case.lab.delete(case.lab.rule(max_instances=5).id)
    case.measured.clear()
    case.look(8, seconds=2)
    assert case.measured == []


def test_a_deployment_that_goes_in_the_middle_of_a_change_is_forgotten(case):
    case.threads.holds = True
    case.look(8)
    case.lab.delete(case.lab.rule(max_instances=5).id)
    case.lab.apply(case.lab.traffic())
    case.lab.delete(case.lab.id(Kind.DEPLOYMENT, "iris/blue"))
    case.threads.release()
    assert case.look(8, seconds=2) == 0


def test_an_apply_beside_it_keeps_the_count(case):
    case.look(8)
    case.lab.apply(case.lab.deployment(environment_variables={"A": "1"}))
    assert case.count == 4
    assert case.look(8) == 4


def test_a_change_keeps_what_an_up_has_applied_meanwhile(case, monkeypatch):
    """As where the `up` is done just before the change has the lock."""
    lab = case.lab
    real = lab.ports.records.lock

    def late(name, wait_s=None):
        if name == deployment_lock("iris/blue") and wait_s == 0:
            monkeypatch.setattr(lab.ports.records, "lock", real)
            lab.apply(lab.blue(tags={"a": "new"}, environment_variables={"A": "new"}))
        return real(name, wait_s)

    monkeypatch.setattr(lab.ports.records, "lock", late)
    assert case.look(8) == 4
    recorded = lab.target.record(lab.blue().id).properties
    assert recorded["tags"] == {"a": "new"}
    assert set(recorded["environment_variables"]) == {"A"}


def test_a_rule_of_a_newer_release_is_skipped_until_it_is_applied_again(case):
    records, name = case.lab.ports.records, "AutoscaleRule.iris/blue"
    with records.edit():
        text = records.read("records", name).decode()
        records.put("records", name, text.replace("RequestsInFlight", "TokensInFlight"))
    assert case.lab.state.rules() == {}
    assert case.look(8) == 1
    targets = [{"metric": "RequestsInFlight", "target": 2}]
    case.lab.apply(case.lab.rule(max_instances=5, targets=targets))
    assert case.look(8) == 4


def test_no_more_deployments_change_at_once_than_may(case, monkeypatch):
    monkeypatch.setattr(autoscaler, "AT_ONCE", 0)
    assert case.look(8, seconds=10) == 1
    monkeypatch.undo()
    assert case.look(8) == 4


def test_however_many_rules_there_are_instances_are_asked_for_once_a_look(case, monkeypatch):
    lab, asked = case.lab, []
    lab.apply(
        lab.deployment("green"),
        lab.rule(deployment="green", max_instances=3).model_copy(
            update={"id": lab.id(Kind.AUTOSCALE_RULE, "iris/green")}
        ),
    )
    real = lab.ports.compute.instances

    def instances(deployment=""):
        asked.append(deployment)
        return real(deployment)

    monkeypatch.setattr(lab.ports.compute, "instances", instances)
    assert [one.id.name for one in lab.target.ruled("lab")] == ["iris/blue", "iris/green"]
    assert asked == [""]
