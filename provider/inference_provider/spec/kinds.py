"""Every kind of resource: one row with everything that is known of it.

What differs between kinds and is data stands here; nothing else lists the kinds to say it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from inference_provider.spec.autoscale_rule import AutoscaleRuleSpec
from inference_provider.spec.base import COMPUTED, LOCAL_PATH, Kind, SpecModel
from inference_provider.spec.connection import ConnectionSpec
from inference_provider.spec.deployment import BatchDeploymentSpec, DeploymentSpec
from inference_provider.spec.endpoint import (
    BatchEndpointSpec,
    EndpointSpec,
    ServerlessEndpointSpec,
)
from inference_provider.spec.environment import EnvironmentSpec
from inference_provider.spec.fields import kind_of, marked, model_for, models_in, types_in
from inference_provider.spec.identity import IdentitySpec, RoleAssignmentSpec
from inference_provider.spec.model import ModelSpec
from inference_provider.spec.names import Named, Names, named_in, names_of
from inference_provider.spec.outputs import (
    AssetOutputs,
    DeploymentOutputs,
    EndpointOutputs,
    Outputs,
    WorkspaceOutputs,
)
from inference_provider.spec.traffic import TrafficSpec
from inference_provider.spec.workspace import WorkspaceSpec

__all__ = ["ASSETS", "LISTED", "NAMED_BY", "RANK", "ROWS", "Kind", "Row"]


@dataclass(frozen=True)
class Row:
    """Everything that is known of one kind."""

    kind: Kind
    models: tuple[type[SpecModel], ...]
    """Its specs: one, or a union on `kind` whose first is meant where nothing is said."""
    listing: str
    """Top-level list of a stack file."""
    identity: tuple[str, ...] = ("workspace", "name")
    """Fields that name one resource on a target, the workspace's name first."""
    separator: str = "/"
    """Stands between the fields of `identity` behind the workspace, in an address."""
    after: tuple[Kind, ...] = (Kind.WORKSPACE,)
    """Kinds that it comes after although it names none of them: made after all of those in its
    workspace, or behind its endpoint, and deleted before them."""
    outputs: type[Outputs] = Outputs
    """What it answers once it is there."""
    owns: Mapping[Kind, frozenset[str]] = field(default_factory=dict)
    """Fields of other kinds that one of this kind decides for the resource of its own name, unless
    it is not `enabled`."""

    @property
    def model(self) -> type[SpecModel]:
        """The spec that is meant where nothing is said of a `kind`."""
        return self.models[0]

    @property
    def is_asset(self) -> bool:
        """Whether it has versions, and others name it by its pinned reference."""
        return issubclass(self.outputs, AssetOutputs)

    @property
    def word(self) -> str:
        """Its name in a sentence; of an asset, the field of a deployment that names it."""
        return self.kind.value.lower()

    def model_of(self, fields: Any) -> type[SpecModel]:
        """Return the spec that fields by name are written for."""
        return model_for(self.models, fields)

    def variant_of(self, fields: Any) -> str:
        """Return the `kind` that fields by name say or mean; empty where there is only one."""
        return kind_of(self.model_of(fields))

    @cached_property
    def names(self) -> Mapping[str, Names]:
        """What each of its fields names that names something, of all its models."""
        return {name: mark for model in self.models for name, mark in names_of(model).items()}

    def references(self, fields: SpecModel | Mapping[str, Any]) -> tuple[Named, ...]:
        """Return what the fields of one resource name in its own workspace.

        Args:
            fields: A spec, recorded properties, or what a program wrote. A name that only an
                engine knows is passed on in the parts; one that is part of a text is left out.
        """
        if isinstance(fields, SpecModel):
            return named_in(type(fields), vars(fields))
        return named_in(self.model_of(fields), fields)

    def owned_by(self, fields: SpecModel | Mapping[str, Any]) -> Mapping[Kind, frozenset[str]]:
        """Return what one with these fields decides of the resources of its own name, by kind."""
        by_name = vars(fields) if isinstance(fields, SpecModel) else fields
        return self.owns if by_name.get("enabled", True) else {}

    def identity_in(self, name: str) -> dict[str, str]:
        """Return the fields that a name in its workspace is made of."""
        return dict(zip(self.identity[1:], name.split(self.separator), strict=False))

    def place_of(self, spec: Any) -> tuple[str, str]:
        """Return the workspace of a spec, and its name there."""
        workspace, *rest = (str(getattr(spec, name)) for name in self.identity)
        return workspace, self.separator.join(rest or [workspace])

    @cached_property
    def output_names(self) -> frozenset[str]:
        """Names of its outputs, secret ones among them."""
        return frozenset(self.outputs.model_fields)

    @cached_property
    def secret_outputs(self) -> frozenset[str]:
        """Names of the outputs that are secret."""
        return _secret(self.outputs)

    @cached_property
    def secret_inputs(self) -> frozenset[str]:
        """Names of top-level fields that are always secret."""
        return frozenset(name for model in self.models for name in _secret(model))

    @cached_property
    def computed(self) -> frozenset[str]:
        """Names that follow from what a person wrote, and are known before it is there.

        Fields of the spec, like `content_hash`, and outputs, like `reference`.
        """
        written = {n for m in self.models for n in marked(m, COMPUTED) - marked(m, LOCAL_PATH)}
        return frozenset(written | marked(self.outputs, COMPUTED))


