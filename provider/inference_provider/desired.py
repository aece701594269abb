"""Every default decided: spec -> desired resources, in the order in which they are made. Pure.

Goes in: a spec with its content hashes (computed by `files.digest`), the owner's label, and the
assets already there for `@latest`. Comes out: one DesiredResource a resource. Ports and instances
are the target's to choose.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

from inference_provider.errors import Fault, SpecError
from inference_provider.observed import RANK, Claim, Frozen, Kind, ResourceId
from inference_provider.secret_text import Secrets, mark, sealed
from inference_provider.spec import (
    LISTINGS,
    ChangeClass,
    DeploymentSpec,
    EnvironmentSpec,
    ModelSpec,
    SpecModel,
    StackSpec,
    asset_name,
)
from inference_provider.spec.base import FieldRole
from inference_provider.spec.free_text import is_free_text

_LISTING_OF_KIND = {
    Kind.WORKSPACE: "workspaces",
    Kind.CONNECTION: "connections",
    Kind.MODEL: "models",
    Kind.ENVIRONMENT: "environments",
    Kind.IDENTITY: "identities",
    Kind.ROLE_ASSIGNMENT: "role_assignments",
    Kind.ENDPOINT: "endpoints",
    Kind.DEPLOYMENT: "deployments",
    Kind.TRAFFIC: "traffic",
    Kind.AUTOSCALE_RULE: "autoscale_rules",
}

SPEC_OF_KIND: Mapping[Kind, type[SpecModel]] = {
    kind: LISTINGS[listing] for kind, listing in _LISTING_OF_KIND.items()
}
_NAME_FORMAT = {
    Kind.MODEL: "{s.name}:{s.version}",
    Kind.ENVIRONMENT: "{s.name}:{s.version}",
    Kind.DEPLOYMENT: "{s.endpoint}/{s.name}",
    Kind.TRAFFIC: "{s.endpoint}",
    Kind.AUTOSCALE_RULE: "{s.endpoint}/{s.deployment}",
}


class DesiredResource(Frozen):
    """One resource with every default decided."""

    id: ResourceId
    spec: Any
    """The resolved spec, of the model `SPEC_OF_KIND[id.kind]`; secrets inside SecretStr."""
    owner: str
    """Stack whose label it carries."""
    claim: Claim | None = None
    """The state that asks for it; None leaves the claim that there is."""
    base_dir: str = "."
    """Folder that paths in the spec are relative to; of this machine, so never recorded."""
    placeholders: Secrets = ()
    """What placeholders stood for in the spec's free text; never recorded."""
    made_again: bool = False
    """Known to replace what is there, on demand: new instances, though nothing differs."""

    @property
    def properties(self) -> dict[str, Any]:
        """JSON of the resolved spec: what is compared and recorded; secrets as digests."""
        return properties_of(self.spec, self.placeholders)

    @property
    def generation(self) -> str:
        """12 hex digits over all fields whose change needs new processes."""
        roles = field_roles(type(self.spec))
        rolling = {
            name: value
            for name, value in _dumped(self.spec).items()
            if roles[name].change != ChangeClass.LIVE
        }
        text = json.dumps(rolling, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def field_roles(spec_type: type[SpecModel]) -> dict[str, FieldRole]:
    """Return what a change of each top-level field means."""
    return {
        name: next((m for m in info.metadata if isinstance(m, FieldRole)), FieldRole())
        for name, info in spec_type.model_fields.items()
    }


def properties_of(spec: SpecModel, placeholders: Secrets = ()) -> dict[str, Any]:
    """Dump a spec to JSON values, each secret as the digest of its value."""
    return sealed_properties(type(spec), _dumped(spec), placeholders)


def sealed_properties(
    spec_type: type[SpecModel], properties: Mapping[str, Any], placeholders: Secrets
) -> dict[str, Any]:
    """Return properties with each secret in free text as its digest."""
    return {
        name: _sealed(spec_type, name, value, placeholders) for name, value in properties.items()
    }


def _sealed(spec_type: type[SpecModel], path: str, value: Any, placeholders: Secrets) -> Any:
    if not is_free_text(spec_type, path):
        return value
    if isinstance(value, Mapping):
        return {k: _sealed(spec_type, f"{path}.{k}", v, placeholders) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_sealed(spec_type, path, item, placeholders) for item in value]
    return sealed(value, placeholders) if isinstance(value, str) else value


def _dumped(spec: SpecModel) -> dict[str, Any]:
    """Dump a spec to JSON values; of secrets only those that always are one as digests."""
    plain = spec.model_dump(mode="python")
    result = _without_secrets(plain)
    # The folder is where content came from on one machine; its hash is what counts.
    if isinstance(result.get("code_configuration"), dict):
        result["code_configuration"].pop("code", None)
        result["code_configuration"].pop("stack_file", None)
    for field in ("path", "requirements_file", "stack_file"):
        result.pop(field, None)
    return dict(result)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return mark(value.get_secret_value())
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    return value


def identify(kind: Kind, spec: Any) -> ResourceId:
    """Return the identity of a resource of `kind` with this spec."""
    if kind == Kind.WORKSPACE:
        return ResourceId(kind=kind, workspace=spec.name, name=spec.name)
    name = _NAME_FORMAT.get(kind, "{s.name}").format(s=spec)
    return ResourceId(kind=kind, workspace=spec.workspace, name=name)


def reference(spec: ModelSpec | EnvironmentSpec) -> str:
    """Return the pinned reference of an asset: `name:version@sha256:<content hash>`."""
    return f"{spec.name}:{spec.version}@sha256:{spec.content_hash}"


def resolve(
    stack: StackSpec, base_dir: str | None = None, known_assets: Iterable[str] = ()
) -> tuple[DesiredResource, ...]:
    """Decide every default of a stack.

    Args:
        stack: The declaration, content hashes filled in.
        base_dir: Folder its paths are relative to; that of each item's file when left out.
        known_assets: Pinned references that the workspaces hold already, `kind/workspace/ref`.

    Returns:
        Desired resources in the order in which they are made.

    Raises:
        SpecError: A reference names no asset.
    """
    assets = _asset_index(stack, known_assets)
    faults: list[Fault] = []
    resources: list[DesiredResource] = []
    for kind, listing in _LISTING_OF_KIND.items():
        for i, spec in enumerate(getattr(stack, listing)):
            resolved = spec
            if isinstance(spec, DeploymentSpec):
                resolved = _pin(spec, assets, f"deployments.{i}", faults)
            resources.append(
                DesiredResource(
                    id=identify(kind, spec),
                    spec=resolved,
                    owner=stack.name,
                    base_dir=stack.folder(listing, i) if base_dir is None else base_dir,
                    placeholders=stack.placeholders(listing, i),
                )
            )
    if faults:
        raise SpecError(tuple(faults))
    return tuple(sorted(resources, key=lambda resource: RANK[resource.id.kind]))


def _asset_index(stack: StackSpec, known_assets: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Map (kind, workspace) to pinned references; the stack's own win over those already there."""
    index: dict[tuple[str, str], dict[str, str]] = {}
    for address in known_assets:
        kind, workspace, pinned = address.split("/", 2)
        index.setdefault((kind, workspace), {})[pinned.partition("@")[0]] = pinned
    for kind, specs in (("model", stack.models), ("environment", stack.environments)):
        for spec in specs:
            pinned = reference(spec)
            index.setdefault((kind, spec.workspace), {})[pinned.partition("@")[0]] = pinned
    return {key: list(found.values()) for key, found in index.items()}


def _pin(
    spec: DeploymentSpec,
    assets: Mapping[tuple[str, str], list[str]],
    path: str,
    faults: list[Fault],
) -> DeploymentSpec:
    pinned: dict[str, str] = {}
    for kind in ("model", "environment"):
        asked = getattr(spec, kind)
        if asked is None or "@sha256:" in asked:
            continue
        found = _find(asked, assets.get((kind, spec.workspace), []))
        if found is None:
            faults.append(
                Fault(f"{path}.{kind}", f"no {kind} '{asked}' in '{spec.workspace}'", "declare it")
            )
        else:
            pinned[kind] = found
    return spec.model_copy(update=pinned)


def _find(asked: str, references: list[str]) -> str | None:
    name, version = asset_name(asked)
    matching = [ref for ref in references if asset_name(ref)[0] == name]
    if version is not None:
        return next((ref for ref in matching if asset_name(ref)[1] == version), None)
    return max(matching, key=lambda ref: _version_order(str(asset_name(ref)[1])), default=None)


def _version_order(version: str) -> tuple[int, int, str]:
    """Numbers after texts, compared as numbers: version 10 is later than 9."""
    return (1, int(version), "") if version.isdigit() else (0, 0, version)
