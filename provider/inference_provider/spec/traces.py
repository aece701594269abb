"""TraceSettings: where spans of a workspace's requests go."""

from typing import Annotated

from pydantic import Field

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.identity_provider import Url


class TraceSettings(SpecModel):
    """Where the router sends a span of each request: who was asked, and how it ended."""

    otlp_endpoint: Annotated[Url, NO_SECRET]
    """URL of an OpenTelemetry collector, which gets them by OTLP over HTTP:
    `http://127.0.0.1:4318`. `/v1/traces` is added where it has no path."""
    sample_percent: Annotated[float, Field(ge=0, le=100)] = 100
    """Of how many requests in a hundred; a `traceparent` of the caller decides itself."""
