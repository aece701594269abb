"""AutoscaleRule: instance count by a target to keep, by steps of a metric, by schedules, or all."""

import zoneinfo
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from inference_provider.digits import exact
from inference_provider.spec.base import CAPACITY, REPLACES, Kind, ResourceName, SpecModel
from inference_provider.spec.cron import parsed
from inference_provider.spec.names import names

Value = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _percent_fault(metric: str, value: float, least: int) -> str:
    """Return what is wrong with a percentage; empty for what is none."""
    wrong = metric.endswith("Percentage") and not least <= value <= 100
    return f"{metric} is {exact(value)}; expected {least} to 100 percent" if wrong else ""


class TargetRule(SpecModel):
    """Keep the mean of a metric over all instances near a value, by as many as that needs."""

    metric: Literal[
        "CpuUtilizationPercentage", "CpuMemoryUtilizationPercentage", "RequestsInFlight"
    ]
    """Percentages are of the `cpu` or `memory` that an instance asks for."""
    target: Value
    """Whole percent, or requests in flight for each instance."""

    @model_validator(mode="after")
    def _target_can_be_kept(self) -> "TargetRule":
        if fault := _percent_fault(self.metric, self.target, 1):
            raise ValueError(fault)
        if self.metric.endswith("Percentage") and not self.target.is_integer():
            raise ValueError(f"{self.metric} is {exact(self.target)}; expected a whole number")
        if not self.target:
            raise ValueError(f"{self.metric} is 0; expected more")
        return self


class ScalingPace(SpecModel):
    """How fast `targets` may change the count in one direction."""

    stabilization_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    """Seconds for which a change has to be right before it is made: out by the lowest count wanted
    meanwhile, in by the highest. When left out 0 out and 300 in."""
    max_change: Annotated[int, Field(ge=1, le=50)] | None = None
    """Most instances that come, or go, within `period_s`; the target's own pace when left out."""
    period_s: Annotated[int, Field(ge=1, le=1800)] = 60

    @model_validator(mode="after")
    def _period_is_of_a_change(self) -> "ScalingPace":
        if self.max_change is None and self.period_s != type(self).model_fields["period_s"].default:
            raise ValueError(f"period_s is {self.period_s} without max_change; write that too")
        return self


class MetricRule(SpecModel):
    """Change the count when a metric stays beyond a threshold."""

    metric: Literal[
        "CpuUtilizationPercentage",
        "CpuMemoryUtilizationPercentage",
        "GpuUtilizationPercentage",
        "RequestsPerMinute",
        "RequestsQueued",
        "RequestLatency",
    ]
    """Percentages are the mean of all instances, of the `cpu` or `memory` that each asks for or of
    its GPUs' time. `RequestsQueued` is of the whole deployment: the requests beyond
    `max_concurrent_requests_per_instance` of all its instances, the mean of `window_s`.
    `RequestLatency` is milliseconds, of the requests that were answered within `window_s`; without
    any the step does not fire."""
    operator: Literal["greater_than", "less_than"]
    threshold: Value
    percentile: Annotated[int, Field(ge=50, le=99)] | None = None
    """Of `RequestLatency` alone: of 95 the step goes by the time in which 95 % of the requests were
    answered; by their mean when left out."""
    window_s: Annotated[int, Field(ge=60)] = 300
    change: Annotated[int, Field(ge=-50, le=50)]
    """Instances added (or removed, when negative) once per window."""

    @model_validator(mode="after")
    def _changes_something_at_a_value_that_can_be(self) -> "MetricRule":
        if fault := _percent_fault(self.metric, self.threshold, 0):
            raise ValueError(fault)
        if not self.change:
            raise ValueError("change is 0; expected instances to add, or to remove when negative")
        return self

    @model_validator(mode="after")
    def _percentile_is_of_latency(self) -> "MetricRule":
        if self.percentile is not None and self.metric != "RequestLatency":
            raise ValueError("percentile is of RequestLatency; remove it, or name that metric")
        return self


