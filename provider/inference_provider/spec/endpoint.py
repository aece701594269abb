"""Endpoint: a stable URL, in front of deployments or of a model of a registry.

A union on `kind`: online, batch or serverless, each with fields of its own.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Tag

from inference_provider.spec.base import (
    COSMETIC,
    REPLACES,
    SECURITY,
    Enabled,
    Kind,
    ResourceName,
    SpecModel,
    Tags,
    kind_among,
    on_kind,
)
from inference_provider.spec.names import names


def _fold_case(value: object) -> object:
    """Azure ML folds `AMLToken` and `Key` to `aml_token` and `key`."""
    if not isinstance(value, str):
        return value
    folded = value.lower().replace("_", "")
    return {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}.get(folded, value)


def _aad_too(value: object) -> object:
    """Azure ML calls it `aad` on serverless endpoints."""
    return "aad_token" if str(value).lower() == "aad" else _fold_case(value)


class EndpointSpec(SpecModel):
    """An online endpoint: a stable URL that splits its requests over deployments."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    """Unique in its workspace; part of the scoring URL."""
    kind: Annotated[Literal["online"], kind_among("online", "batch", "serverless"), REPLACES] = (
        "online"
    )
    """`batch` and `serverless` have other fields."""
    auth_mode: Annotated[
        Literal["key", "aml_token", "aad_token"], BeforeValidator(_fold_case), SECURITY
    ] = "key"
    """What callers prove themselves with: `key`, two keys that never expire; `aml_token`, tokens of
    `inferctl token` that do; `aad_token`, tokens of an identity provider."""
    identity: Annotated[ResourceName | None, REPLACES, names(Kind.IDENTITY)] = None
    """A user-assigned identity; a system-assigned one when left out."""
    public_network_access: Annotated[Enabled, SECURITY] = "enabled"
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}


class BatchEndpointSpec(SpecModel):
    """A batch endpoint: a stable URL that takes jobs, and hands them to one deployment."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    """Unique in its workspace, among endpoints of all kinds."""
    kind: Annotated[Literal["batch"], REPLACES]
    auth_mode: Annotated[Literal["aad_token", "key"], BeforeValidator(_fold_case), SECURITY] = (
        "aad_token"
    )
    identity: Annotated[ResourceName | None, REPLACES, names(Kind.IDENTITY)] = None
    """A user-assigned identity; a system-assigned one when left out."""
    public_network_access: Annotated[Enabled, SECURITY] = "enabled"
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}


class ServerlessEndpointSpec(SpecModel):
    """A serverless endpoint: a model of a registry, with its one deployment built in."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    """Unique in its workspace, among endpoints of all kinds."""
    kind: Annotated[Literal["serverless"], REPLACES]
    model_id: Annotated[str, Field(min_length=1), REPLACES]
    """The model: `azureml://registries/<registry>/models/<name>`."""
    auth_mode: Annotated[Literal["key", "aad_token"], BeforeValidator(_aad_too), SECURITY] = "key"
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}


AnyEndpoint = Annotated[
    Annotated[EndpointSpec, Tag("online")]
    | Annotated[BatchEndpointSpec, Tag("batch")]
    | Annotated[ServerlessEndpointSpec, Tag("serverless")],
    on_kind("online", "batch", "serverless"),
]