def _secret(model: Any) -> frozenset[str]:
    fields = model.model_fields.items()
    return frozenset(name for name, info in fields if _holds_secret(info.annotation))


def _holds_secret(annotation: Any) -> bool:
    return SecretStr in types_in(annotation) or any(map(_secret, models_in(annotation)))


_ASSET = ("workspace", "name", "version")

ROWS: Mapping[Kind, Row] = {
    row.kind: row
    for row in (
        Row(
            Kind.WORKSPACE,
            (WorkspaceSpec,),
            "workspaces",
            identity=("name",),
            after=(),
            outputs=WorkspaceOutputs,
        ),
        Row(Kind.CONNECTION, (ConnectionSpec,), "connections"),
        Row(
            Kind.MODEL,
            (ModelSpec,),
            "models",
            identity=_ASSET,
            separator=":",
            after=(Kind.WORKSPACE, Kind.CONNECTION),  # one may have the credentials of its bucket
            outputs=AssetOutputs,
        ),
        Row(
            Kind.ENVIRONMENT,
            (EnvironmentSpec,),
            "environments",
            identity=_ASSET,
            separator=":",
            after=(Kind.WORKSPACE, Kind.CONNECTION),
            outputs=AssetOutputs,
        ),
        Row(Kind.IDENTITY, (IdentitySpec,), "identities"),
        Row(
            Kind.ENDPOINT,
            (EndpointSpec, BatchEndpointSpec, ServerlessEndpointSpec),
            "endpoints",
            outputs=EndpointOutputs,
        ),
        Row(Kind.ROLE_ASSIGNMENT, (RoleAssignmentSpec,), "role_assignments"),
        Row(
            Kind.DEPLOYMENT,
            (DeploymentSpec, BatchDeploymentSpec),
            "deployments",
            identity=("workspace", "endpoint", "name"),
            after=(Kind.WORKSPACE, Kind.CONNECTION, Kind.IDENTITY, Kind.ROLE_ASSIGNMENT),
            outputs=DeploymentOutputs,
        ),
        Row(
            Kind.TRAFFIC,
            (TrafficSpec,),
            "traffic",
            identity=("workspace", "endpoint"),
            after=(Kind.WORKSPACE, Kind.DEPLOYMENT),
        ),
        Row(
            Kind.AUTOSCALE_RULE,
            (AutoscaleRuleSpec,),
            "autoscale_rules",
            identity=("workspace", "endpoint", "deployment"),
            owns={Kind.DEPLOYMENT: frozenset({"instance_count"})},
        ),
    )
}
"""In the order in which they are made."""

LISTED: Mapping[str, Row] = {row.listing: row for row in ROWS.values()}
"""By top-level list of a stack file."""

RANK: Mapping[Kind, int] = {kind: rank for rank, kind in enumerate(ROWS)}
"""Made in rising order, deleted in falling order."""

ASSETS: tuple[Row, ...] = tuple(row for row in ROWS.values() if row.is_asset)
"""Kinds that a deployment names by pinned reference."""

NAMED_BY: Mapping[Kind, tuple[Kind, ...]] = {
    kind: tuple(
        row.kind for row in ROWS.values() if any(kind in m.kinds for m in row.names.values())
    )
    for kind in ROWS
}
"""Kind -> kinds with a field that may name a resource of it."""
