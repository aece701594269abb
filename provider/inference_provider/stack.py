"""The pipeline as one object: load -> observe -> resolve -> plan -> refuse -> apply, and drift.

Goes in: a stack file, a target, and who asks. Comes out: a plan with notes for the user, the
changes themselves, or a drift report. The command line and tests call this, so each policy (who
shares a workspace, what is deleted, what is refused) is decided in one place. It never asks.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inference_provider.access import Assignment, manager_note, no_manager, roles_with
from inference_provider.alert_dimensions import unwatched
from inference_provider.apply import Finished, apply, nobody, refuse_unsupported
from inference_provider.desired import DesiredResource, resolve
from inference_provider.drift import DriftReport, drift
from inference_provider.errors import (
    Fault,
    OutOfCapacity,
    SeveralFailed,
    SpecError,
    StillServing,
    TargetError,
    is_out_of_capacity,
)
from inference_provider.files import load_stack
from inference_provider.files.lines import read_document
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.fixes import only
from inference_provider.observed import (
    Actor,
    Kind,
    ObservedState,
    Record,
    ResourceId,
    known_assets,
)
from inference_provider.outputs import outputs
from inference_provider.plan import (
    Action,
    ActionKind,
    Plan,
    kept_by_rollouts,
    left_unknown,
    without_deletions,
)
from inference_provider.plan import plan as make_plan
from inference_provider.sharing import (
    notes,
    refuse_unreadable,
    refuse_what_is_owned,
    without_shared,
)
from inference_provider.spec import DeploymentSpec, TrafficSpec
from inference_provider.spec.roles import CustomRole
from inference_provider.spec.stack import StackSpec
from inference_provider.spec.target import Place, place_from
from inference_provider.splits import split_spec
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.ports import Progress, silent

_TOLD = frozenset({Kind.WORKSPACE, Kind.ENVIRONMENT, Kind.ROLE_ASSIGNMENT, Kind.DEPLOYMENT})
"""Kinds of which a target has something to say before they are made or changed."""


@dataclass(frozen=True)
class StackName:
    """The part of a stack that is known even if the rest of its file has faults."""

    name: str
    """The owner's label of everything the stack creates."""
    workspaces: tuple[str, ...]
    """Names of the workspaces it declares."""
    place: Place
    """Where its workspaces are."""


@dataclass(frozen=True)
class Stack(StackName):
    """A declared stack; `spec` comes from a file or from a program."""

    spec: StackSpec

    @classmethod
    def of(cls, spec: StackSpec) -> "Stack":
        """Return the stack that a spec declares; each item knows the folder of its paths."""
        names = tuple(workspace.name for workspace in spec.workspaces)
        return cls(spec.name, names, spec.place, spec)

    @classmethod
    def load(cls, path: Path) -> "Stack":
        """Read a stack file. Raises SpecError with every fault in it."""
        return cls.of(load_stack(path))

    @classmethod
    def named(cls, path: Path) -> StackName:
        """Read only a stack file's name, workspaces and target, whatever else is wrong in it.

        To delete, stop or inspect a stack this is enough, and none of these should wait for a
        corrected file.

        Raises:
            SpecError: Not even that can be read; with every fault in the file.
        """
        try:
            document = read_document(read_text(path, path.name, STACK_FILE_MIB)).value
            listed = document.get("workspaces") or [{}]
            names = tuple(entry.get("name", "default") for entry in listed)
            if all(isinstance(name, str) for name in (document["name"], *names)):
                place = place_from(listed[0].get("target", "local"))
                return StackName(document["name"], names, place)
        except (Unreadable, AttributeError, KeyError, TypeError, ValidationError):
            pass
        return cls.load(path)  # raises with every fault

    def resolve(self, observed: ObservedState) -> tuple[DesiredResource, ...]:
        """Fill in every default; references may name assets that the workspaces already hold."""
        return resolve(self.spec, known_assets=known_assets(observed))


@dataclass(frozen=True)
class Planned:
    """A plan for one stack, and what to tell the user about it."""

    stack: StackName
    workspaces: tuple[str, ...]
    """Workspaces that the stack declares, or made earlier and no longer declares."""
    observed: ObservedState
    """Their state before anything is done."""
    plan: Plan
    notes: tuple[str, ...] = ()
    """For the user: who owns a workspace, what stays, whose state will show a change."""

    @property
    def deletions(self) -> tuple[Action, ...]:
        """Actions that delete or replace something; the user must confirm these first."""
        gone = (ActionKind.DELETE, ActionKind.REPLACE, ActionKind.RECREATE)
        return tuple(action for action in self.plan.pending if action.kind in gone)


