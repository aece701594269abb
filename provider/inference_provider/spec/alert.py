"""AlertRule: when a person is to hear of an endpoint, and the webhooks that are told."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from inference_provider.spec.base import ResourceName, SpecModel

ERROR_RATE = "ErrorRate"
USUAL_REQUESTS = 10
"""Below so many in a window a share of them says nothing, unless a rule has another number."""
_OF_REQUESTS = ("RequestLatency",)
_OF_DEPLOYMENT = frozenset({"deployment"})
_OF_INSTANCE = _OF_DEPLOYMENT | {"instanceId"}
DIMENSIONS: Mapping[str, frozenset[str]] = {
    ERROR_RATE: _OF_DEPLOYMENT,
    "RequestsPerMinute": _OF_DEPLOYMENT | {"statusCode", "statusCodeClass", "modelStatusCode"},
    "RequestLatency": _OF_DEPLOYMENT,
    "RequestLatency_P50": _OF_DEPLOYMENT,
    "RequestLatency_P90": _OF_DEPLOYMENT,
    "RequestLatency_P95": _OF_DEPLOYMENT,
    "RequestLatency_P99": _OF_DEPLOYMENT,
    "NetworkBytes": frozenset(),
    "DeploymentCapacity": _OF_DEPLOYMENT | {"State"},
    "CpuUtilizationPercentage": _OF_INSTANCE,
    "CpuMemoryUtilizationPercentage": _OF_INSTANCE,
    "DiskUtilization": _OF_INSTANCE | {"disk"},
    "GpuUtilizationPercentage": _OF_INSTANCE,
    "GpuMemoryUtilizationPercentage": _OF_INSTANCE,
}
"""What can be measured of one endpoint, and by which dimensions that is told apart."""
OF_INSTANCES = frozenset(name for name, them in DIMENSIONS.items() if "instanceId" in them)
"""Those of instances, which no router knows."""
SHARES = (ERROR_RATE, *(name for name in DIMENSIONS if name.startswith(_OF_REQUESTS)))
"""Metrics of which a few requests say nothing."""
AlertMetric = Literal[
    "ErrorRate",
    "RequestsPerMinute",
    "RequestLatency",
    "RequestLatency_P50",
    "RequestLatency_P90",
    "RequestLatency_P95",
    "RequestLatency_P99",
    "NetworkBytes",
    "DeploymentCapacity",
    "CpuUtilizationPercentage",
    "CpuMemoryUtilizationPercentage",
    "DiskUtilization",
    "GpuUtilizationPercentage",
    "GpuMemoryUtilizationPercentage",
]
Dimension = Literal[
    "deployment",
    "instanceId",
    "statusCode",
    "statusCodeClass",
    "modelStatusCode",
    "State",
    "disk",
]


class AlertRule(SpecModel):
    """Fires when a metric of an endpoint is beyond a threshold, and resolves when it is not."""

    description: str = ""
    """What a person should know or do; the webhook gets it."""
    enabled: bool = True
    """`false` turns it off; one that has fired is resolved then."""
    severity: Annotated[int, Field(ge=0, le=4)] = 3
    """0 critical, 1 error, 2 warning, 3 informational, 4 verbose, as Azure Monitor has them."""
    metric: AlertMetric
    """One that `inferctl metrics` prints, or `ErrorRate`: percent of requests that deployments
    failed (408, 424, 5xx, or no answer before the caller gave up). A 424 for what the model refuses
    of a caller, such as its 400 or 422, is none."""
    dimensions: dict[Dimension, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """What of it counts: `{deployment: [blue], statusCodeClass: [5xx]}`; all of the endpoint where
    nothing is said."""
    aggregation: Literal["average", "maximum", "minimum", "total"] = "average"
    """Of the window: `average`; the `maximum` or `minimum` of its looks, one each 5 s; or the
    `total` of `RequestsPerMinute`, requests, and of `NetworkBytes`, bytes."""
    operator: Literal[
        "greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal"
    ] = "greater_than"
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """In the unit of the metric."""
    window_s: Annotated[int, Field(ge=15, le=86400)] = 300
    """Seconds back from now that it looks at, each 5 s. It says nothing before so much is measured.
    """
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests in the window below which `ErrorRate` and `RequestLatency` say nothing; 10 when left
    out."""
    resolve_after_s: Annotated[int, Field(ge=0, le=86400)] = 60
    """Seconds for which it must not be beyond the threshold before it is resolved."""
    webhook: ResourceName | None = None
    """Which of the endpoint's `alert_webhooks` is told; none when left out: `inferctl alerts`,
    `status` and the console show it all the same."""

    @model_validator(mode="after")
    def _dimensions_are_of_the_metric(self) -> "AlertRule":
        known = DIMENSIONS[self.metric]
        for name in self.dimensions:
            if name not in known:
                there = ", ".join(sorted(known)) or "none"
                raise ValueError(f"{self.metric} has no dimension {name}; it has {there}")
        return self

    @model_validator(mode="after")
    def _aggregation_is_of_the_metric(self) -> "AlertRule":
        if self.aggregation == "total" and self.metric not in ("RequestsPerMinute", "NetworkBytes"):
            raise ValueError(f"{self.metric} has no total; use average, maximum or minimum")
        return self

    @model_validator(mode="after")
    def _threshold_can_be_passed(self) -> "AlertRule":
        percent = self.metric == ERROR_RATE or self.metric.startswith("DiskUtil")
        if percent and self.threshold >= 100 and self.operator.startswith("greater"):
            wrong = self.threshold > 100 or self.operator == "greater_than"
            if wrong:
                raise ValueError(f"{self.metric} is never above 100 percent; lower the threshold")
        if not self.threshold and self.operator == "less_than":
            raise ValueError(f"{self.metric} is never below 0; raise the threshold")
        return self

    @model_validator(mode="after")
    def _requests_are_of_the_metric(self) -> "AlertRule":
        if self.min_requests is not None and self.metric not in SHARES:
            raise ValueError(f"min_requests is of {ERROR_RATE} and RequestLatency; leave it out")
        return self


def _a_webhook(url: SecretStr) -> SecretStr:
    """Refuse what nothing can be sent to; never quotes it."""
    text = url.get_secret_value()
    with suppress(ValueError):
        parts = urlsplit(text)
        plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= 2048
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if plain and named and "@" not in parts.netloc and "#" not in text:
            return url
    raise ValueError(
        "expected a URL like 'https://hooks.example.org/T0/B0', without user and fragment"
    )


WebhookUrl = Annotated[SecretStr, AfterValidator(_a_webhook)]


def recorded_alerts(fields: Mapping[str, Any]) -> dict[str, AlertRule]:
    """Return the rules in the record of an endpoint, by name.

    Those are left out that only a newer release knows.
    """
    found = dict[str, AlertRule]()
    for name, rule in (fields.get("alerts") or {}).items():
        known = AlertRule.model_fields.keys() & rule.keys()
        with suppress(ValueError):
            found[name] = AlertRule.model_validate({field: rule[field] for field in known})
    return found
