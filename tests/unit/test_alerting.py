"""What the service does of alerts: whom it tells, and what a killed one has left."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.growth import EIGHT_TIMES, growth
from tests.local.server.model import until

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import Counted
from inference_provider.service.alerting import PAUSES_S, Alerting, Place
from inference_provider.spec.alert import AlertRule
from inference_provider.targets.private_file import write_private
from inference_provider.workspace.alert_states import AlertState, read

URL = "https://hooks.example.org/T0KEN"


class Clock:
    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def monotonic_s(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds


class Service:
    """A service whose workspace has one processor, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.file, self.clock, self.cpu = folder / "alerts.json", Clock(), 0.0
        self.rules: dict[str, dict[str, AlertRule]] = {"iris": {"busy": rule()}}
        self.webhooks = {"ops": SecretStr(URL)}
        self.got: list[tuple[str, str]] = []
        self.answer, self.events = "", list[tuple[str, str, str]]()
        self.held = threading.Event()
        self.held.set()
        self.sent = 0
        self.fault: Exception | None = None
        self.router: Counted | None = None
        self.is_there = True
        self.unreadable: set[str] = set()
        self.incarnations = dict[str, str]()
        self.bodies = list[Any]()
        self.start()

    def start(self) -> None:
        """Begin one, in place of another that was killed."""
        place = Place(
            workspace="lab",
            meter=self.meter,
            rules=lambda: self.rules,
            unreadable=lambda: self.unreadable,
            incarnations=lambda: self.incarnations,
            webhooks=lambda _endpoint: self.webhooks,
            digest=lambda _endpoint, name: f"digest {hash(self.webhooks.get(name))}",
            file=self.file,
            tell=lambda *event: self.events.append(event),
            clock=self.clock,
            post=self.post,
        )
        self.alerting = Alerting(place)

    def meter(self) -> Reading:
        if self.fault:
            raise self.fault
        if not self.is_there:
            return Reading(self.clock.passed_s, {"": self.router})
        use = InstanceUse("iris/blue", "iris.blue.g.0", cpu=self.cpu)
        return Reading(self.clock.passed_s, {"": self.router}, (use,))

    def post(self, url: SecretStr, body: Any) -> str:
        self.sent += 1
        self.held.wait(20)
        if not self.answer:
            self.bodies.append(body)
            said = body["data"]["essentials"]
            self.got.append((url.get_secret_value(), said["monitorCondition"]))
        return self.answer

    def look(self, cpu: float, times: int = 5) -> None:
        self.cpu = cpu
        for _ in range(times):
            self.clock.sleep(5)
            self.alerting.look()
            if self.held.is_set():  # a message of an alert waits for the one before
                until(lambda: not any(o.is_sending for o in self.alerting._watched.values()))

    @property
    def state(self) -> AlertState:
        return read(self.file.read_bytes())["iris"]["busy"]


def rule(**fields: Any) -> AlertRule:
    usual = {
        "metric": "CpuUtilizationPercentage",
        "threshold": 80,
        "window_s": 15,
        "resolve_after_s": 0,
        "webhook": "ops",
    }
    return AlertRule(**usual | fields)


def counted(**by_status: int) -> Counted:
    """Return what a router has counted of one deployment."""
    return Counted(
        requests={("iris", "blue", status): count for status, count in by_status.items()},
        model_errors={},
        bytes={},
        latency={},
        instances={("iris", "blue"): (1, 1)},
        connections=1,
        connected=1,
    )


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)


FIRED, RESOLVED = (URL, "Fired"), (URL, "Resolved")


def test_a_webhook_hears_of_each_turn_once(service):
    service.look(95, 20)
    service.look(5, 20)
    assert service.got == [FIRED, RESOLVED]
    assert [name for _, name, _ in service.events] == ["AlertFired", "AlertResolved"]
    assert service.events[0] == (
        "iris",
        "AlertFired",
        "alert 'busy': CpuUtilizationPercentage 95 % above 80 % in 15 s",
    )


def test_a_service_that_is_started_again_tells_nothing_twice(service):
    service.look(95)
    for _ in range(3):
        service.start()
        service.look(95)
    assert service.got == [FIRED]
    service.start()
    service.look(5)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.pending == ()


