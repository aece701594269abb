"""What of a target this Pulumi stack may declare and delete.

Goes in: a resource, what is recorded of it, and what the running program declares. Comes out:
faults for a preview, or a deletion that takes nothing that another entry or stack stands for.
"""

from collections.abc import Iterator

from inference_provider.apply import execute
from inference_provider.desired import DesiredResource
from inference_provider.dynamic.claims import claim_of
from inference_provider.dynamic.program import Program
from inference_provider.errors import Fault, HeldByAnother, OwnedByAnother, StillHolds
from inference_provider.observed import (
    Actor,
    Claim,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.ownership import is_superseded, older_claim, refuse_others
from inference_provider.plan import Action, ActionKind, Plan, plan
from inference_provider.sharing import is_shared, refuse_what_is_owned, without_shared
from inference_provider.targets.base import Target
from inference_provider.workspace.engine import KEPT
from inference_provider.workspace.ports import Progress


def faults_of_others(
    wanted: DesiredResource, target: Target, program: Program, urn: str, *, new: bool
) -> Iterator[Fault]:
    """Yield why a resource cannot be this state's: what a preview can know of it.

    Args:
        wanted: What the program declares.
        target: Where.
        program: What it has declared so far.
        urn: Of this resource; empty where it is not known.
        new: Whether the state has nothing of this URN.
    """
    twice = program.twice_declared(wanted.id, urn)
    if twice is not None:
        yield twice
    record = target.record(wanted.id)
    there = ObservedResource(id=wanted.id, presence=Presence.PRESENT, record=record)
    state = ObservedState(resources={wanted.id.address: there})
    try:
        if record is not None and not is_shared(wanted, record):
            refuse_what_is_owned(plan((wanted,), state, wanted.owner), state)
            asks = claim_of(urn) if new else None
            refuse_others("declare", wanted.model_copy(update={"claim": asks}), record)
    except HeldByAnother as exc:
        yield Fault("", f"{exc}: `inferctl release --workspace {wanted.id.workspace}`")
    except OwnedByAnother as exc:
        yield Fault("", str(exc))


class Deletion:
    """The deletion of one entry of a state."""

    def __init__(  # noqa: PLR0917  each is one fact the engine or its state tells
        self,
        resource: ResourceId,
        owner: str,
        incarnation: str,
        other: str,
        actor: Actor,
        tell: Progress,
    ) -> None:
        """Take what is known of the entry.

        Args:
            resource: What it stands for.
            owner: The label it carries.
            incarnation: What the state knows; empty in a state of an older release.
            other: URN of another resource by which the running program declares the same.
            actor: Who deletes.
            tell: Told what is done, or why nothing is.
        """
        self._resource, self._owner, self._incarnation = resource, owner, incarnation
        self._other, self._actor, self._tell = other, actor, tell

    def run(self, target: Target) -> None:
        """Delete what the entry stands for, unless another entry or stack stands for it."""
        record = target.record(self._resource)
        if record is None or is_superseded(record, self._incarnation):
            self._delete(target)
        elif self._resource.kind == Kind.WORKSPACE and record.owner != self._owner:
            self._tell(self._resource, f"left: stack '{record.owner}' owns it")
        elif self._other:  # an interrupted rename that was taken back
            self._give_back(target, record, older_claim(record, self._other))
        else:
            self._delete_or_give_back(target, record)

    def _delete_or_give_back(self, target: Target, record: Record) -> None:
        """Delete; what still holds others is given to the older entry, whose deletion follows."""
        try:
            self._delete(target)
        except StillHolds:
            older = older_claim(record)
            if older is None:
                raise
            self._give_back(target, record, older)

    def _give_back(self, target: Target, record: Record, claim: Claim | None) -> None:
        target.transfer(self._resource, record.owner, self._actor, claim)
        self._tell(self._resource, KEPT)

    def _delete(self, target: Target) -> None:
        if self._resource.kind != Kind.WORKSPACE:
            target.delete(self._resource, self._owner, self._actor, self._tell, self._incarnation)
            return
        gone = Action(kind=ActionKind.DELETE, id=self._resource, owner=self._owner)
        observed = target.observe([self._resource.workspace])
        [action] = without_shared(Plan(actions=(gone,)), observed).actions
        if action.kind == ActionKind.HAND_OVER:
            execute(action, target, self._actor, self._tell)
        else:
            target.delete(self._resource, self._owner, self._actor, self._tell, self._incarnation)
