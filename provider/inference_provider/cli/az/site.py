"""Where an `az` command works: its workspace, what that holds, and the stack it acts for.

Names are compared without case, as Azure ML does.
"""

import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inference_provider.cli.az.arguments import NOT_FOUND
from inference_provider.cli.options import DEFAULT_FILE
from inference_provider.cli.session import Session, choose_workspaces
from inference_provider.errors import Fault, OwnedByAnother, SpecError, TargetError
from inference_provider.observed import Kind, ObservedResource, Presence, ResourceId
from inference_provider.part import Held, PartPipeline, held
from inference_provider.printable import one_line
from inference_provider.spec.target import on_this_machine
from inference_provider.stack import StackName

STACK = "az"
"""Owns what `az` makes, unless a person names another."""
STACK_VARIABLE = "INFERENCE_STACK"
_DEFAULT = "default"
_NO_MEANING = {"resource_group": "--resource-group", "subscription": "--subscription"}
_WITHOUT_EFFECT = {
    "no_wait": "--no-wait has no effect: the command returns once it is done",
    "skip_script_validation": (
        "--skip-script-validation has no effect: a script is parsed, and never run"
    ),
}


class Missing(TargetError):
    """There is no such resource."""

    exit_code = NOT_FOUND


@dataclass(frozen=True)
class Site:
    """One command in one workspace."""

    session: Session
    asked: Namespace
    """The command line."""
    workspace: str

    @classmethod
    def of(cls, session: Session, asked: Namespace) -> "Site":
        """Choose the workspace, and say which options have no effect.

        Raises:
            SpecError: There are several, or an option needs another target.
        """
        found = cls(session, asked, _workspace(session, asked.workspace_name))
        if getattr(asked, "local", False) and not on_this_machine(session.place):
            reason = f"workspace '{found.workspace}' is on {session.place}"
            raise SpecError((Fault("--local", reason, "leave it out"),), "the command line")
        ignored = [option for name, option in _NO_MEANING.items() if getattr(asked, name)]
        if ignored:
            verb = "has" if len(ignored) == 1 else "have"
            found.note(f"{' and '.join(ignored)} {verb} no meaning here")
        for name, said in _WITHOUT_EFFECT.items():
            if getattr(asked, name, False):
                found.note(said)
        return found

    def note(self, text: str) -> None:
        """Tell a person something beside the result."""
        if not self.asked.only_show_errors:
            self.session.err.print(one_line(f"note: {text}"), markup=False)

    @property
    def command(self) -> str:
        """As records and the journal name it."""
        return f"az {self.asked.group} {self.asked.verb}"

    @property
    def pipeline(self) -> PartPipeline:
        return PartPipeline(self.session.target, self.session.actor(self.command))

    @property
    def stack(self) -> StackName:
        """Return the stack that it acts for."""
        name = getattr(self.asked, "stack", None) or os.environ.get(STACK_VARIABLE) or STACK
        return StackName(name, (self.workspace,), self.session.place)

    @cached_property
    def held(self) -> Held:
        """What the workspace holds; read once."""
        return held(self.session.target, self.workspace)

    @property
    def resources(self) -> Mapping[str, ObservedResource]:
        """What the workspace holds, by address."""
        return self.held.observed.resources

    # -- names -----------------------------------------------------------------------------------

    def required(self, option: str) -> str:
        """Return the value of an option that must be given; raises SpecError."""
        value: str | None = getattr(self.asked, option.removeprefix("--").replace("-", "_"))
        if not value:
            fault = Fault(option, "missing", f"pass {option} NAME")
            raise SpecError((fault,), "the command line")
        return value

    def id_of(self, kind: Kind, name: str) -> ResourceId:
        """Return the id of a resource; in small letters where there is none of that name yet."""
        for there in self.resources.values():
            if there.id.kind == kind and there.id.name.lower() == name.lower():
                return there.id
        return ResourceId(kind=kind, workspace=self.workspace, name=name.lower())

    def find(self, kind: Kind, name: str) -> ObservedResource:
        """Return a resource. Raises Missing, or TargetError where it cannot be read."""
        there = self.held.observed.get(self.id_of(kind, name))
        if there.presence == Presence.ABSENT:
            raise Missing("find", str(there.id), "not found")
        if there.presence == Presence.UNKNOWN:
            raise TargetError("read", str(there.id), there.reason)
        return there

    def endpoint(self, option: str) -> ObservedResource:
        """Return the online endpoint that an option names; raises Missing."""
        there = self.find(Kind.ENDPOINT, self.required(option))
        kind = there.properties.get("kind", "online")
        if kind != "online":
            raise Missing("find", str(there.id), f"it is a {kind} endpoint")
        return there

    def deployment(self) -> ObservedResource:
        """Return the deployment that the command line names; raises Missing."""
        endpoint = self.endpoint("--endpoint-name")
        return self.find(Kind.DEPLOYMENT, f"{endpoint.id.name}/{self.required('--name')}")

    def behind(self, endpoint: ResourceId) -> Iterator[ObservedResource]:
        """Yield the deployments of an endpoint."""
        for there in self.resources.values():
            if there.id.kind == Kind.DEPLOYMENT and there.id.endpoint == endpoint.name:
                yield there

    def traffic(self, endpoint: ResourceId) -> ObservedResource | None:
        """Return the split of an endpoint; None where it has none."""
        found = self.held.observed.get(endpoint.model_copy(update={"kind": Kind.TRAFFIC}))
        return found if found.record else None

    def refuse_others(self, *ids: ResourceId) -> None:
        """Raise OwnedByAnother where another stack owns one of them; says how to act for it."""
        mine = self.stack.name
        for id_ in ids:
            record = self.held.observed.get(id_).record
            if record and record.owner != mine:
                raise OwnedByAnother(
                    self.asked.verb,
                    str(id_),
                    f"it belongs to stack '{record.owner}', not to '{mine}'",
                    f"change it there; or pass --stack {record.owner} to change it here, and"
                    " `inferctl drift` shows that until the stack declares it too",
                )


def _workspace(session: Session, asked: str | None) -> str:
    if asked is None and not Path(DEFAULT_FILE).is_file():
        there = session.target.workspaces()
        if not there or (_DEFAULT in there and len(there) > 1):
            return _DEFAULT
    names = choose_workspaces(session, None, asked)
    if len(names) > 1:
        reason = f"{DEFAULT_FILE} has several: {', '.join(names)}"
        fault = Fault("--workspace-name", reason, "pass --workspace-name NAME")
        raise SpecError((fault,), "the command line")
    return names[0]
