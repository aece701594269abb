"""LogSettings: where the logs of a workspace go, and how long they stay."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.identity_provider import Url


class LogSettings(SpecModel):
    """Where the logs of a workspace go, and how long they stay.

    Calls, events of instances, and what instances print.
    """

    otlp_endpoint: Annotated[Url | None, NO_SECRET] = None
    """URL of an OpenTelemetry collector, which gets them by OTLP over HTTP as they are written:
    `http://127.0.0.1:4318`. `/v1/logs` is added where it has no path."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Days after which a line is gone at the latest, and half of them at the earliest unless its
    log grows too long before; it is the length alone when left out."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.otlp_endpoint is None and self.retention_days is None:
            raise ValueError("set otlp_endpoint or retention_days, or leave logs out")
        return self
