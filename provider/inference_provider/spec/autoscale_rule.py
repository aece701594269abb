"""AutoscaleRule: instance count from metrics, schedules or both."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from inference_provider.spec.base import CAPACITY, REPLACES, Kind, ResourceName, SpecModel
from inference_provider.spec.names import names


class MetricRule(SpecModel):
    """Change the count when a metric stays beyond a threshold."""

    metric: Literal[
        "CpuUtilizationPercentage",
        "CpuMemoryUtilizationPercentage",
        "GpuUtilizationPercentage",
        "RequestsPerMinute",
        "RequestLatency",
    ]
    operator: Literal["greater_than", "less_than"]
    threshold: float
    window_s: Annotated[int, Field(ge=60)] = 300
    change: int
    """Instances added (or removed, when negative) once per window."""


class ScheduleRule(SpecModel):
    """Other limits during part of the week."""

    cron: str
    duration_s: Annotated[int, Field(ge=60)]
    min_instances: Annotated[int, Field(ge=0, le=50)]
    max_instances: Annotated[int, Field(ge=1, le=50)]


class AutoscaleRuleSpec(SpecModel):
    """Keeps a deployment's instance count between two limits."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    endpoint: Annotated[ResourceName, REPLACES, names(Kind.ENDPOINT)]
    deployment: Annotated[ResourceName, REPLACES, names(Kind.DEPLOYMENT, behind="endpoint")]
    min_instances: Annotated[int, Field(ge=0, le=50), CAPACITY] = 1
    max_instances: Annotated[int, Field(ge=1, le=50), CAPACITY]
    metrics: Annotated[tuple[MetricRule, ...], CAPACITY] = ()
    schedules: Annotated[tuple[ScheduleRule, ...], CAPACITY] = ()

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> "AutoscaleRuleSpec":
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"min_instances {self.min_instances} is above max_instances {self.max_instances}"
            )
        return self
