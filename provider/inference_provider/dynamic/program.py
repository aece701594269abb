"""What this plugin process has seen of the program that it serves.

The engine shows a provider one resource at a time, but asks one process about all of a program, on
several threads, what is depended on first.
"""

import threading

from inference_provider.dynamic.claims import parsed
from inference_provider.errors import Fault
from inference_provider.observed import Kind, ResourceId


class Program:
    """Ids of one run of one program: declared, found right, and held by its state."""

    def __init__(self) -> None:
        self._urns: dict[str, str] = {}
        self._checked: set[str] = set()
        self._read: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def twice_declared(self, resource: ResourceId, urn: str) -> Fault | None:
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

    def another(self, resource: ResourceId, urn: str) -> str:
        """Return the URN of the other resource that declares an id; empty where there is none."""
        with self._lock:
            first = self._urns.get(resource.address, urn)
        return "" if first == urn else first

    def note_checked(self, address: str) -> None:
        """Remember that what has this address was checked, and found right."""
        with self._lock:
            self._checked.add(address)

    def has_checked(self, resource: ResourceId) -> bool:
        """Whether it was checked, and found right."""
        with self._lock:
            return resource.address in self._checked

    def workspaces(self) -> list[str]:
        """Return the names of the workspaces that were checked, sorted."""
        with self._lock:
            found = [ResourceId.parse(a) for a in self._checked if a.startswith(Kind.WORKSPACE)]
        return sorted(resource.name for resource in found)

    def note_read(self, urn: str, address: str) -> None:
        """Remember that the state holds an id under a URN: a create of that very thing replaces it.

        A record tells so too, but not where an older release or an alias's former URN made it.
        """
        with self._lock:
            self._read.add((urn, address))

    def was_read(self, urn: str, address: str) -> bool:
        """Whether the state holds this id under this URN."""
        with self._lock:
            return bool(urn) and (urn, address) in self._read


def _names(one: str, other: str) -> tuple[str, str]:
    """Return the names of two resources; their URNs where the names are the same."""
    first, second = parsed(one), parsed(other)
    if first is None or second is None or first.name == second.name:
        return one, other
    return first.name, second.name