class ScheduleRule(SpecModel):
    """Other limits during part of the week."""

    cron: str
    """When it begins: minute, hour, day of the month, month and day of the week, `30 8 * * 1-5`."""
    duration_s: Annotated[int, Field(ge=60)]
    time_zone: str = "UTC"
    """Whose clock `cron` follows, such as `Europe/Berlin`."""
    min_instances: Annotated[int, Field(ge=0, le=50)]
    max_instances: Annotated[int, Field(ge=1, le=50)]

    @field_validator("cron")
    @classmethod
    def _cron_says_times(cls, text: str) -> str:
        parsed(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        # a small image has no time zones at all: what keeps the schedule has to know them
        if name != "UTC" and _zones() and name not in _zones():
            raise ValueError(f"no time zone '{name}' is known; expected one such as Europe/Berlin")
        return name

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> "ScheduleRule":
        _refuse_min_above_max(self.min_instances, self.max_instances)
        return self


class AutoscaleRuleSpec(SpecModel):
    """Keeps a deployment's instance count between two limits."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    endpoint: Annotated[ResourceName, REPLACES, names(Kind.ENDPOINT)]
    deployment: Annotated[ResourceName, REPLACES, names(Kind.DEPLOYMENT, behind="endpoint")]
    enabled: Annotated[bool, CAPACITY] = True
    """`false` turns the rule off: the deployment has its own `instance_count` again."""
    min_instances: Annotated[int, Field(ge=0, le=50), CAPACITY] = 1
    max_instances: Annotated[int, Field(ge=1, le=50), CAPACITY]
    targets: Annotated[tuple[TargetRule, ...], CAPACITY] = ()
    """Of several, the one that wants most instances decides."""
    scale_out: Annotated[ScalingPace, CAPACITY] = ScalingPace()
    """How fast `targets` may add instances."""
    scale_in: Annotated[ScalingPace, CAPACITY] = ScalingPace()
    """How fast `targets` may remove instances."""
    metrics: Annotated[tuple[MetricRule, ...], CAPACITY] = ()
    schedules: Annotated[tuple[ScheduleRule, ...], CAPACITY] = ()

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> "AutoscaleRuleSpec":
        _refuse_min_above_max(self.min_instances, self.max_instances)
        return self

    @model_validator(mode="after")
    def _one_target_a_metric(self) -> "AutoscaleRuleSpec":
        for metric, count in Counter(one.metric for one in self.targets).items():
            if count > 1:
                raise ValueError(f"targets has {metric} {count} times; keep one of them")
        return self

    def within(self, count: int) -> int:
        """Return a count, moved into the limits that hold outside its schedules."""
        return min(max(count, self.min_instances), self.max_instances)

    @property
    def most_ever(self) -> int:
        """The highest count that it may want: its own, or some schedule's."""
        return max([self.max_instances, *(one.max_instances for one in self.schedules)])

    @property
    def least_ever(self) -> int:
        """The lowest count that it may want: its own, or some schedule's."""
        return min([self.min_instances, *(one.min_instances for one in self.schedules)])

    def within_any(self, count: int) -> int:
        """Return a count, moved into what the limits, or those of some schedule, allow."""
        return min(max(count, self.least_ever), self.most_ever)


def _refuse_min_above_max(least: int, most: int) -> None:
    if least > most:
        raise ValueError(f"min_instances {least} is above max_instances {most}")


@cache
def _zones() -> frozenset[str]:
    """Return the time zones that this machine knows."""
    return frozenset(zoneinfo.available_timezones())


def recorded_rule(fields: Mapping[str, Any]) -> AutoscaleRuleSpec | None:
    """Return a rule by its record, unless it is off; a newer release may have recorded more fields.

    Raises:
        ValueError: That release knows values which this one does not.
    """
    known = AutoscaleRuleSpec.model_fields.keys() & fields.keys()
    rule = AutoscaleRuleSpec.model_validate({name: fields[name] for name in known})
    return rule if rule.enabled else None
