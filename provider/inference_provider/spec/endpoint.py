"""Endpoint: a stable URL, in front of deployments or of a model of a registry.

A union on `kind`: online, batch or serverless, each with fields of its own.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Tag, model_validator

from inference_provider.spec.alert import AlertRule, WebhookUrl
from inference_provider.spec.base import (
    CAPACITY,
    COSMETIC,
    NO_SECRET,
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
from inference_provider.spec.cors import CorsSettings
from inference_provider.spec.names import names
from inference_provider.spec.request_limits import RequestLimits
from inference_provider.spec.sources import SourceRange


def _fold_case(value: object) -> object:
    """Azure ML folds `AMLToken` and `Key` to `aml_token` and `key`."""
    if not isinstance(value, str):
        return value
    folded = value.lower().replace("_", "")
    return {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}.get(folded, value)


def _aad_too(value: object) -> object:
    """Azure ML calls it `aad` on serverless endpoints."""
    return "aad_token" if str(value).lower() == "aad" else _fold_case(value)


def _fits_a_header(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not 16 <= len(text) <= 256:
        raise ValueError(f"{len(text)} characters; expected 16 to 256")
    if not text.isascii() or not text.isprintable() or set(" ,") & set(text):
        raise ValueError("expected visible ASCII characters, without blanks and commas")
    return key


CallerKey = Annotated[SecretStr, AfterValidator(_fits_a_header)]
WhichKey = Literal["primary", "secondary"]


class EndpointProperties(SpecModel):
    """What else Azure ML knows of an online endpoint."""

    enforce_access_to_default_secret_stores: Enabled = "disabled"
    """`enabled` gives the system-assigned identity the role Azure Machine Learning Workspace
    Connection Secrets Reader with the endpoint, if who deploys has that right too."""


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
    `inferctl token` that do; `aad_token`, tokens of the workspace's
    `identity_provider`, of callers with a role that lets them score."""
    keys: Annotated[dict[WhichKey, CallerKey], SECURITY] = {}
    """Keys of yours, 16 to 256 visible ASCII characters: `{primary: "${env:IRIS_KEY}"}`. A key that
    is left out is generated."""
    key_rotations: Annotated[
        dict[Literal["primary", "secondary", "signing"], Annotated[int, Field(ge=0)]], SECURITY
    ] = {}
    """Another number generates another key: `{primary: 2}`; one that is left out generates none.
    `signing` is the key that signs the tokens of `aml_token`."""
    identity: Annotated[ResourceName | None, REPLACES, names(Kind.IDENTITY)] = None
    """A user-assigned identity; a system-assigned one when left out."""
    public_network_access: Annotated[Enabled, SECURITY] = "enabled"
    """`disabled` answers `allowed_source_ranges` alone, and needs one."""
    properties: Annotated[EndpointProperties, SECURITY] = EndpointProperties()
    """What else Azure ML knows of it."""
    allowed_source_ranges: Annotated[tuple[SourceRange, ...], SECURITY, NO_SECRET] = ()
    """Addresses that may call it, of those that may call the workspace: `[10.1.0.0/16]`; all of
    these when left out. Others are answered 403 whatever they ask."""
    cors: Annotated[CorsSettings | None, SECURITY] = None
    """Which pages of other sites may call it from a browser; none when left out."""
    request_limits: Annotated[RequestLimits, CAPACITY] = RequestLimits()
    """How many requests it takes in a minute."""
    alerts: Annotated[dict[ResourceName, AlertRule], CAPACITY] = {}
    """When a person is to hear of it, by a name of yours: `{errors: {metric: ErrorRate, threshold:
    5}}`. The workspace service looks each 5 s."""
    alert_webhooks: Annotated[dict[ResourceName, WebhookUrl], SECURITY] = {}
    """Who is told, by the name that `webhook` of an alert has: `{ops: "${env:OPS_WEBHOOK}"}`. Each
    is a URL that takes Azure Monitor's common alert schema by POST, and is kept as a secret."""
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}

    @model_validator(mode="after")
    def _disabled_names_who_may_call(self) -> "EndpointSpec":
        if self.public_network_access == "disabled" and not self.allowed_source_ranges:
            raise ValueError(
                "public_network_access disabled answers allowed_source_ranges alone, and there is"
                " none; name one: [10.0.0.0/8], or [127.0.0.0/8, ::1] for the router's own machine"
            )
        return self

    @model_validator(mode="after")
    def _alerts_name_webhooks_that_are_there(self) -> "EndpointSpec":
        named = {one.webhook for one in self.alerts.values()} - {None}
        for name, one in self.alerts.items():
            if one.webhook and one.webhook not in self.alert_webhooks:
                there = ", ".join(self.alert_webhooks) or "none"
                reason = f"alerts.{name}.webhook is '{one.webhook}', and alert_webhooks has {there}"
                raise ValueError(f"{reason}; add it there, or correct the name")
        for name in self.alert_webhooks.keys() - named:
            raise ValueError(f"alert_webhooks.{name} is named by no alert; name it, or remove it")
        return self

    @model_validator(mode="after")
    def _keys_are_of_its_mode(self) -> "EndpointSpec":
        others = [f"keys.{name}" for name in self.keys] if self.auth_mode != "key" else []
        used = {"key": {"primary", "secondary"}, "aml_token": {"signing"}}.get(self.auth_mode, ())
        others += [f"key_rotations.{name}" for name in self.key_rotations if name not in used]
        if others:
            said = f"{' and '.join(others)}: an endpoint of auth_mode {self.auth_mode} has no such"
            raise ValueError(f"{said} key; leave it out")
        return self

    @model_validator(mode="after")
    def _own_keys_are_two_and_turn_by_hand(self) -> "EndpointSpec":
        values = [key.get_secret_value() for key in self.keys.values()]
        if len(set(values)) < len(values):
            raise ValueError("keys.primary and keys.secondary are the same; expected two keys")
        for name in self.keys.keys() & self.key_rotations.keys():
            raise ValueError(f"keys.{name} is yours; change it there, not by key_rotations.{name}")
        return self


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
