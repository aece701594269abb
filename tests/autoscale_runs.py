"""An autoscaler as tests run it: rules, and a clock that goes on with each look."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from inference_provider.autoscale import Memory, decide
from inference_provider.autoscale_samples import Sample, Timed
from inference_provider.spec import AutoscaleRuleSpec

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TICK_S = 2.0


def rule(**given) -> AutoscaleRuleSpec:
    wanted = {"min_instances": 1, "max_instances": 10, **given}
    return AutoscaleRuleSpec(endpoint="iris", deployment="blue", **wanted)


def in_flight(target=8, **given) -> AutoscaleRuleSpec:
    return rule(targets=[{"metric": "RequestsInFlight", "target": target}], **given)


def busy(target=70, **given) -> AutoscaleRuleSpec:
    return rule(targets=[{"metric": "CpuUtilizationPercentage", "target": target}], **given)


def step(change, threshold=70.0, metric="CpuUtilizationPercentage", **given):
    operator = "greater_than" if change > 0 else "less_than"
    return {
        "metric": metric,
        "operator": operator,
        "threshold": threshold,
        "change": change,
    } | given


AZURE = rule(
    min_instances=2,
    max_instances=5,
    metrics=[
        step(2),
        step(-1, 30.0),
        step(1, 70.0, "RequestLatency"),
    ],
)
"""Azure's example: 2 to 5, +2 above 70 % of CPU, -1 below 30, +1 above 70 ms, each over 5 min."""


class Run:
    """An autoscaler: what it was told, and the counts that it chose."""

    def __init__(self, of: AutoscaleRuleSpec, count: int = 1) -> None:
        self.rule, self.count = of, count
        self.memory = Memory()
        self.at_s = 0.0
        self.counts = [count]
        self.why: tuple[str, ...] = ()
        self.timed = Timed(requests=0, total_ms=0.0)

    def look(self, ready: int | None = None, answered: int = 10, **values: float) -> int:
        """Have it look; with a latency, which so many requests had that were answered since."""
        took_ms = values.pop("RequestLatency", None)
        if took_ms is not None:
            before, limits = self.timed, [one.threshold for one in self.rule.metrics]
            self.timed = Timed(
                requests=before.requests + answered,
                total_ms=before.total_ms + answered * took_ms,
                within={ms: before.within.get(ms, 0) + answered * (took_ms <= ms) for ms in limits},
            )
        sample = Sample(
            at_s=self.at_s,
            ready=self.count if ready is None else ready,
            values=values,
            timed=None if took_ms is None else self.timed,
        )
        now = NOON + timedelta(seconds=self.at_s)
        decision = decide(self.rule, self.count, sample, self.memory, now)
        self.count, self.memory, self.why = decision.count, decision.memory, decision.reasons
        self.counts.append(self.count)
        self.at_s += TICK_S
        return self.count

    def over(
        self, seconds: float, ready: int | None = None, answered: int = 10, **values: float
    ) -> int:
        for _ in range(int(seconds / TICK_S)):
            self.look(ready, answered, **values)
        return self.count

    def changes(self) -> int:
        return sum(a != b for a, b in pairwise(self.counts))
