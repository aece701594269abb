"""What a kind of resource answers once it is there: one model a kind.

A secret is a SecretStr. COMPUTED stands on what the loader knows before the resource is there, so
that other resources can be planned with it.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, SecretStr

from inference_provider.spec.base import COMPUTED


class Outputs(BaseModel):
    """Base of all outputs; a kind without any has this one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WorkspaceOutputs(Outputs):
    """Where a workspace answers."""

    router_url: str | None = None
    """URL that the paths of its endpoints follow."""
    metrics_url: str | None = None
    """URL of its router's metrics."""
    ca_certificate: str | None = None
    """Whom callers must trust, in PEM, where `tls` is generated."""


class AssetOutputs(Outputs):
    """How a deployment names an asset."""

    reference: Annotated[str | None, COMPUTED] = None
    """`name:version@sha256:<content hash>`."""


class EndpointOutputs(Outputs):
    """Where an endpoint answers, and what its callers show it."""

    scoring_uri: str | None = None
    """URL that answers scoring requests."""
    openapi_uri: str | None = None
    """URL of the OpenAPI document."""
    primary_key: SecretStr | None = None
    secondary_key: SecretStr | None = None


class DeploymentOutputs(Outputs):
    """What runs of a deployment."""

    generation: str | None = None
    """12 hex digits over all fields whose change needs new processes."""
