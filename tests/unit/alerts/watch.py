"""One alert rule, looked at every 5 s over a curve of what was measured."""

from datetime import UTC, datetime, timedelta
from typing import Any

from inference_provider import alerts
from inference_provider.alerts import Look, Standing, Verdict
from inference_provider.metrics.series import InstanceUse, Reading, series
from inference_provider.router.counters import Counted
from inference_provider.spec.alert import AlertRule

EVERY_S = 5
START = datetime(2026, 11, 27, tzinfo=UTC)


def counts(**of: Any) -> Counted:
    empty: dict[str, Any] = {
        "requests": {},
        "model_errors": {},
        "bytes": {},
        "latency": {},
        "instances": {},
        "connections": None,
        "connected": None,
    }
    return Counted(**empty | of)


class Watch:
    """One rule, and what it says at each look."""

    def __init__(self, **fields: Any) -> None:
        usual = {"metric": "ErrorRate", "threshold": 5, "window_s": 15, "resolve_after_s": 0}
        self.rule = AlertRule(**usual | fields)
        self.before: Reading | None = None
        self.last_s: float | None = None
        self.at_s = 1000.0
        self.looks: tuple[Look, ...] = ()
        self.standing = Standing()
        self.well_s = self.silent_s = 0.0
        self.verdict = Verdict(None, None, "")
        self.turns: list[tuple[float, str]] = []
        self.total: dict[str, int] = {}

    def answers(self, of: str = "blue", **by_status: int) -> Counted:
        """Return counters after more answers: `_200=10` for ten with 200."""
        for status, count in by_status.items():
            name = f"{of}/{status[1:]}"
            self.total[name] = self.total.get(name, 0) + count
        found = {("iris", *name.split("/")): n for name, n in self.total.items()}
        return counts(requests=found, instances={("iris", "blue"): (1, 1)})

    def look(self, router: Counted | None = None, *uses: InstanceUse) -> str:
        """Look, 5 s later; return what it says."""
        self.at_s += EVERY_S
        now = Reading(self.at_s, {"": router}, uses)
        known = alerts.of_endpoints(series(self.before or now, now)).get("iris", [])
        if alerts.is_counted(self.rule):
            grown = alerts.grown_between(self.before, now)
            one = None
            if grown is not None:
                growth = grown.get("iris", alerts.Growth())
                one = alerts.looked(self.rule, growth, self.before.at_s, self.at_s, known)
        else:
            one = alerts.seen(self.rule, self.last_s, self.at_s, known)
        looks = (*self.looks, one) if one else self.looks
        self.looks = alerts.remembered(self.rule, looks, self.at_s)
        self.verdict = alerts.judged(
            self.rule,
            self.looks,
            self.at_s,
            is_measured=one is not None,
            answered=router is not None,
        )
        if self.verdict.is_silent:
            self.silent_s += EVERY_S
        elif self.verdict.beyond is not None:
            self.silent_s = 0.0
        if self.verdict.beyond:
            self.well_s = 0.0
        elif one and self.verdict.beyond is False:
            self.well_s += one.seconds
        before = self.standing
        at = START + timedelta(seconds=self.at_s)
        self.standing = alerts.decided(
            self.rule, self.verdict, before, well_s=self.well_s, silent_s=self.silent_s, now=at
        )
        if self.standing.condition != before.condition:
            self.turns.append((self.at_s - 1000, self.standing.condition))
        self.last_s, self.before = self.at_s, now if router else self.before
        return self.verdict.why

    def used(self, cpu: float | None) -> str:
        return self.look(counts(), InstanceUse("iris/blue", "iris.blue.g.0", cpu=cpu))
