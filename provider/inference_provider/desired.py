"""spec -> desired resources with every default, in the order in which they are created. Pure.

Goes in: a spec with its content hashes (computed by `files.digest`), the owner's label, and the
assets that exist already, for `@latest`. Comes out: one DesiredResource per resource. The target
chooses ports and instances.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from inference_provider.errors import Fault, SpecError
from inference_provider.observed import Claim, Frozen, Kind, ResourceId
from inference_provider.secret_text import Secrets, sealed
from inference_provider.spec import (
    AnyDeployment,
    ChangeClass,
    EnvironmentSpec,
    ModelSpec,
    Reference,
    SpecModel,
    StackSpec,
)
from inference_provider.spec.fields import (
    field_roles,
    in_nested,
    kind_of,
    recorded,
    without_defaults,
)
from inference_provider.spec.free_text import free_fields
from inference_provider.spec.instance_type import sized
from inference_provider.spec.kinds import ASSETS, ROWS
from inference_provider.spec.reference import version_order


class DesiredResource(Frozen):
    """One resource with every default filled in."""

    id: ResourceId
    spec: Any
    """The resolved spec, of a model of the kind's row; secrets inside SecretStr."""
    owner: str
    """Owner's label: the name of its stack."""
    claim: Claim | None = None
    """Claim of the state that asks for it; None keeps the recorded claim."""
    base_dir: str | None = "."
    """Folder on this machine that paths in the spec are relative to; never recorded."""
    placeholders: Secrets = ()
    """Values of placeholders in the spec's free text; never recorded."""
    made_again: bool = False
    """Whether a replacement was requested: start new instances even if nothing differs."""
    owned: frozenset[str] | None = None
    """Top-level fields that another declared resource decides, which are not compared. None where
    only this resource is known."""
    gpus: tuple[str, ...] = ()
    """UUIDs of the GPUs that it gets if they are still free, so that others of the same plan get
    theirs; never recorded."""
    injected: str | None = None
    """Keyed digest of what its instances get of connections; None while that is not known."""
    at_once: bool = False
    """Whether a split changes at once, though its rollout says otherwise."""
    settled_generation: str = ""
    """The generation, once the record is known (`compare.with_generation`)."""

    @property
    def variant(self) -> str:
        """What kind of endpoint or deployment it is: `online`; empty for other resources."""
        model: type[SpecModel] = type(self.spec)
        return kind_of(model)

    @property
    def properties(self) -> dict[str, Any]:
        """JSON of the resolved spec, as compared and recorded; secrets as digests."""
        return properties_of(self.spec, self.placeholders)

    @property
    def generation(self) -> str:
        """12 hex digits over all fields whose change needs new processes, defaults left out.

        Once settled it is the record's, unless a rolling field differs: a release that hashes
        differently restarts nothing.
        """
        if self.settled_generation:
            return self.settled_generation
        model: type[SpecModel] = type(self.spec)
        roles = field_roles(model)
        said = without_defaults(model, recorded(self.spec))
        rolling = {
            name: value for name, value in said.items() if roles[name].change != ChangeClass.LIVE
        }
        return short_hash(json.dumps(rolling, sort_keys=True) + (self.injected or ""))