def test_what_was_not_told_when_it_was_killed_is_told_by_the_next(service):
    service.held.clear()
    service.look(95)
    until(lambda: service.sent == 1)
    other = Service(service.file.parent)
    other.look(95, 1)
    assert other.got == [FIRED]
    service.held.set()


def test_a_message_that_does_not_arrive_is_sent_again_a_bounded_number_of_times(service):
    service.answer = "it answered 503"
    service.look(95, 4)
    assert service.sent == 1
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it answered 503; it is tried again"
    )
    service.look(95, (sum(PAUSES_S) + 60) // 5)
    assert service.sent == len(PAUSES_S) + 1 == 10
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it answered 503; given up after 10 times"
    )
    assert [name for _, name, _ in service.events] == [
        "AlertFired",
        "AlertNotDelivered",
        "AlertNotDelivered",
    ]
    service.answer = ""
    service.look(5)
    assert service.got == [RESOLVED]
    assert service.state.fault == ""


def test_a_webhook_that_was_away_hears_all_in_its_order(service):
    service.answer = "nothing listens there"
    service.look(95)
    service.look(5)
    service.answer = ""
    service.look(5, 10)
    assert service.got == [FIRED, RESOLVED]


def test_a_webhook_that_hangs_holds_up_no_look_and_no_other_alert(service):
    service.rules = {"iris": {"busy": rule(), "other": rule(threshold=70, webhook="free")}}
    hung = service.post

    def post(url: SecretStr, body: Any) -> str:
        if url.get_secret_value() == URL:
            return hung(url, body)
        service.got.append((url.get_secret_value(), body["data"]["essentials"]["alertRule"]))
        return ""

    service.webhooks["free"] = SecretStr("https://free.example.org/a")
    service.post = post
    service.start()
    service.held.clear()
    service.look(95)
    until(lambda: service.got == [("https://free.example.org/a", "other")])
    service.look(95, 5)
    assert service.sent == 1
    assert service.state.standing.has_fired
    service.held.set()


def test_one_that_is_removed_is_forgotten_and_that_is_told(service):
    service.look(95)
    service.rules = {}
    service.look(95)
    assert read(service.file.read_bytes()) == {}
    assert service.events[-1] == (
        "iris",
        "AlertRemoved",
        "alert 'busy' is declared no more; nobody is told that it is resolved",
    )
    service.rules = {"iris": {"busy": rule()}}
    service.look(95)
    assert service.got == [FIRED, FIRED]


def test_one_of_an_instance_that_is_gone_is_resolved_while_the_router_answers(service):
    service.look(95)
    service.is_there = False
    service.look(95, 20)
    assert service.got == [FIRED]  # nobody says that it is gone
    service.router = counted()
    service.look(95, 2)
    assert service.got == [FIRED]
    service.look(95, 1)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.standing.why == "it is no longer measured"
    service.is_there = True
    service.look(95)
    assert service.got == [FIRED, RESOLVED, FIRED]


def test_errors_of_an_endpoint_that_nobody_calls_any_more_are_resolved(service):
    service.rules = {"iris": {"busy": rule(metric="ErrorRate", threshold=5)}}
    for at in range(6):
        service.router = counted(**{"503": 20 * at})
        service.look(0, 1)
    assert service.got == [FIRED]
    service.look(0, 4)
    assert service.got == [FIRED]
    service.look(0, 1)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.standing.why == "it is no longer measured: 0 requests in 15 s, needs 10"


def test_one_that_cannot_be_read_is_kept_as_it_is(service):
    service.look(95)
    service.rules, service.unreadable = {}, {"iris"}
    service.look(95)
    assert service.state.standing.has_fired
    service.rules, service.unreadable = {"iris": {"busy": rule()}}, set()
    service.look(95)
    assert service.got == [FIRED]


def test_one_that_is_turned_off_is_resolved(service):
    service.look(95)
    service.rules = {"iris": {"busy": rule(enabled=False)}}
    service.look(95)
    assert service.got == [FIRED, RESOLVED]
    assert service.state.said == "it is turned off"


def test_another_threshold_fires_no_second_time(service):
    service.look(95)
    service.rules = {"iris": {"busy": rule(threshold=90)}}
    service.look(95)
    service.rules = {"iris": {"busy": rule(threshold=99)}}
    service.look(95)
    assert service.got == [FIRED, RESOLVED]


