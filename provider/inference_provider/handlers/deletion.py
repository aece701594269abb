"""The deletion of one entry of a state; it spares what another entry or stack stands for."""

from collections.abc import Callable
from dataclasses import dataclass

from inference_provider.apply import execute
from inference_provider.errors import StillHolds
from inference_provider.handlers.held import Call, Entry
from inference_provider.observed import Claim, Kind, Record, ResourceId
from inference_provider.ownership import is_superseded, older_claim
from inference_provider.plan import Action, ActionKind, Plan
from inference_provider.sharing import without_shared
from inference_provider.workspace.engine import KEPT, Engine


@dataclass(frozen=True)
class Deletion:
    """An entry to delete, and what is known about it."""

    resource: ResourceId
    """The resource that it stands for."""
    owner: str
    """The owner's label that it carries."""
    incarnation: str
    """The one that the state knows; empty in a state of an older release."""
    other: Entry | None
    """Another entry with which the running program declares the same resource."""
    call: Call
    """Told what is done, or why nothing has to be."""
    declares: Callable[[ResourceId], bool]
    """Says whether the running program declares a resource; none runs where all is destroyed."""

    def run(self, target: Engine) -> None:
        """Delete the resource, unless another entry or stack stands for it."""
        record = target.record(self.resource)
        if record is None or is_superseded(record, self.incarnation):
            self._delete(target)
        elif self.resource.kind == Kind.WORKSPACE and record.owner != self.owner:
            self.call.progress(self.resource, f"left: stack '{record.owner}' owns it")
        elif self.other:  # a rename was interrupted and taken back
            self._give_back(target, record, older_claim(record, self.other.key))
        else:
            self._delete_or_give_back(target, record)

    def _delete_or_give_back(self, target: Engine, record: Record) -> None:
        """Delete; or, if it still holds others, give it back to the older entry, deleted later."""
        try:
            self._delete(target)
        except StillHolds:
            older = older_claim(record)
            if older is None:
                raise
            self._give_back(target, record, older)

    def _give_back(self, target: Engine, record: Record, claim: Claim | None) -> None:
        target.transfer(self.resource, record.owner, self.call.actor, claim)
        self.call.progress(self.resource, KEPT)

    def _delete(self, target: Engine) -> None:
        actor, progress = self.call.actor, self.call.progress
        if self.resource.kind == Kind.WORKSPACE:
            gone = Action(kind=ActionKind.DELETE, id=self.resource, owner=self.owner)
            observed = target.observe([self.resource.workspace])
            [action] = without_shared(Plan(actions=(gone,)), observed).actions
            if action.kind == ActionKind.HAND_OVER:
                execute(action, target, actor, progress)
                return
        going = self._going(target)
        target.delete(self.resource, self.owner, actor, progress, self.incarnation, going=going)

    def _going(self, target: Engine) -> tuple[ResourceId, ...]:
        """Return what of this stack a rule is about, unless the program goes on to declare it.

        A rule goes before its deployment, which would start instances to end them.
        """
        if self.resource.kind != Kind.AUTOSCALE_RULE:
            return ()
        of = self.resource.model_copy(update={"kind": Kind.DEPLOYMENT})
        record = None if self.declares(of) else target.record(of)
        return (of,) if record and record.owner == self.owner else ()
