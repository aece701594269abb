"""Whose a resource is: the stack whose label it carries, and the state that holds it. Pure.

A label keeps other stacks out. Two states may carry one label: two Pulumi stacks of one project,
or two resources of one program that name the same thing, as a rename does while it runs. Each
creation therefore leaves a claim with a fresh incarnation in the record, and a state that knows an
older incarnation can no longer delete what a newer one stands for.
"""

from datetime import datetime

from inference_provider.compare import generation_after
from inference_provider.desired import DesiredResource
from inference_provider.errors import HeldByAnother, OwnedByAnother
from inference_provider.observed import Actor, Claim, Record, ResourceId


def record_of(
    desired: DesiredResource, before: Record | None, actor: Actor, time: datetime
) -> Record:
    """Return the record of what is applied now; a claim stays unless a new one is made.

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
        actor=actor,
        time=time,
    )


def _claim_after(old: Claim | None, new: Claim | None) -> Claim | None:
    if old is None or new is None:
        return new or old
    older = old.older if old.incarnation == new.incarnation else old.incarnation
    return new.model_copy(update={"older": older})


def older_claim(record: Record, entry: str = "") -> Claim | None:
    """Return the claim that a newer one took over; None where no entry can know it any more.

    Args:
        record: What is recorded.
        entry: What stands for the resource in its place, where it is known.
    """
    claim = record.claim
    if claim is None or claim.older is None:
        return None
    given = {"incarnation": claim.older, "older": None, "entry": entry or claim.entry}
    return claim.model_copy(update=given)


def without_older(record: Record, incarnation: str) -> Claim | None:
    """Return the claim once the entry that knew this older incarnation is deleted.

    None where nothing is to be written.
    """
    claim = record.claim
    if claim is None or claim.older != incarnation:
        return None
    return claim.model_copy(update={"older": None})


def refuse_others(operation: str, desired: DesiredResource, record: Record | None) -> None:
    """Raise OwnedByAnother where another stack, or another state, has what is desired."""
    if record is None:
        return
    if record.owner != desired.owner:
        raise owned_by_another(operation, desired.id, record, desired.owner)
    if desired.claim and record.claim and not _speaks_for(desired.claim, record.claim):
        raise _held_by_another(operation, desired.id, record.claim)


def _speaks_for(one: Claim, other: Claim) -> bool:
    """Whether two claims are one state's. A stack may be renamed: its incarnations stay."""
    same_holder = not (one.holder and other.holder) or one.holder == other.holder
    return same_holder or one.incarnation == other.incarnation


def is_superseded(record: Record | None, incarnation: str) -> bool:
    """Tell whether a state that knows this incarnation no longer speaks for the resource.

    Args:
        record: What is recorded; a record without a claim is nobody else's.
        incarnation: Empty in a state that an older release wrote.
    """
    claim = record.claim if record else None
    return claim is not None and claim.incarnation != incarnation


def is_made_again(desired: DesiredResource, record: Record | None) -> bool:
    """Tell whether an entry of a state creates again what it stands for already.

    That is a replacement that somebody asked for: nothing differs, and new instances are wanted.
    """
    old, new = record.claim if record else None, desired.claim
    if desired.made_again or old is None or new is None or not new.entry:
        return desired.made_again
    return old.entry == new.entry and old.incarnation != new.incarnation


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
