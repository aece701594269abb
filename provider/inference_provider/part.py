"""A part of some workspaces: what it declares changes, and all else stays as it is.

Goes in: what a target holds, and what somebody wants of a few resources of it. Comes out: a stack
of all of it, by which references and limits are checked, and plans that touch only what is wanted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from inference_provider.desired import DesiredResource
from inference_provider.errors import SpecError, StillHolds
from inference_provider.observed import RANK, Kind, ObservedState, Record, ResourceId
from inference_provider.ownership import owned_by_another
from inference_provider.plan import Action, ActionKind, Plan
from inference_provider.sharing import notes, refuse_unreadable
from inference_provider.spec import SpecModel, StackSpec, stack_faults
from inference_provider.spec.base import LOCAL_PATH
from inference_provider.spec.fields import marked
from inference_provider.spec.kinds import ROWS
from inference_provider.stack import Pipeline, Planned, Stack, StackName
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.state import State


@dataclass(frozen=True)
class Part(Stack):
    """A stack of which only some resources are wanted; the others are there already."""

    wanted: frozenset[ResourceId] = field(default_factory=frozenset)
    kept: frozenset[ResourceId] = field(default_factory=frozenset)
    """Those of them whose content is what is kept already, and whose files nobody knows."""

    def resolve(self, observed: ObservedState) -> tuple[DesiredResource, ...]:
        """Fill in every default of what is wanted."""
        return tuple(
            one.model_copy(update={"base_dir": None}) if one.id in self.kept else one
            for one in super().resolve(observed)
            if one.id in self.wanted
        )


@dataclass(frozen=True)
class Held:
    """What workspaces hold, as specs. Secrets are digests, but those of deployments."""

    observed: ObservedState
    specs: Mapping[ResourceId, SpecModel]

    @property
    def listings(self) -> dict[str, list[SpecModel]]:
        """The specs by their list of a stack file."""
        found: dict[str, list[SpecModel]] = {row.listing: [] for row in ROWS.values()}
        for id_, spec in self.specs.items():
            found[ROWS[id_.kind].listing].append(spec)
        return found

    def with_specs(self, name: str, wanted: Mapping[ResourceId, SpecModel]) -> Part:
        """Return a part in which some specs are others, or new.

        Raises:
            SpecError: With every broken rule between resources.
        """
        listings = Held(self.observed, {**self.specs, **wanted}).listings
        whole: dict[str, Any] = {listing: tuple(found) for listing, found in listings.items()}
        spec = StackSpec.model_construct(name=name, **whole)
        if faults := stack_faults(spec):
            raise SpecError(faults)
        return part_of(spec, wanted)


def part_of(spec: StackSpec, wanted: Iterable[ResourceId]) -> Part:
    """Return the part of a stack that is wanted."""
    stack = Stack.of(spec)
    return Part(stack.name, stack.workspaces, stack.place, spec, frozenset(wanted))


def held(target: Engine, workspace: str) -> Held:
    """Return what a workspace holds; what has an unreadable record is left out."""
    observed = target.observe((workspace,))
    records = [there.record for there in observed.resources.values() if there.record]
    specs = {record.id: _spec_of(target, record) for record in records}
    return Held(observed, specs)


def _spec_of(target: Engine, record: Record) -> SpecModel:
    if record.id.kind == Kind.DEPLOYMENT:
        state = State(target.platform.ports(record.id.workspace).records)
        if blueprint := state.blueprint(record.id.name):
            return blueprint  # type: ignore[no-any-return]
    return spec_of(record.id.kind, record.properties)


def spec_of(kind: Kind, properties: Mapping[str, Any]) -> SpecModel:
    """Return what is recorded as a spec; a field that is a secret, or unknown, has its default.

    A local path, which nobody records, is the folder that it is relative to.
    """
    model = ROWS[kind].model_of(properties)
    known = {name: value for name, value in properties.items() if name in model.model_fields}
    paths = {name: "." for name in marked(model, LOCAL_PATH) if _is_required(model, name)}
    if isinstance(code := known.get("code_configuration"), Mapping):
        known["code_configuration"] = {"code": ".", **code}
    known = {**paths, **known}
    try:
        return model.model_validate(known)
    except ValidationError as exc:
        wrong = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
        return model.model_construct(**{n: v for n, v in known.items() if n not in wrong})


def _is_required(model: type[SpecModel], name: str) -> bool:
    return model.model_fields[name].is_required()


def _refuse_while_named(gone: Collection[ResourceId], observed: ObservedState) -> None:
    """Refuse at once what would be refused in the midst, when a part is gone already."""
    for there in observed.resources.values():
        if there.record is None or there.id in gone:
            continue
        for named in ROWS[there.id.kind].references(there.record.properties):
            found = there.id.model_copy(update={"kind": named.kind, "name": named.name})
            if found in gone and not ROWS[named.kind].is_asset:
                reason = f"{there.id} names it"
                raise StillHolds("delete", str(found), reason, "delete that first")


class PartPipeline(Pipeline):
    """The pipeline, with deletions of a few resources; it looks at no other workspaces."""

    def workspaces(self, stack: StackName) -> tuple[str, ...]:
        """Return the workspaces that are meant, and none that the stack made earlier."""
        return tuple(sorted(stack.workspaces))

    def removal_of(
        self, stack: StackName, gone: Collection[ResourceId], observed: ObservedState
    ) -> Planned:
        """Plan the deletion of resources, what is made last first.

        Raises:
            OwnedByAnother: Another stack owns one of them.
            StillHolds: Something that stays names one of them.
        """
        _refuse_while_named(gone, observed)
        actions = []
        for id_ in sorted(gone, key=lambda one: RANK[one.kind], reverse=True):
            record = observed.get(id_).record
            if record and record.owner != stack.name:
                raise owned_by_another("delete", id_, record, stack.name)
            actions.append(Action(kind=ActionKind.DELETE, id=id_, owner=stack.name))
        found = Plan(actions=tuple(actions))
        refuse_unreadable(found, observed, stack.name)
        return Planned(stack, stack.workspaces, observed, found, tuple(notes(found, observed)))
