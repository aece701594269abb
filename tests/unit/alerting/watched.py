"""The part of the service that watches alerts, and a workspace of one processor."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.local.server.model import until

from inference_provider.metrics.series import InstanceUse, Reading
from inference_provider.router.counters import Counted
from inference_provider.service.alerting import Alerting, Place
from inference_provider.spec.alert import AlertRule
from inference_provider.workspace.alert_states import AlertState, read

URL = "https://hooks.example.org/T0KEN"
FIRED, RESOLVED = (URL, "Fired"), (URL, "Resolved")


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
        self.is_there = self.told = True
        self.unreadable: set[str] = set()
        self.incarnations = dict[str, str]()
        self.bodies = list[Any]()
        self.most_bytes = 1_000_000
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
            most_bytes=self.most_bytes,
        )
        self.alerting = Alerting(place)

    def meter(self) -> Reading:
        if self.fault:
            raise self.fault
        if not self.is_there:
            why = () if self.told else ("metrics.k8s.io does not answer",)
            return Reading(self.clock.passed_s, {"": self.router}, (), why, self.told)
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
