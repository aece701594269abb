"""MetricsSettings: where what is measured of a workspace goes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.identity_provider import Url


class MetricsSettings(SpecModel):
    """Where what is measured of a workspace's endpoints and deployments goes, under Azure's names.

    A process beside the router reads it; without any of both nothing does. On Kubernetes each pod
    of the router has a page of its own, and there is no `otlp_endpoint`.
    """

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of `http://127.0.0.1:<port>/metrics`, for a Prometheus on the router's machine; on
    Kubernetes of `http://<pod>:<port>/metrics` of each router pod, for one of the cluster."""
    otlp_endpoint: Annotated[Url | None, NO_SECRET] = None
    """URL of an OpenTelemetry collector, which gets them by OTLP over HTTP every 15 s:
    `http://127.0.0.1:4318`. `/v1/metrics` is added where it has no path."""

    @model_validator(mode="after")
    def _go_somewhere(self) -> Self:
        if self.port is None and self.otlp_endpoint is None:
            raise ValueError("set port or otlp_endpoint, or leave metrics out")
        return self