def short_hash(text: str) -> str:
    """Return 12 hex digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def properties_of(spec: SpecModel, placeholders: Secrets = ()) -> dict[str, Any]:
    """Dump a spec to JSON values, each secret as the digest of its value."""
    return sealed_properties(type(spec), recorded(spec), placeholders)


def sealed_properties(
    spec_type: type[SpecModel], properties: Mapping[str, Any], placeholders: Secrets
) -> dict[str, Any]:
    """Return properties with each secret in free text as its digest."""
    free = {name: properties[name] for name in free_fields(spec_type) if name in properties}
    inside = in_nested(
        spec_type, free, lambda model, inner: sealed_properties(model, inner, placeholders)
    )
    texts = {n: _sealed(value, placeholders) for n, value in free.items() if n not in inside}
    return {**properties, **texts, **inside}


def _sealed(value: Any, placeholders: Secrets) -> Any:
    if isinstance(value, str):
        return sealed(value, placeholders)
    if isinstance(value, Mapping):
        return {key: _sealed(item, placeholders) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sealed(item, placeholders) for item in value]
    return value


def identify(kind: Kind, spec: Any) -> ResourceId:
    """Return the id of a resource of `kind` with this spec."""
    workspace, name = ROWS[kind].place_of(spec)
    return ResourceId(kind=kind, workspace=workspace, name=name)


def reference(spec: ModelSpec | EnvironmentSpec) -> Reference:
    """Return the pinned reference of an asset."""
    return Reference(spec.name, spec.version, spec.content_hash)


def resolve(
    stack: StackSpec, base_dir: str | None = None, known_assets: Iterable[str] = ()
) -> tuple[DesiredResource, ...]:
    """Fill in every default of a stack.

    Args:
        stack: The declaration, with content hashes.
        base_dir: Folder its paths are relative to; the folder of each item's file when left out.
        known_assets: Pinned references that the workspaces already hold, `kind/workspace/ref`.

    Returns:
        Desired resources in the order in which they are created.

    Raises:
        SpecError: A reference names no asset.
    """
    assets = _asset_index(stack, known_assets)
    types = {workspace.name: workspace.instance_types for workspace in stack.workspaces}
    faults: list[Fault] = []
    resources: list[DesiredResource] = []
    for kind, row in ROWS.items():
        for i, spec in enumerate(getattr(stack, row.listing)):
            resolved = spec
            if kind == Kind.DEPLOYMENT:
                resolved = sized(spec, types.get(spec.workspace, {}))
                resolved = _pin(resolved, assets, f"{row.listing}.{i}", faults)
            resources.append(
                DesiredResource(
                    id=identify(kind, spec),
                    spec=resolved,
                    owner=stack.name,
                    base_dir=stack.folder(row.listing, i) if base_dir is None else base_dir,
                    placeholders=stack.placeholders(row.listing, i),
                )
            )
    if faults:
        raise SpecError(tuple(faults))
    declared = {resource.id: resource.spec for resource in resources}
    return tuple(_without_owned(resource, declared) for resource in resources)


def _without_owned(
    resource: DesiredResource, declared: Mapping[ResourceId, SpecModel]
) -> DesiredResource:
    return resource.model_copy(update={"owned": owned_fields(resource.id, declared)})


def owned_fields(resource: ResourceId, declared: Mapping[ResourceId, SpecModel]) -> frozenset[str]:
    """Return the fields of a resource that other declared resources of its name decide."""
    return frozenset(
        field
        for kind, row in ROWS.items()
        if resource.kind in row.owns
        and (other := declared.get(resource.model_copy(update={"kind": kind})))
        for field in row.owned_by(other).get(resource.kind, ())
    )


def _asset_index(
    stack: StackSpec, known_assets: Iterable[str]
) -> dict[tuple[str, str], list[Reference]]:
    """Map (kind, workspace) to pinned references; the stack's own override existing ones."""
    index: dict[tuple[str, str], dict[str, Reference]] = {}
    for address in known_assets:
        kind, workspace, text = address.split("/", 2)
        pinned = Reference.parse(text)
        index.setdefault((kind, workspace), {})[pinned.asset] = pinned
    for row in ASSETS:
        for spec in getattr(stack, row.listing):
            pinned = reference(spec)
            index.setdefault((row.word, spec.workspace), {})[pinned.asset] = pinned
    return {key: list(found.values()) for key, found in index.items()}


def _pin(
    spec: AnyDeployment,
    assets: Mapping[tuple[str, str], list[Reference]],
    path: str,
    faults: list[Fault],
) -> AnyDeployment:
    pinned: dict[str, str] = {}
    for kind in (row.word for row in ASSETS):
        asked = getattr(spec, kind)
        if asked is None or Reference.parse(asked).digest:
            continue
        found = _find(Reference.parse(asked), assets.get((kind, spec.workspace), []))
        if found is None:
            faults.append(
                Fault(f"{path}.{kind}", f"no {kind} '{asked}' in '{spec.workspace}'", "declare it")
            )
        else:
            pinned[kind] = str(found)
    return spec.model_copy(update=pinned)


def _find(asked: Reference, references: list[Reference]) -> Reference | None:
    fitting = [one for one in references if asked.fits(one.name, one.version)]
    return max(fitting, key=lambda one: version_order(one.version or ""), default=None)