def test_what_another_metric_has_said_counts_no_more(service):
    service.look(95)
    service.rules = {"iris": {"busy": rule(metric="GpuUtilizationPercentage")}}
    service.look(5)
    assert service.state.said == "it is not measured now"
    assert service.got == [FIRED, RESOLVED]
    assert service.state.standing.why == "it is another rule now"
    [condition] = service.bodies[1]["data"]["alertContext"]["condition"]["allOf"]
    assert (condition["metricName"], condition["threshold"]) == ("CpuUtilizationPercentage", "80")


@pytest.mark.parametrize(
    "fields",
    [
        {"dimensions": {"deployment": ["blue"]}},
        {"aggregation": "maximum"},
        {"operator": "less_than", "threshold": 99},
    ],
)
def test_one_that_is_another_rule_fires_anew_also_where_the_service_was_killed_meanwhile(
    service, fields
):
    service.look(95)
    service.rules = {"iris": {"busy": rule(**fields)}}
    service.start()
    service.look(95)
    assert service.got == [FIRED, RESOLVED, FIRED]
    assert len({one["data"]["essentials"]["alertId"] for one in service.bodies}) == 2


def test_what_another_rule_had_resolved_is_said_of_none(service):
    service.look(95)
    service.look(5)
    service.rules = {"iris": {"busy": rule(metric="GpuUtilizationPercentage")}}
    service.look(5, 1)
    assert service.state.standing.since is None
    assert service.got == [FIRED, RESOLVED]


def test_one_of_an_endpoint_that_is_made_again_begins_anew(service):
    service.look(95)
    service.incarnations = {"iris": "1"}  # it was made before Pulumi held it
    service.look(95)
    assert service.got == [FIRED]
    service.incarnations = {"iris": "2"}
    service.look(95)
    assert service.got == [FIRED, RESOLVED, FIRED]


def test_a_message_tells_of_the_rule_that_fired(service):
    service.answer = "it answered 503"
    service.look(95)
    service.rules = {"iris": {"busy": rule(threshold=90)}}
    service.answer = ""
    service.look(95)
    [condition] = service.bodies[0]["data"]["alertContext"]["condition"]["allOf"]
    assert condition["threshold"] == "80"


def test_a_message_has_every_digit_of_a_threshold(service):
    service.rules = {
        "iris": {"busy": rule(metric="NetworkBytes", operator="less_than", threshold=123456789)}
    }
    service.router = counted()
    service.look(5)
    [condition] = service.bodies[0]["data"]["alertContext"]["condition"]["allOf"]
    assert condition["threshold"] == "123456789"
    assert "below 123456789 B/s in 15 s" in service.bodies[0]["text"]


def test_a_state_of_a_rule_of_a_newer_release_is_read_and_nothing_fires_twice(service):
    service.look(95)
    document = json.loads(service.file.read_text())
    document["iris"]["busy"]["rule"] |= {"metric": "TokensPerSecond", "snooze": True}
    service.file.write_text(json.dumps(document))
    service.start()
    service.look(95)
    assert service.got == [FIRED]


def test_an_alert_without_a_webhook_is_shown_all_the_same(service):
    service.rules = {"iris": {"busy": rule(webhook=None)}}
    service.look(95)
    assert service.sent == 0
    fired = "alert 'busy' fired at 2026-11-27T00:00:20Z: CpuUtilizationPercentage 95 % above 80 %"
    now = service.clock.now()
    assert [*service.state.notes("busy", now)] == [f"{fired} in 15 s"]
    later = now + timedelta(seconds=31)
    assert [*service.state.notes("busy", later)] == [
        f"{fired} in 15 s; nobody has looked since 2026-11-27T00:00:25Z"
    ]
    service.look(5)
    assert [*service.state.notes("busy", later)] == []
    assert [*service.state.notes("busy", service.clock.now() + timedelta(seconds=31))] == [
        "alert 'busy': nobody has looked since 2026-11-27T00:00:50Z"
    ]


def test_a_webhook_that_is_gone_is_told(service):
    service.webhooks = {}
    service.look(95)
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it is gone; apply the endpoint again; it is tried again"
    )


