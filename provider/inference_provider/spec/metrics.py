"""MetricsSettings: where what is measured of a workspace goes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.identity_provider import Url


class MetricsSettings(SpecModel):
    """Where what is measured of a workspace's endpoints and deployments goes, under Azure's names.

    A process beside the router reads it; without any of both nothing does.
    """

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of `http://127.0.0.1:<port>/metrics`, for a Prometheus on the router's machine."""
    otlp_endpoint: Annotated[Url | None, NO_SECRET] = None
    """URL of an OpenTelemetry collector, which gets them by OTLP over HTTP every 15 s:
    `http://127.0.0.1:4318`. `/v1/metrics` is added where it has no path."""

    @model_validator(mode="after")
    def _go_somewhere(self) -> Self:
        if self.port is None and self.otlp_endpoint is None:
            raise ValueError("set port or otlp_endpoint, or leave metrics out")
        return self
