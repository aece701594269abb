"""Types of arguments of an alert; a key that is left out gets its default."""

from collections.abc import Mapping, Sequence
from typing import Required, TypedDict

from pulumi import Input


class AlertRuleArgs(TypedDict, total=False):
    """Fires when a metric of an endpoint is beyond a threshold, and resolves when it is not."""

    description: Input[str]
    """What a person should know or do; the webhook gets it."""
    enabled: Input[bool]
    """`False` turns it off; one that has fired is resolved then."""
    severity: Input[int]
    """0 critical to 4 verbose, as Azure Monitor has them; 3 when left out."""
    metric: Required[Input[str]]
    """One that `inferctl metrics` prints, or `ErrorRate`."""
    dimensions: Input[Mapping[str, Input[Sequence[Input[str]]]]]
    """What of it counts, by `deployment`, `statusCodeClass` and so on."""
    aggregation: Input[str]
    """`average` when left out; `maximum`, `minimum`, or `total`."""
    operator: Input[str]
    """`greater_than` when left out; `greater_than_or_equal`, `less_than`, `less_than_or_equal`."""
    threshold: Required[Input[float]]
    """In the unit of the metric."""
    window_s: Input[int]
    """Seconds back from now that it looks at; 300 when left out."""
    min_requests: Input[int]
    """Requests in the window below which `ErrorRate` and `RequestLatency` say nothing."""
    resolve_after_s: Input[int]
    """Seconds for which it must not be beyond the threshold before it is resolved; 60 when left
    out."""
    webhook: Input[str]
    """Which of the endpoint's `alert_webhooks` is told."""
