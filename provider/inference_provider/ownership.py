"""Who owns a resource: the stack whose label it carries, and the state that holds it. Pure.

A label keeps other stacks out. But the same label may come from two Pulumi stacks of one project,
or from two resources of one program that name the same thing, as during a rename. Each creation
therefore leaves a claim with a fresh incarnation in the record, and a state that knows only an
older incarnation can no longer delete the resource.
"""

from datetime import datetime

from inference_provider.compare import generation_after
from inference_provider.desired import DesiredResource
from inference_provider.errors import Busy, HeldByAnother, OwnedByAnother
from inference_provider.observed import Actor, Claim, Record, ResourceId


def record_of(
    desired: DesiredResource, before: Record | None, actor: Actor, time: datetime
) -> Record:
    """Return the record for what is applied now; the old claim stays unless there is a new one.

    Raises:
        OwnedByAnother: Another stack or another state has it.
    """
    refuse_others("update", desired, before)
    return Record(
        id=desired.id,
        owner=desired.owner,
        claim=_claim_after(before.claim if before else None, desired.claim),
        properties=desired.properties,
        generation=generation_after(desired, before),
        injected=desired.injected or "",
        admitted=before.admitted if before else None,
        actor=actor,
        time=time,
    )


def _claim_after(old: Claim | None, new: Claim | None) -> Claim | None:
    if old is None or new is None:
        return new or old
    older = old.older if old.incarnation == new.incarnation else old.incarnation
    return new.model_copy(update={"older": older})


def older_claim(record: Record, entry: str = "") -> Claim | None:
    """Return the claim that the current one replaced; None if no entry can know it any more.

    Args:
        record: What is recorded.
        entry: The entry that stands for the resource instead, if known.
    """
    claim = record.claim
    if claim is None or claim.older is None:
        return None
    given = {"incarnation": claim.older, "older": None, "entry": entry or claim.entry}
    return claim.model_copy(update=given)


def without_older(record: Record, incarnation: str) -> Claim | None:
    """Return the claim to write once the entry that knew this older incarnation is deleted.

    None if nothing needs to be written.
    """
    claim = record.claim
    if claim is None or claim.older != incarnation:
        return None
    return claim.model_copy(update={"older": None})


def refuse_others(operation: str, desired: DesiredResource, record: Record | None) -> None:
    """Raise OwnedByAnother if another stack, or another state, has what is desired."""
    if record is None:
        return
    if record.owner != desired.owner:
        raise owned_by_another(operation, desired.id, record, desired.owner)
    if desired.claim and record.claim and not _speaks_for(desired.claim, record.claim):
        raise _held_by_another(operation, desired.id, record.claim)


def _speaks_for(one: Claim, other: Claim) -> bool:
    """Whether two claims come from one state. A renamed stack keeps its incarnations."""
    same_holder = not (one.holder and other.holder) or one.holder == other.holder
    return same_holder or one.incarnation == other.incarnation


def is_superseded(record: Record | None, incarnation: str) -> bool:
    """Whether a state that knows this incarnation no longer stands for the resource.

    Args:
        record: What is recorded; one without a claim belongs to no other state.
        incarnation: Empty in a state that an older release wrote.
    """
    claim = record.claim if record else None
    return claim is not None and claim.incarnation != incarnation


def is_made_again(desired: DesiredResource, record: Record | None) -> bool:
    """Whether an entry of a state creates again what it already stands for.

    That is a replacement requested by the user: nothing differs, but new instances are wanted.
    """
    old, new = record.claim if record else None, desired.claim
    if desired.made_again or old is None or new is None or not new.entry:
        return desired.made_again
    return old.entry == new.entry and old.incarnation != new.incarnation


def refuse_changed(operation: str, before: Record, now: Record | None) -> None:
    """Raise if somebody took over, or created again, what was recorded when this began."""
    if now is None:
        return
    if now.owner != before.owner:
        raise owned_by_another(operation, before.id, now, before.owner)
    if now.claim and is_superseded(now, before.claim.incarnation if before.claim else ""):
        reason = "it was created again meanwhile"
        raise Busy(operation, str(before.id), reason, "run this again if it is still to go")


def owned_by_another(
    operation: str, resource: ResourceId, record: Record, owner: str
) -> OwnedByAnother:
    return OwnedByAnother(
        operation,
        str(resource),
        f"it belongs to stack '{record.owner}', not to '{owner}'",
        "rename one of the two, or take it over by deleting it from the other stack first",
    )


def _held_by_another(operation: str, resource: ResourceId, claim: Claim) -> HeldByAnother:
    return HeldByAnother(
        operation,
        str(resource),
        f"it is held by {claim.holder}",
        "use another workspace here, or destroy it there first; if that stack is lost, release"
        f" what it holds in workspace '{resource.workspace}'",
    )
