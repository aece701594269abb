"""LogSettings: where the logs of a workspace go."""

from typing import Annotated

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.identity_provider import Url


class LogSettings(SpecModel):
    """Where the logs of a workspace go: calls, events of instances, and what instances print.

    The workspace service sends them.
    """

    otlp_endpoint: Annotated[Url, NO_SECRET]
    """URL of an OpenTelemetry collector, which gets them by OTLP over HTTP as they are written:
    `http://127.0.0.1:4318`. `/v1/logs` is added where it has no path."""
