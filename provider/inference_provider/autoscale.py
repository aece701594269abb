"""How many instances an autoscale rule wants, from what was measured. Pure.

Goes in: a rule, the count now, a measurement, and what the decision before remembered. Comes out:
the count to have and the reasons. It is for targets without an autoscaler of their own; what it
takes for a value that is left out is what Kubernetes takes.

Windows and paces go by a clock that never decreases, schedules by the time of day. What could not
be measured asks for nothing, and while a target's metric is missing no instance goes.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from inference_provider.autoscale_samples import Sample, mean_of, reaching, slower_than, thinned
from inference_provider.digits import exact
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.spec.autoscale_rule import MetricRule, ScalingPace, ScheduleRule, TargetRule
from inference_provider.spec.cron import parsed

IN_FLIGHT = "RequestsInFlight"
TOLERANCE = 0.1
"""A metric that is this near to its target changes nothing."""
OUT_AFTER_S, IN_AFTER_S = 0, 300
"""`stabilization_s` when it is left out."""
LONGEST_S = 3600
"""Seconds of which something is remembered."""
_KEPT_SAMPLES = 360
"""So many of the longest window are kept; of one of 300 s each second's."""
_IDLE = "no request is in flight"
_COME_AT_ONCE, _COME_WITHIN_S = 4, 15
"""Instances that come within some seconds when `scale_out` does not say; or as many as there
were, if those are more."""


class Memory(BaseModel):
    """What a decision knows of those before; nothing when an autoscaler starts."""

    model_config = ConfigDict(frozen=True)

    samples: tuple[Sample, ...] = ()
    wanted: tuple[tuple[float, int], ...] = ()
    """When, and how many, the rule's targets wanted."""
    changes: tuple[tuple[float, int], ...] = ()
    """When the count was changed, and by how many."""

    def with_change(self, at_s: float, by: int) -> "Memory":
        """Return one that knows of another change of the count."""
        return self.model_copy(update={"changes": (*self.changes, (at_s, by))}) if by else self

    def without_change(self, at_s: float) -> "Memory":
        """Return one that knows nothing of a change that was decided, and not made."""
        left = tuple(one for one in self.changes if one[0] != at_s)
        return self.model_copy(update={"changes": left})


@dataclass(frozen=True)
class Decision:
    """A count to have, why, and what the next decision has to know."""

    count: int
    reasons: tuple[str, ...]
    memory: Memory


class Limits(NamedTuple):
    """The counts that a rule allows at some time."""

    least: int
    most: int
    why: str


@dataclass(frozen=True)
class _Wish:
    count: int
    why: tuple[str, ...]


def decide(
    rule: AutoscaleRuleSpec, count: int, sample: Sample, memory: Memory, now: datetime
) -> Decision:
    """Return how many instances a deployment is to have.

    Args:
        rule: One that is on.
        count: How many it has, started or still starting.
        sample: What was measured now.
        memory: What the decision before returned, with the changes that were made since.
        now: The time of day, with a zone.
    """
    limits = limits_at(rule, now)
    raw = _raw(rule, count, sample, limits)
    known = _remembered(rule, count, sample, memory, raw)
    wishes = [_step_wish(rule, count, sample, known)]
    if raw is not None:
        wishes.append(_target_wish(rule, count, sample.at_s, known, raw))
    wish = max(filter(None, wishes), key=lambda one: one.count, default=_Wish(count, ()))
    wanted = min(max(wish.count, limits.least), limits.most)
    reasons = wish.why if wanted == wish.count else (*wish.why, limits.why)
    return Decision(wanted, reasons, known.with_change(sample.at_s, wanted - count))


def metrics_of(rule: AutoscaleRuleSpec) -> frozenset[str]:
    """Return the names of what a rule goes by."""
    kept, stepped = (one.metric for one in rule.targets), (one.metric for one in rule.metrics)
    return frozenset([*kept, *stepped])


def limits_at(rule: AutoscaleRuleSpec, now: datetime) -> Limits:
    """Return the counts that a rule allows at a time: of open schedules the highest of each."""
    open_ = [one for one in rule.schedules if is_open(one, now)]
    if not open_:
        least, most = rule.min_instances, rule.max_instances
        return Limits(least, most, f"the rule allows {least} to {most}")
    least, most = max(s.min_instances for s in open_), max(s.max_instances for s in open_)
    names = ", ".join(f"'{one.cron}'" for one in open_)
    return Limits(least, most, f"schedule {names} allows {least} to {most}")


