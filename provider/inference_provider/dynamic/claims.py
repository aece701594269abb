"""What a Pulumi stack's state holds: the claim that it leaves in a record.

Goes in: URNs, `urn:pulumi:<stack>::<project>::<types>::<name>`. Comes out: claims for the core,
which knows none of them by name.
"""

import secrets
from typing import NamedTuple

from inference_provider.observed import Claim

INCARNATION_KEY = "incarnation"
"""Output that holds a resource's incarnation; a program never reads it."""

ONLY_READ = "only read"
"""Stands for an incarnation where a program reads by id what others made."""

HELD_BY_KEY = "held_by"
"""Input that only a read gives, where a state holds something in the name its stack had before: the
engine sees a difference, and the update that follows claims it in the stack's new name."""

_PREFIX = "urn:pulumi:"


class _Urn(NamedTuple):
    stack: str
    project: str
    types: str
    name: str


def parsed(urn: str) -> _Urn | None:
    parts = urn.removeprefix(_PREFIX).split("::", 3)
    return _Urn(*parts) if urn.startswith(_PREFIX) and len(parts) == len(_Urn._fields) else None


def claim_of(urn: str, incarnation: str = "") -> Claim:
    """Return the claim of the resource with this URN.

    Args:
        urn: Empty where it is not known: the incarnation tells then.
        incarnation: What the state holds already; empty for a fresh one.
    """
    found = parsed(urn)
    holder = f"Pulumi stack '{found.stack}' of project '{found.project}'" if found else ""
    return Claim(holder=holder, entry=urn, incarnation=incarnation or secrets.token_hex(8))


def former_name(claim: Claim | None, urn: str, incarnation: str) -> dict[str, str]:
    """Return under HELD_BY_KEY what a state's stack was called when it claimed this last.

    Empty where the stack is still called so, and where this state is not what holds it.
    """
    if claim is None or claim.incarnation != incarnation:
        return {}
    holders = {claim.holder, claim_of(urn).holder}
    return {HELD_BY_KEY: claim.holder} if len(holders - {""}) > 1 else {}
