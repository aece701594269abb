"""Endpoint: a stable URL with keys in front of deployments."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from inference_provider.spec.base import (
    COSMETIC,
    REPLACES,
    SECURITY,
    Enabled,
    ResourceName,
    SpecModel,
    Tags,
)


def _fold_case(value: object) -> object:
    """Azure ML folds `AMLToken` and `Key` to `aml_token` and `key`."""
    if not isinstance(value, str):
        return value
    folded = value.lower().replace("_", "")
    return {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}.get(folded, value)


class EndpointSpec(SpecModel):
    """A stable URL that splits its requests over deployments."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    """Unique in its workspace; part of the scoring URL."""
    kind: Annotated[Literal["online", "batch", "serverless"], REPLACES] = "online"
    auth_mode: Annotated[
        Literal["key", "aml_token", "aad_token"], BeforeValidator(_fold_case), SECURITY
    ] = "key"
    identity: Annotated[ResourceName | None, REPLACES] = None
    """A user-assigned identity; a system-assigned one when left out."""
    public_network_access: Annotated[Enabled, SECURITY] = "enabled"
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}