def is_open(schedule: ScheduleRule, now: datetime) -> bool:
    """Whether a schedule began less than its duration ago, by the clock of its time zone.

    A start in the hour that a change of the clock leaves out is an hour later; one in the hour that
    comes twice begins the first time. A window lasts as long as it says, whatever the clock does.
    """
    cron, zone = parsed(schedule.cron), ZoneInfo(schedule.time_zone)
    lasts, today = timedelta(seconds=schedule.duration_s), now.astimezone(zone).date()
    for days in range(schedule.duration_s // 86400 + 2):
        day = today - timedelta(days)
        if not cron.falls_on(day):
            continue
        for hour in cron.hour.values:
            for minute in cron.minute.values:
                start = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                if start <= now < start + lasts:
                    return True
    return False


# -- targets -----------------------------------------------------------------------------------


def _target_wish(
    rule: AutoscaleRuleSpec, count: int, at_s: float, known: Memory, raw: _Wish
) -> _Wish:
    """Return what the targets want, after what was wanted before and at the rule's pace."""
    if raw.count > count > 0:
        return _out(rule.scale_out, count, at_s, known, raw)
    if raw.count < count:
        return _in(rule.scale_in, count, at_s, known, raw)
    return raw  # at 0, somebody waits


def _raw(rule: AutoscaleRuleSpec, count: int, sample: Sample, limits: Limits) -> _Wish | None:
    """Return what the targets want by this sample alone; None when none was measured."""
    if not count:
        return _woken(rule, sample)
    if not rule.targets:
        return None if limits.least else _without_targets(rule, count, sample)
    measured = [one for one in rule.targets if one.metric in sample.values]
    if not measured:
        return None
    wishes = [_by_target(one, count, sample) for one in measured]
    best = max(wishes, key=lambda one: one.count)
    if sample.values.get(IN_FLIGHT) == 0 and best.count == 1:
        best = _Wish(0, (_IDLE,))
    missing = ", ".join(one.metric for one in rule.targets if one not in measured)
    if missing and best.count < count:
        return _Wish(count, (f"{missing} could not be measured: no instance goes",))
    return best


def _woken(rule: AutoscaleRuleSpec, sample: Sample) -> _Wish | None:
    """Return what those want who wait for an instance: one, or as many as a target needs."""
    if IN_FLIGHT not in sample.values:
        return None
    waiting = math.ceil(sample.values[IN_FLIGHT])
    if not waiting:
        return _Wish(0, (_IDLE,))
    needed = [_by_target(one, 0, sample).count for one in rule.targets if one.metric == IN_FLIGHT]
    said = "1 request waits" if waiting == 1 else f"{waiting} requests wait"
    return _Wish(max([1, *needed]), (f"{said} for an instance",))


def _without_targets(rule: AutoscaleRuleSpec, count: int, sample: Sample) -> _Wish | None:
    """Return whether instances are wanted of which a rule allows none; None where steps decide.

    Those are relative to what there is, and never end the last one.
    """
    if IN_FLIGHT not in sample.values or (rule.metrics and count > 1):
        return None
    return _Wish(count, ()) if sample.values[IN_FLIGHT] else _Wish(0, (_IDLE,))


def _by_target(target: TargetRule, count: int, sample: Sample) -> _Wish:
    value = sample.values[target.metric]
    if target.metric == IN_FLIGHT:
        each = value / max(count, 1)
        wanted = math.ceil(value / target.target)
    else:
        each = _mean_of_all(value, target.target, count, sample.ready)
        wanted = max(math.ceil(count * each / target.target), 1)
    if count and abs(each / target.target - 1) <= TOLERANCE:
        wanted = count
    return _Wish(wanted, (f"{target.metric} is {each:.4g}, its target {exact(target.target)}",))


def _mean_of_all(value: float, target: float, count: int, ready: int) -> float:
    """Return the mean where instances that start count as idle above a target, as at it below.

    Else those that have just been asked for would be asked for again.
    """
    starting = max(count - ready, 0)
    if not count:
        return 0.0
    assumed = 0.0 if value > target else target
    mean = (value * (count - starting) + assumed * starting) / count
    return min(mean, target) if value <= target else max(mean, target)


def _out(pace: ScalingPace, count: int, at_s: float, known: Memory, raw: _Wish) -> _Wish:
    after_s = OUT_AFTER_S if pace.stabilization_s is None else pace.stabilization_s
    lowest = min([raw.count, *_within(known.wanted, at_s - after_s)])
    if lowest <= count:
        return _Wish(count, (*raw.why, f"not yet for {after_s} s"))
    period_s = _COME_WITHIN_S if pace.max_change is None else pace.period_s
    before = _at_the_start(count, known, at_s - period_s)
    most = before + (pace.max_change or max(_COME_AT_ONCE, before))
    if lowest > most:
        return _Wish(max(most, count), (*raw.why, f"{lowest} wanted, at the pace of scale_out"))
    return _Wish(lowest, raw.why)


def _in(pace: ScalingPace, count: int, at_s: float, known: Memory, raw: _Wish) -> _Wish:
    after_s = IN_AFTER_S if pace.stabilization_s is None else pace.stabilization_s
    highest = max([raw.count, *_within(known.wanted, at_s - after_s)])
    if highest >= count:
        return _Wish(count, (*raw.why, f"not yet for {after_s} s"))
    if pace.max_change is None:
        return _Wish(highest, raw.why)
    before = _at_the_start(count, known, at_s - pace.period_s)
    least = before - pace.max_change
    if highest < least:
        return _Wish(min(least, count), (*raw.why, f"{highest} wanted, at the pace of scale_in"))
    return _Wish(highest, raw.why)


def _at_the_start(count: int, known: Memory, since_s: float) -> int:
    """Return how many there were at some time: what has gone since may come back at once."""
    return count - sum(_within(known.changes, since_s))


def _within(moments: tuple[tuple[float, int], ...], since_s: float) -> list[int]:
    return [number for at_s, number in moments if at_s > since_s]


# -- steps -------------------------------------------------------------------------------------


def _step_wish(rule: AutoscaleRuleSpec, count: int, sample: Sample, known: Memory) -> _Wish | None:
    """Return what the steps want: out when one of them does, in when all of those for it do.

    They are relative, so a deployment without an instance has to be woken by something else.
    """
    if not count:
        return None
    fired = {
        one: value for one in rule.metrics if (value := _fires(one, sample, known)) is not None
    }
    out = [one for one in fired if one.change > 0]
    if out:
        most = max(out, key=lambda one: one.change)
        return _Wish(count + most.change, tuple(_told(one, fired[one]) for one in out))
    ways_in = [one for one in rule.metrics if one.change < 0]
    if not ways_in or not all(one in fired for one in ways_in):
        return None
    fewer = max(count + max(one.change for one in ways_in), 1)
    if fewer == count and not rule.least_ever:
        return None
    if back := _back_with(rule, count, fewer, sample, known):
        return _Wish(count, (back,))
    return _Wish(fewer, tuple(_told(one, fired[one]) for one in ways_in))


def _fires(step: MetricRule, sample: Sample, known: Memory) -> float | None:
    """Return what is measured of a step's window where that is beyond its threshold."""
    if _within(known.changes, sample.at_s - step.window_s):
        return None  # once per window
    value = _measured(step, sample, known)
    if value is None:
        return None
    return value if _beyond(step, value) else None


def _measured(step: MetricRule, sample: Sample, known: Memory) -> float | None:
    """Return what a step goes by: a mean, or the percent of requests that took longer.

    None when it was not measured in the whole window.
    """
    since_s = sample.at_s - step.window_s
    if step.percentile is None:
        return mean_of(step.metric, known.samples, since_s)
    return slower_than(step.threshold, known.samples, since_s)


def _beyond(step: MetricRule, value: float) -> bool:
    if step.percentile is not None:
        is_slow = value > 100 - step.percentile
        return is_slow == (step.operator == "greater_than")
    above = step.operator == "greater_than"
    return value > step.threshold if above else value < step.threshold


def _back_with(
    rule: AutoscaleRuleSpec, count: int, fewer: int, sample: Sample, known: Memory
) -> str:
    """Say which step out fewer instances would bring, who would share the same work."""
    for step in rule.metrics:
        shared = step.change > 0 and step.metric.endswith("Percentage")
        mean = _measured(step, sample, known) if shared else None
        if mean is not None and _beyond(step, would_be := mean * count / fewer):
            return f"with {fewer} {step.metric} would be {would_be:.4g}, {_side(step)}"
    return ""


def _told(step: MetricRule, value: float) -> str:
    said, after = f"{step.metric} is {value:.4g}, {_side(step)}", f"for {step.window_s} s"
    if step.percentile is not None:
        said = f"{step.metric}, percentile {step.percentile}, is {_side(step)}"
        after = f"{after}, {value:.4g} % of the requests took longer"
    return f"{said} {after}: {step.change:+d}"


def _side(step: MetricRule) -> str:
    side = "above" if step.operator == "greater_than" else "below"
    return f"{side} {exact(step.threshold)}"


# -- memory ------------------------------------------------------------------------------------


def _remembered(
    rule: AutoscaleRuleSpec, count: int, sample: Sample, memory: Memory, raw: _Wish | None
) -> Memory:
    """Return what is known now, without what no window reaches.

    An autoscaler that starts takes it that the targets wanted the count that there is, so that it
    ends nothing before it has looked for a while.
    """
    at_s, paces = sample.at_s, (rule.scale_out, rule.scale_in)
    windows = [one.window_s for one in rule.metrics]
    spans = (max(one.stabilization_s or 0, one.period_s) for one in paces)
    reach_s = min(max([IN_AFTER_S, *windows, *spans]), LONGEST_S)
    since_s = at_s - reach_s
    wanted = memory.wanted or ((at_s, count),)
    if raw is not None:
        wanted = (*wanted, (at_s, raw.count))
    samples = thinned((*memory.samples, sample), reach_s / _KEPT_SAMPLES)
    return Memory(
        samples=reaching(samples, since_s) if rule.metrics else (),
        wanted=_telling(tuple(one for one in wanted if one[0] > since_s)),
        changes=tuple(one for one in memory.changes if one[0] > since_s),
    )


def _telling(wanted: tuple[tuple[float, int], ...]) -> tuple[tuple[float, int], ...]:
    """Return those that are the highest or the lowest since their time: no other is asked for."""
    kept, high, low = list[tuple[float, int]](), -math.inf, math.inf
    for at_s, count in reversed(wanted):
        if count > high or count < low:
            kept.append((at_s, count))
            high, low = max(high, count), min(low, count)
    return tuple(reversed(kept))
