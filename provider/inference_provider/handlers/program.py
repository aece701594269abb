"""What is known so far of the program that one process serves.

An engine asks about one resource at a time, but one process about all of a program, on several
threads, what is depended on first.
"""

import threading

from inference_provider.errors import Fault
from inference_provider.handlers.held import Entry
from inference_provider.observed import Kind, ResourceId


class Program:
    """Ids of one run of one program: declared, found right, and held by its state."""

    def __init__(self) -> None:
        self._declared: dict[str, Entry] = {}
        self._checked: set[str] = set()
        self._read: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def declared_twice(self, resource: ResourceId, entry: Entry) -> Fault | None:
        """Note that an entry declares an id; return a fault where another one declares it too."""
        if not entry.key:
            return None
        with self._lock:
            self._declared.setdefault(resource.address, entry)
        first = self.another(resource, entry)
        if first is None:
            return None
        names = (first.name, entry.name)
        one, other = names if first.name != entry.name else (first.key, entry.key)
        return Fault(
            "", f"{resource} is declared twice, by '{one}' and by '{other}'", "remove one of them"
        )

    def another(self, resource: ResourceId, entry: Entry) -> Entry | None:
        """Return the other entry that declares an id, if there is one."""
        with self._lock:
            first = self._declared.get(resource.address, entry)
        return None if first.key == entry.key else first

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

    def note_read(self, entry: Entry, address: str) -> None:
        """Remember that the state holds an id under an entry: to create that is to replace it.

        A record tells so too, but not where an older release or an alias's former URN made it.
        """
        with self._lock:
            self._read.add((entry.key, address))

    def was_read(self, entry: Entry, address: str) -> bool:
        """Whether the state holds this id under this entry."""
        with self._lock:
            return bool(entry.key) and (entry.key, address) in self._read
