"""The claim that a state leaves in a record, and how a state recognizes it."""

import secrets

from inference_provider.handlers.held import Entry
from inference_provider.observed import Claim, Record
from inference_provider.ownership import is_superseded

ONLY_READ = "only read"
"""Takes the place of an incarnation when a program reads a resource by id."""


def claim_of(entry: Entry, incarnation: str = "") -> Claim:
    """Return the claim of an entry.

    Args:
        entry: If its holder is unknown (empty), only the incarnation identifies the state.
        incarnation: The one that the state holds already; empty to make a fresh one.
    """
    fresh = incarnation or secrets.token_hex(8)
    return Claim(holder=entry.holder, entry=entry.key, incarnation=fresh)


def former_holder(record: Record | None, entry: Entry, incarnation: str) -> str:
    """Return the name that a state's stack had when it last claimed this.

    Empty if the stack still has that name, or if another state holds this.
    """
    claim = record.claim if record else None
    if claim is None or claim.incarnation != incarnation:
        return ""
    renamed = bool(claim.holder and entry.holder) and claim.holder != entry.holder
    return claim.holder if renamed else ""


def stands_for_another(record: Record | None, owner: str, incarnation: str) -> bool:
    """Whether another entry of this stack has taken over for good what this one stood for.

    The entry that the newest one replaced still counts until it is deleted: a rename that failed
    half way may be taken back, or everything be destroyed.
    """
    if record is None or record.owner != owner or incarnation == ONLY_READ:
        return False
    if not is_superseded(record, incarnation):
        return False
    return record.claim is None or record.claim.older != incarnation
