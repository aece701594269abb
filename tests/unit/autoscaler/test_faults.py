"""What the autoscaler tells of rules that it cannot keep, and until when."""

import json
from zoneinfo import ZoneInfoNotFoundError

import pytest
from tests.unit.autoscaler.case import Case

from inference_provider.autoscale_samples import Timed
from inference_provider.errors import TargetError
from inference_provider.service import autoscaler
from inference_provider.service.looking import look
from inference_provider.service.replay import changes


def test_a_rule_that_cannot_be_decided_is_told_and_changes_nothing(case, monkeypatch):
    def undecided(*_given):
        raise ZoneInfoNotFoundError("No time zone found with key UTC")

    monkeypatch.setattr(autoscaler, "decide", undecided)
    with pytest.raises(TargetError, match="'iris/blue' is not decided: ZoneInfoNotFoundError"):
        case.look(8)
    assert case.count == 1
    [said] = case.faults().values()
    assert "'iris/blue' is not decided: ZoneInfoNotFoundError" in said
    monkeypatch.undo()
    case.look(2)
    assert case.faults() == {}


def test_a_change_that_fails_is_told_from_its_first_time_until_one_is_made(case):
    fails = {"told": True}
    case.lab.ports.compute.fails = lambda _unit: "told to fail" if fails["told"] else ""
    case.look(8, seconds=3)
    first = case.faults()["iris/blue"]
    case.look(8, seconds=40)
    assert "told to fail" in first
    assert case.faults() == {"iris/blue": first}
    case.autoscaler = case.with_log(10_000_000)  # as where the process was started again
    case.look(8)
    assert case.faults() == {"iris/blue": first}
    fails["told"] = False
    case.look(8, seconds=60)
    assert case.faults() == {}


def test_a_change_that_failed_is_told_until_the_count_has_been_right_for_a_while(case):
    case.lab.ports.compute.fails = lambda _unit: "told to fail"
    case.look(8, seconds=3)
    case.look(1, seconds=500)
    assert set(case.faults()) == {"iris/blue"}
    case.look(1, seconds=200)
    assert case.faults() == {}


def test_a_metric_that_stays_unmeasured_is_told(case):
    case.look(None, seconds=30)
    assert not case.faults_file.exists()
    case.look(None, seconds=40)
    assert "RequestsInFlight cannot be measured" in case.faults()["iris/blue"]
    case.look(2)
    assert case.faults() == {}


def test_latency_that_is_measured_is_no_fault_without_a_request_and_brings_an_instance(tmp_path):
    step = {"metric": "RequestLatency", "operator": "greater_than", "threshold": 70, "change": 1}
    case = Case(tmp_path, targets=[], metrics=[{**step, "window_s": 60}])
    case.look(0, seconds=70)
    assert "RequestLatency cannot be measured" in case.faults()["iris/blue"]
    case.timed = Timed(requests=0, total_ms=0.0)
    assert case.look(0, seconds=100) == 1
    assert case.faults() == {}
    case.timed = Timed(requests=2, total_ms=180.0)
    assert case.look(0) == 2
    case.timed = None
    assert case.look(0, seconds=10) == 2
    (change,) = changes(map(json.dumps, case.lines()), "iris/blue")
    assert change.reasons == ("RequestLatency is 90, above 70 for 60 s: +1",)
    assert change.sample.timed == Timed(requests=2, total_ms=180.0)
    assert change.again() == 2


def test_records_that_cannot_be_read_are_told_of_all_rules(case, monkeypatch):
    def unread(_workspace):
        raise TargetError("read", "the records", "the disk is gone")

    monkeypatch.setattr(case.lab.target, "ruled", unread)
    with pytest.raises(TargetError, match="the disk is gone"):
        case.look(8)
    assert "the disk is gone" in case.faults()[""]
    monkeypatch.undo()
    case.look(1)
    assert case.faults() == {}


def test_a_fault_that_nobody_foresaw_is_told_and_the_next_look_goes_on(case, monkeypatch, capfd):
    def unforeseen(_workspace):
        raise KeyError("pid")

    monkeypatch.setattr(case.lab.target, "ruled", unforeseen)
    said = look(case.autoscaler, look(case.autoscaler, ""))
    told = capfd.readouterr().err.splitlines()
    assert (said, told[0], told.count(said)) == (
        "KeyError: 'pid'", "Traceback (most recent call last):", 1,
    )  # fmt: skip
    assert case.faults()[""].endswith(": KeyError: 'pid'")
    monkeypatch.undo()
    assert look(case.autoscaler, said) == ""
    assert case.faults() == {}
