"""Types of arguments that say where metrics, logs and spans go."""

from collections.abc import Sequence
from typing import Literal, Required, TypedDict

from pulumi import Input


class MetricsArgs(TypedDict, total=False):
    """Where what is measured of a workspace goes."""

    port: Input[int]
    """Port of the page for Prometheus: on loopback, or of each router pod."""
    otlp_endpoint: Input[str]
    """URL of an OpenTelemetry collector."""


class LogsArgs(TypedDict, total=False):
    """Where the logs of a workspace go, and how long they stay."""

    otlp_endpoint: Input[str]
    """URL of an OpenTelemetry collector."""
    retention_days: Input[int]
    """Days after which a line is gone at the latest."""
    retention_of: Input[Sequence[Input[Literal["traffic", "events", "console"]]]]
    """Tables whose lines that bounds; all three when left out."""


class TracesArgs(TypedDict, total=False):
    """Where the router of a workspace sends spans."""

    otlp_endpoint: Required[Input[str]]
    """URL of an OpenTelemetry collector."""
    sample_percent: Input[float]
    """Of how many requests in a hundred."""
