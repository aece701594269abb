"""Types of arguments of a rollout; a key that is left out gets its default."""

from collections.abc import Sequence
from typing import Required, TypedDict

from pulumi import Input


class RolloutStepArgs(TypedDict):
    """A part of the way, and how long it has to go well there."""

    share: Input[int]
    """Percent of the way from the split in force to the one declared, 1 to 99."""
    bake_minutes: Input[float]
    """How long it stays there."""


class RolloutAlarmArgs(TypedDict, total=False):
    """What must not be, of any deployment that gains requests."""

    metric: Required[Input[str]]
    """`ErrorRate`, percent, or `RequestLatency`, milliseconds."""
    above: Required[Input[float]]
    percentile: Input[int]
    """Of `RequestLatency` alone, 50 to 99; 95 when left out."""
    window_s: Input[int]
    """Seconds back from now that it looks at, of `RequestLatency` 10 at least; 60 when left out."""
    min_requests: Input[int]
    """Requests in the window, or in a whole step, below which it says nothing; 10 when left out."""


class RolloutPlanArgs(TypedDict, total=False):
    """Moves a split step by step, and back when an alarm fires."""

    steps: Required[Input[Sequence[Input[RolloutStepArgs]]]]
    """With rising shares; after the last one the split is the declared one."""
    alarms: Required[Input[Sequence[Input[RolloutAlarmArgs]]]]
    """At least one."""
    on_alarm: Input[str]
    """`revert`, or `hold` to stay at the step."""
    wait_minutes: Input[float]
    """How long an `up` waits for its end, and then fails; not at all when left out."""