class Pipeline:
    """Every operation that applies a stack to a target, or compares them."""

    def __init__(self, target: Engine, actor: Actor) -> None:
        self._target, self._actor = target, actor

    def workspaces(self, stack: StackName) -> tuple[str, ...]:
        """Return the stack's workspaces, and those it made earlier and no longer declares."""
        declared = set(stack.workspaces)
        others = set(self._target.workspaces()) - declared
        owned = self._target.owned_by(stack.name, others) if others else ()
        return tuple(sorted({*declared, *owned}))

    @contextmanager
    def hold(self, stack: StackName) -> Iterator[tuple[str, ...]]:
        """Keep others out of the stack's workspaces; yield their names.

        Raises:
            Busy: Somebody else holds one of them.
        """
        names = self.workspaces(stack)
        with self._target.hold(names, self._actor):
            yield names

    def plan(
        self,
        stack: Stack,
        workspaces: Iterable[str] | None = None,
        *,
        prune: bool = True,
        fixed: Collection[str] | None = None,
    ) -> Planned:
        """Plan the changes that make the target match the stack.

        Args:
            stack: What is declared.
            workspaces: The names that `hold` yielded; looked up when left out.
            prune: Whether to delete or hand over what the stack made but no longer declares.
            fixed: Addresses of all that may change; everything when left out.

        Raises:
            SpecError: One of `fixed` is not of the stack, or depends on what differs too.
            CapabilityMissing: The target cannot do all of it, or a quota would be exceeded.
            OwnedByAnother: Another stack owns something that this one declares.
            StillServing: What is to go would still answer requests, as long as a rollout takes.
        """
        names = self._names(stack, workspaces)
        observed = self._target.observe(names)
        whole = make_plan(stack.resolve(observed), observed, stack.name)
        found = without_shared(whole, observed)
        if fixed is not None:
            found = only(found, fixed)
        refuse_unsupported(found, self._target, observed, self._actor.user)
        refuse_what_is_owned(found, observed)
        if not prune:
            found = without_deletions(found)
        if kept := kept_by_rollouts(found, observed):
            reason = "the rollout of its endpoint's traffic would still send it requests"
            remedy = "keep it in the file until the rollout has ended"
            raise StillServing("delete", ", ".join(map(str, kept)), reason, remedy)
        refuse_unreadable(found, observed, stack.name)
        told = [*notes(found, observed), *left_unknown(found), *unwatched(found, observed)]
        return Planned(stack, names, observed, found, (*told, *self._about(found)))

    def _about(self, found: Plan) -> Iterator[str]:
        """Say where a workspace is new, what takes minutes before it runs, and what else helps."""
        wanted = [action.desired for action in found.actions if action.desired]
        spaces = {one.id.name: one.spec for one in wanted if one.id.kind == Kind.WORKSPACE}
        for action in found.pending:
            space = spaces.get(action.id.workspace)
            if action.desired is None or action.id.kind not in _TOLD:
                continue
            if action.id.kind == Kind.ROLE_ASSIGNMENT:
                told = [self._about_assignment(action.desired, space.roles if space else {})]
            elif isinstance(spec := action.desired.spec, DeploymentSpec):
                told = [spec.liveness_note()]
            else:
                told = [*self._target.capabilities.notes(action.desired, space)]
            if action.id.kind == Kind.WORKSPACE:
                told = [*self._about_workspace(action), *told]
            yield from (f"{action.id}: {note}" for note in told if note)

    def _about_workspace(self, action: Action) -> Iterator[str]:
        if action.kind == ActionKind.CREATE and (place := self._target.home().name):
            yield f"{place} has no workspace of this name yet"
        if self._target.images and action.desired:
            yield self._target.images.note(action.desired.spec)
        yield self._target.capabilities.cut_note(change.path for change in action.changes)

    def _about_assignment(self, wanted: DesiredResource, own: Mapping[str, CustomRole]) -> str:
        """Say that an assignment lets an identity deploy by itself; most do not."""
        one = Assignment.of(wanted.properties)
        roles = roles_with({name: vars(role) for name, role in own.items()})
        if no_manager(one, roles):
            return ""
        return manager_note(one, roles, self._target.capabilities.deploys_as)

    def removal(self, stack: StackName, workspaces: Iterable[str] | None = None) -> Planned:
        """Plan the deletion of everything that carries the stack's label.

        Args:
            stack: Whose label.
            workspaces: The names that `hold` yielded; looked up when left out.
        """
        names = self._names(stack, workspaces)
        observed = self._target.observe(names)
        found = without_shared(make_plan((), observed, stack.name), observed)
        refuse_unreadable(found, observed, stack.name)
        told = notes(found, observed)
        found = Plan(actions=(*found.actions, *self._leftovers(names, observed, stack.name)))
        if not found.actions:
            where = f" on {place}" if (place := self._target.home().name) else ""
            told.append(f"nothing in {', '.join(names)}{where} belongs to stack '{stack.name}'")
        return Planned(stack, names, observed, found, tuple(told))

    def apply(
        self,
        planned: Planned,
        progress: Progress = silent,
        finished: Finished = nobody,
        parallel: int = 1,
    ) -> None:
        """Do what was planned; see `apply.apply`. Unreadable records are set aside first."""
        for action in planned.plan.pending:
            if action.unreadable:
                self._target.set_aside(action.id, self._actor)
        apply(planned.plan, self._target, self._actor, progress, finished, parallel)
        for name in planned.workspaces:
            self._target.renew(name)

    def remove(
        self,
        planned: Planned,
        progress: Progress = silent,
        finished: Finished = nobody,
        parallel: int = 1,
    ) -> None:
        """Do a planned removal, even on a full disk.

        A deletion updates the router first, which needs disk space. A workspace that is deleted
        whole can be stopped instead: with nothing running, a deletion writes nothing.
        """
        try:
            self.apply(planned, progress, finished, parallel)
        except (OutOfCapacity, SeveralFailed) as exc:
            gone = [a.id.workspace for a in planned.deletions if a.id.kind == Kind.WORKSPACE]
            if not gone or not is_out_of_capacity(exc):
                raise
            for name in gone:
                self._target.stop(name, self._actor, progress)
            self.apply(
                self.removal(planned.stack, planned.workspaces), progress, finished, parallel
            )

    def split(
        self,
        endpoint: ResourceId,
        shares: Mapping[str, int],
        progress: Progress = silent,
        finished: Finished = nobody,
        shown: Plan | None = None,
    ) -> TrafficSpec:
        """Change an endpoint's split at once, keeping its mirror and its owner.

        Args:
            endpoint: The endpoint whose requests are split.
            shares: Percent by deployment; the sum is 100 or 0.
            progress: Told each step.
            finished: Told the action once it is done.
            shown: The plan that somebody agreed to; another one is refused.

        Returns:
            The new split. `drift` shows it until the stack declares it too.

        Raises:
            SpecError: A share names a missing deployment, or the shares are invalid.
            TargetError: The endpoint does not exist, or has changed since its plan was shown.
        """
        with self._target.hold((endpoint.workspace,), self._actor):
            spec, found = self.split_plan(endpoint, shares)
            if shown is not None and shown != found:
                reason = "it has changed since its plan was shown; nothing was changed"
                raise TargetError("split", str(endpoint), reason, "look at the new plan")
            apply(found, self._target, self._actor, progress, finished)
        return spec

    def split_plan(
        self, endpoint: ResourceId, shares: Mapping[str, int]
    ) -> tuple[TrafficSpec, Plan]:
        """Return the split that `split` would apply, and its plan. Raises what `split` raises."""
        traffic = self._target.observe_one(endpoint.model_copy(update={"kind": Kind.TRAFFIC}))
        record = traffic.record or self._target.record(endpoint)
        if record is None:
            raise TargetError("split", str(endpoint), "it is not there", "declare it first")
        self._refuse_missing(endpoint, shares)
        spec = split_spec(traffic, shares)
        wanted = DesiredResource(id=traffic.id, spec=spec, owner=record.owner, at_once=True)
        state = ObservedState(resources={traffic.id.address: traffic})
        return spec, make_plan((wanted,), state, record.owner)

    def _refuse_missing(self, endpoint: ResourceId, deployments: Iterable[str]) -> None:
        """Raise SpecError with a fault for each deployment that the endpoint does not have."""
        behind = {
            name: endpoint.model_copy(
                update={"kind": Kind.DEPLOYMENT, "name": f"{endpoint.name}/{name}"}
            )
            for name in deployments
        }
        faults = tuple(
            Fault(
                f"traffic.{name}",
                f"no deployment '{name}' behind endpoint '{endpoint.name}'",
                "deploy it first",
            )
            for name, resource in behind.items()
            if not self._target.is_recorded(resource)
        )
        if faults:
            raise SpecError(faults, "the split")

    def release(self, workspaces: Iterable[str]) -> tuple[Record, ...]:
        """Drop every state's claims in some workspaces, so that another state may take over.

        Nothing that runs changes. Returns the previous records, with their claims.
        """
        names = tuple(workspaces)
        with self._target.hold(names, self._actor):
            found = (there.record for there in self._target.observe(names).resources.values())
            held = tuple(record for record in found if record is not None and record.claim)
            for record in held:
                self._target.transfer(record.id, record.owner, self._actor)
        return held

    def drift(self, stack: Stack) -> DriftReport:
        """Compare what the stack declares with what is recorded and what runs."""
        observed = self._target.observe(self.workspaces(stack))
        return drift(stack.resolve(observed), observed, stack.name)

    def outputs(self, planned: Planned) -> dict[str, dict[str, Any]]:
        """Return the outputs of the resources in the planned workspaces, by address."""
        unchanged = not planned.plan.pending
        return outputs(planned.observed if unchanged else self._target.observe(planned.workspaces))

    def _names(self, stack: StackName, names: Iterable[str] | None) -> tuple[str, ...]:
        return self.workspaces(stack) if names is None else tuple(names)

    def _leftovers(
        self, names: Iterable[str], observed: ObservedState, owner: str
    ) -> Iterator[Action]:
        """Yield deletions of workspaces that a first apply began and that have no record."""
        recorded = {there.id.workspace for there in observed.resources.values()}
        there = set(self._target.workspaces())
        for name in names:
            if name in there and name not in recorded:
                resource = ResourceId.of_workspace(name)
                yield Action(kind=ActionKind.DELETE, id=resource, owner=owner)
