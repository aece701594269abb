"""What a Pulumi stack's state holds: the claim it leaves in a record, and the ids it declares.

Goes in: URNs, `urn:pulumi:<stack>::<project>::<types>::<name>`. Comes out: claims for the core,
which knows none of them by name, and a fault where a program declares one thing twice.
"""

import secrets
import threading
from typing import NamedTuple

from inference_provider.errors import Fault
from inference_provider.observed import Claim, ResourceId

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


def _parsed(urn: str) -> _Urn | None:
    parts = urn.removeprefix(_PREFIX).split("::", 3)
    return _Urn(*parts) if urn.startswith(_PREFIX) and len(parts) == len(_Urn._fields) else None


def claim_of(urn: str, incarnation: str = "") -> Claim:
    """Return the claim of the resource with this URN.

    Args:
        urn: Empty where it is not known: the incarnation tells then.
        incarnation: What the state holds already; empty for a fresh one.
    """
    found = _parsed(urn)
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


class DeclaredIds:
    """The ids that the program of this plugin process declares, each with its first URN.

    And the ids that a refresh read, each for its URN: a create of that very thing replaces it. A
    record tells so too, but not where an older release or an alias's former URN made it.
    """

    def __init__(self) -> None:
        self._urns: dict[str, str] = {}
        self._read: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def fault(self, resource: ResourceId, urn: str) -> Fault | None:
        """Note that a URN declares an id; return a fault where another one declares it too."""
        if not urn:
            return None
        with self._lock:
            self._urns.setdefault(resource.address, urn)
        first = self.another(resource, urn)
        if not first:
            return None
        one, other = _names(first, urn)
        return Fault(
            "", f"{resource} is declared twice, by '{one}' and by '{other}'", "remove one of them"
        )

    def note_read(self, urn: str, address: str) -> None:
        """Note that a state holds an id, and under which URN."""
        self._read.add((urn, address))

    def was_read(self, urn: str, address: str) -> bool:
        """Tell whether the state holds this id under this URN."""
        return bool(urn) and (urn, address) in self._read

    def another(self, resource: ResourceId, urn: str) -> str:
        """Return the URN of the other resource that declares an id; empty where there is none."""
        with self._lock:
            first = self._urns.get(resource.address, urn)
        return "" if first == urn else first


def _names(one: str, other: str) -> tuple[str, str]:
    """Return the names of two resources; their URNs where the names are the same."""
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None or first.name == second.name:
        return one, other
    return first.name, second.name
