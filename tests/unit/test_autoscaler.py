"""The autoscaler's rounds on a target in memory: what it decides, does and writes down."""

import json
from concurrent.futures import Executor, Future
from functools import partial
from zoneinfo import ZoneInfoNotFoundError

import pytest
from tests.conformance.labs import MemoryLab

from inference_provider.autoscale_samples import Sample, Timed
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, Kind
from inference_provider.service import autoscaler
from inference_provider.service.__main__ import where
from inference_provider.service.autoscaler import Autoscaler
from inference_provider.service.decisions import Decisions
from inference_provider.service.faults import Faults
from inference_provider.service.looking import look
from inference_provider.service.replay import changes
from inference_provider.targets.rule_faults import read
from inference_provider.workspace.state import deployment_lock
from inference_provider.workspace.units import Units

AUTOSCALER = Actor(user="service", command="autoscaler")
HELD = "somebody else is changing the deployment, or has just changed it"
QUICK = {"scale_in": {"stabilization_s": 10}}


class Threads(Executor):
    """Runs what it is given at once; or, told to hold, when it is released."""

    def __init__(self) -> None:
        self.holds = False
        self._held = []

    def submit(self, fn, /, *args, **kwargs):
        made = Future()
        self._held.append((partial(fn, *args, **kwargs), made))
        if not self.holds:
            self.release()
        return made

    def release(self) -> None:
        while self._held:
            call, made = self._held.pop()
            try:
                made.set_result(call())
            except Exception as fault:  # noqa: BLE001 - as a thread does
                made.set_exception(fault)


class Case:
    """A workspace with a rule, and an autoscaler that measures what it is told."""

    def __init__(self, folder, **rule) -> None:
        code = folder / "lab"
        code.mkdir()
        self.lab = MemoryLab(MemoryLab.open(code), code, "lab")
        self.lab.up()
        asked = {"targets": [{"metric": "RequestsInFlight", "target": 2}]}
        self.lab.apply(self.lab.rule(**{"max_instances": 5, **QUICK, **asked, **rule}))
        self.at_s = 0.0
        self.in_flight: float | None = 0
        self.timed: Timed | None = None
        self.threads = Threads()
        self.folder = folder / "decisions"
        self.measured = []
        self.autoscaler = self.with_log(10_000_000)

    def with_log(self, file_bytes: int) -> Autoscaler:
        return Autoscaler(
            self.lab.target,
            "lab",
            self._samples,
            Decisions(self.folder / "decisions.jsonl", file_bytes),
            Faults(self.folder / "faults.json"),
            actor=AUTOSCALER,
            clock=self,
            threads=self.threads,
        )

    def _samples(self, deployments):
        names = [one.id.name for one in deployments]
        self.measured.append(names)
        values = {} if self.in_flight is None else {"RequestsInFlight": self.in_flight}
        sample = Sample(at_s=self.at_s, ready=self.count, values=values, timed=self.timed)
        return dict.fromkeys(names, sample)

    def now(self):
        return self.lab.platform.clock.now()

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds

    @property
    def count(self) -> int:
        return len(self.lab.instances())

    def look(self, in_flight: float | None, seconds: int = 1) -> int:
        """Have it look each second; return the count then."""
        self.in_flight = in_flight
        for _ in range(seconds):
            self.at_s += 1
            self.autoscaler.look()
        return self.count

    def faults(self) -> dict[str, str]:
        """Return what is wrong with rules, as any client reads it."""
        return {name: str(one) for name, one in read(self.faults_file.read_bytes()).items()}

    @property
    def faults_file(self):
        return self.folder / "faults.json"

    def lines(self, *names: str) -> list[dict]:
        """Return what is written down, or some of each line."""
        text = (self.folder / "decisions.jsonl").read_text()
        found = [json.loads(line) for line in text.splitlines()]
        return [{n: line[n] for n in names if n in line} for line in found] if names else found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["docker", "lab"], ("docker", ["lab"])),
        (["local", "/state", "lab", "0.1.0"], ("local", ["/state", "lab", "0.1.0"])),
        (["/state", "lab", "0.0.9"], ("local", ["/state", "lab", "0.0.9"])),  # of an older release
    ],
)
def test_the_service_is_started_by_the_arguments_of_an_older_release_too(arguments, expected):
    assert where(arguments) == expected


def unit_of(lab):
    workspace = lab.target._workspace("lab")
    return Units(workspace).recorded(lab.target.record(lab.blue().id))


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_more_requests_bring_instances_at_once_and_fewer_end_them_after_a_while(case):
    assert case.look(1) == 1
    assert case.look(8) == 4
    assert case.look(2, seconds=8) == 4
    assert case.look(2, seconds=5) == 1


def test_each_change_is_written_down_with_all_that_it_went_by(case):
    case.look(1)
    case.look(8)
    case.look(8)
    quiet, change, made = case.lines()
    assert (quiet["count"], quiet["wanted"], "memory" in quiet) == (1, 1, False)
    assert (change["count"], change["wanted"], change["deployment"]) == (1, 4, "iris/blue")
    assert change["reasons"] == ["RequestsInFlight is 8, its target 2"]
    assert change["sample"]["values"] == {"RequestsInFlight": 8}
    assert change["rule"]["max_instances"] == 5
    assert change["memory"]["wanted"] == [[1.0, 1]]
    assert (made["wanted"], made["made"]) == (4, True)


def test_what_changes_nothing_is_written_down_once_a_minute(case):
    case.look(1, seconds=150)
    assert len(case.lines()) == 3


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


def test_the_log_of_decisions_has_a_bounded_size(tmp_path):
    case = Case(tmp_path)
    case.autoscaler = case.with_log(5_000)
    case.look(1, seconds=3_000)
    files = sorted(case.folder.iterdir())
    assert [one.name for one in files] == ["decisions.jsonl", "decisions.jsonl.1"]
    assert all(one.stat().st_size <= 5_000 for one in files)
    assert all(one.stat().st_mode & 0o077 == 0 for one in files)


def test_a_log_that_cannot_be_written_holds_up_no_change(case):
    case.folder.write_text("no folder")
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


def test_what_a_killed_process_has_left_is_ended(case):
    lab = case.lab
    case.look(1)
    assert (
        len(lab.ports.compute.ensure(unit_of(lab), 3)) == 3
    )  # and is killed before it admits them
    assert len(lab.ports.compute.instances()["iris/blue"]) == 3
    case.look(1, seconds=2)
    assert len(lab.ports.compute.instances()["iris/blue"]) == 1
    assert case.faults_file.exists() is False


def test_what_an_up_starts_now_is_not_ended(case):
    lab = case.lab
    case.look(1)
    with lab.ports.records.lock(deployment_lock("iris/blue")):
        lab.ports.compute.ensure(unit_of(lab), 3)
        case.look(1, seconds=20)
        assert len(lab.ports.compute.instances()["iris/blue"]) == 3
    case.look(1, seconds=10)
    assert len(lab.ports.compute.instances()["iris/blue"]) == 1


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
