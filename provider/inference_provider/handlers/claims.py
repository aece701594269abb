"""The claim that a state leaves in a record, and what a state knows of it."""

import secrets

from inference_provider.handlers.held import Entry
from inference_provider.observed import Claim, Record
from inference_provider.ownership import is_superseded

ONLY_READ = "only read"
"""Stands for an incarnation where a program reads by id what others made."""


def claim_of(entry: Entry, incarnation: str = "") -> Claim:
    """Return the claim of an entry.

    Args:
        entry: Its holder is empty where it is not known: the incarnation tells then.
        incarnation: What the state holds already; empty for a fresh one.
    """
    fresh = incarnation or secrets.token_hex(8)
    return Claim(holder=entry.holder, entry=entry.key, incarnation=fresh)


def former_holder(record: Record | None, entry: Entry, incarnation: str) -> str:
    """Return what a state's stack was called when it claimed this last.

    Empty where the stack is still called so, and where this state is not what holds it.
    """
    claim = record.claim if record else None
    if claim is None or claim.incarnation != incarnation:
        return ""
    renamed = bool(claim.holder and entry.holder) and claim.holder != entry.holder
    return claim.holder if renamed else ""


def stands_for_another(record: Record | None, owner: str, incarnation: str) -> bool:
    """Whether another entry of this stack stands for what is there now, and this never will.

    An entry that the newer one took over stays until it is deleted: a rename that failed half way
    may be taken back, or all of it be destroyed.
    """
    if record is None or record.owner != owner or incarnation == ONLY_READ:
        return False
    if not is_superseded(record, incarnation):
        return False
    return record.claim is None or record.claim.older != incarnation
