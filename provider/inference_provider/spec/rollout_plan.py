"""The plan by which a split changes in steps, and by which signs it goes back."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from inference_provider.digits import exact
from inference_provider.spec.base import SpecModel

USUAL_PERCENTILE = 95
LONGEST_MS = 300_000
"""The last step of a router's counts of durations."""
LEAST_TIMED_S = 10
LONGEST_MINUTES = 10_080
"""A week."""


class RolloutStep(SpecModel):
    """A part of the way, and how long it has to go well there."""

    share: Annotated[int, Field(ge=1, le=99)]
    """Percent of the way from the split in force to the one declared. Whoever gains requests gets
    1 % of them at least."""
    bake_minutes: Annotated[float, Field(gt=0, le=LONGEST_MINUTES, allow_inf_nan=False)]
    """How long it stays there, measured and without an alarm; above 0, a fraction too."""


class RolloutAlarm(SpecModel):
    """What must not be, of any deployment that gains requests."""

    metric: Literal["ErrorRate", "RequestLatency"]
    """`ErrorRate`: percent of requests that the deployment failed (424, 408, 5xx, or no answer
    before the caller gave up) or refused because all its instances were at their limit. A 424 for
    what the model refuses of a caller, such as its 400 or 422, is none. `RequestLatency`:
    milliseconds."""
    above: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Percent, less than 100, or milliseconds, less than 300000, beyond which it fires."""
    percentile: Annotated[int, Field(ge=50, le=99)] | None = None
    """Of `RequestLatency` alone; 95 when left out."""
    window_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """Seconds back from now that it looks at, or since the rollout began if that is less; of
    `RequestLatency` 10 at least. `ErrorRate` looks at the whole step too, before the next one."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Requests in the window, or in the whole step, below which it says nothing."""

    @model_validator(mode="after")
    def _value_and_percentile_fit_the_metric(self) -> "RolloutAlarm":
        if self.metric == "ErrorRate" and self.percentile is not None:
            raise ValueError("percentile is of RequestLatency; remove it, or name that metric")
        if self.metric == "ErrorRate" and self.above >= 100:
            raise ValueError(f"ErrorRate is {exact(self.above)} percent; expected less than 100")
        if self.metric == "RequestLatency" and not self.above:
            raise ValueError("RequestLatency is 0 ms; expected more")
        if self.metric == "RequestLatency" and self.above >= LONGEST_MS:
            reason = f"RequestLatency is {exact(self.above)} ms; expected less than {LONGEST_MS}"
            raise ValueError(f"{reason}: what takes longer is not told apart")
        if self.metric == "RequestLatency" and self.window_s < LEAST_TIMED_S:
            reason = f"window_s is {self.window_s}; RequestLatency needs {LEAST_TIMED_S} at least"
            raise ValueError(f"{reason}: durations are counted every 5 s")
        return self


class RolloutPlan(SpecModel):
    """Moves a split step by step, and back when an alarm fires."""

    steps: Annotated[tuple[RolloutStep, ...], Field(min_length=1, max_length=50)]
    """In the order in which they are taken; after the last one the split is the declared one."""
    alarms: Annotated[tuple[RolloutAlarm, ...], Field(min_length=1, max_length=20)]
    """Any of them that fires ends the rollout."""
    on_alarm: Literal["revert", "hold"] = "revert"
    """What is done then: give the split back that was in force before, or stay at the step."""
    wait_minutes: (
        Annotated[float, Field(gt=0, le=2 * LONGEST_MINUTES, allow_inf_nan=False)] | None
    ) = None
    """How long an `up` waits for its end; it fails when an alarm has fired, or when that is longer.
    It returns after the first step when left out."""

    @field_validator("steps")
    @classmethod
    def _shares_rise(cls, steps: tuple[RolloutStep, ...]) -> tuple[RolloutStep, ...]:
        for one, other in pairwise(steps):
            if other.share <= one.share:
                raise ValueError(f"share {other.share} comes after {one.share}; let shares rise")
        return steps

    @model_validator(mode="after")
    def _the_wait_is_longer_than_the_way(self) -> "RolloutPlan":
        bakes = sum(one.bake_minutes for one in self.steps)
        if self.wait_minutes is not None and self.wait_minutes <= bakes:
            asked = exact(self.wait_minutes)
            reason = f"wait_minutes is {asked}, and the steps bake {bakes:g} minutes"
            raise ValueError(f"{reason}; make it longer than that, or remove it")
        return self

    @property
    def way(self) -> "RolloutPlan":
        """The plan itself, whoever waits for its end."""
        return self.model_copy(update={"wait_minutes": None})