def test_what_a_webhook_did_not_take_is_said_no_more_once_it_is_removed_or_corrected(service):
    service.answer = "it answered 404"
    service.look(95, (sum(PAUSES_S) + 60) // 5)
    assert "given up after 10 times" in service.state.fault
    service.start()
    service.look(95, 1)
    assert "given up after 10 times" in service.state.fault
    service.webhooks = {"ops": SecretStr("https://hooks.example.org/corrected")}
    service.look(95, 1)
    assert service.state.fault == ""
    service.look(5)
    assert "was not told Resolved" in service.state.fault
    service.rules = {"iris": {"busy": rule(webhook=None)}}
    service.look(5, 1)
    assert (service.state.fault, service.state.pending) == ("", ())


def test_a_webhook_that_was_corrected_is_told_at_once(service):
    service.answer = "it answered 404"
    service.look(95, 60)
    assert service.state.pending[0].tries == 6  # the next after 300 s
    service.answer = ""
    service.webhooks = {"ops": SecretStr("https://hooks.example.org/corrected")}
    service.look(95, 1)
    assert service.got == [("https://hooks.example.org/corrected", "Fired")]


def test_a_fault_of_the_meter_is_raised_and_resolves_nothing(service):
    service.look(95)
    service.fault = TargetError("read", "records", "file is corrupt")
    with pytest.raises(TargetError):
        service.look(5, 1)
    assert service.state.standing.has_fired
    assert service.state.said == "it is not measured now"


def test_a_sender_that_fails_as_nobody_foresaw_sends_again(service):
    def fails(_url: SecretStr, _body: Any) -> str:
        raise RuntimeError(URL)

    service.post, told = fails, service.post
    service.start()
    service.look(95)
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it cannot be told: RuntimeError; it is tried again"
    )
    service.post = told
    service.start()
    service.look(95)
    assert service.got == [FIRED]


def test_no_webhook_is_written_down(service):
    service.answer = "it answered 503"
    service.look(95)
    assert "T0KEN" not in service.file.read_text() + json.dumps(service.events)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"iris": {"busy": {"standing": 1}}}', "[]", '{"iris": {"busy": {"rule": 1}}}'],
)
def test_a_file_that_cannot_be_read_is_as_none(service, text):
    service.file.write_text(text)
    service.start()
    service.look(95)
    assert service.got == [FIRED]


def test_nothing_is_sent_as_long_as_it_cannot_be_written_down_that_it_is(service, tmp_path):
    service.file = tmp_path / "file" / "alerts.json"
    (tmp_path / "file").write_text("in the way")
    service.start()
    for _ in range(9):
        with pytest.raises(TargetError, match="write"):
            service.look(95, 1)
    assert service.sent == 0
    (tmp_path / "file").unlink()
    service.look(95)
    assert service.got == [FIRED]


def test_on_a_full_disk_it_is_written_over_what_was_and_nothing_is_told_twice(service, tmp_path):
    with full_disk(tmp_path / "disk") as fill:
        service.file = tmp_path / "disk" / "service" / "alerts.json"
        service.start()
        service.look(5, 1)
        fill()
        with pytest.raises(OutOfCapacity):
            write_private(service.file.with_name("other"), "{}")
        service.look(95)
        service.start()
        service.look(95)
        assert service.got == [FIRED]
        assert service.state.standing.has_fired


@contextmanager
def full_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """Mount a small file system; what is yielded fills it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")

    def fill() -> None:
        with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_look_takes_as_much_longer_as_there_are_more_endpoints(tmp_path):
    def looks(endpoints: int) -> None:
        names = [f"iris-{at}" for at in range(endpoints)]
        service = Service(tmp_path)
        service.rules = {name: {"errors": of_errors} for name in names}
        router = Counted(
            requests={(name, "blue", "200"): 9 for name in names},
            model_errors={},
            bytes={},
            latency={(name, "blue"): {1.0: 9} for name in names},
            instances={(name, "blue"): (1, 1) for name in names},
            connections=1,
            connected=1,
        )
        service.router = router
        service.start()
        service.look(0, 5)

    of_errors = rule(metric="ErrorRate", threshold=5, webhook=None)
    assert growth(looks, 50) < EIGHT_TIMES
