"""What is known so far about the program that one process serves.

An engine asks about one resource at a time, dependencies first, but in one process for the whole
program, and on several threads.
"""

import threading

from inference_provider.errors import Fault
from inference_provider.handlers.held import Entry, Fields, Unknown
from inference_provider.handlers.places import Located
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.target import Place


class Program:
    """Resources of one run of one program: declared, checked, and held by its state."""

    def __init__(self) -> None:
        self._declared: dict[Located, Entry] = {}
        self._checked: dict[Located, Fields] = {}
        self._read: set[tuple[str, Located]] = set()
        self._lock = threading.Lock()

    def declared_twice(self, resource: Located, entry: Entry) -> Fault | None:
        """Note that an entry declares a resource; return a fault if another entry does too."""
        if not entry.key:
            return None
        with self._lock:
            self._declared.setdefault(resource, entry)
        first = self.another(resource, entry)
        if first is None:
            return None
        names = (first.name, entry.name)
        one, other = names if first.name != entry.name else (first.key, entry.key)
        reason = f"{resource.id} is declared twice, by '{one}' and by '{other}'"
        return Fault("", reason, "remove one of them")

    def another(self, resource: Located, entry: Entry) -> Entry | None:
        """Return the other entry that declares a resource, if any."""
        with self._lock:
            first = self._declared.get(resource, entry)
        return None if first.key == entry.key else first

    def note_checked(self, resource: Located, fields: Fields) -> None:
        """Remember that a resource passed its check, and its fields."""
        with self._lock:
            self._checked[resource] = fields

    def checked_fields(self, resource: Located) -> Fields | None:
        """Return the fields of a resource that passed its check; None for any other."""
        with self._lock:
            return self._checked.get(resource)

    def has_checked(self, resource: Located) -> bool:
        """Whether it passed its check."""
        with self._lock:
            return resource in self._checked

    def all_checked(
        self, kind: Kind, place: Place | Unknown, workspace: str
    ) -> dict[ResourceId, Fields]:
        """Return the fields of all resources of a kind in a workspace that passed their check."""
        with self._lock:
            return {
                found.id: fields
                for found, fields in self._checked.items()
                if (found.place, found.id.kind, found.id.workspace) == (place, kind, workspace)
            }

    def workspaces(self, place: Place | Unknown) -> list[str]:
        """Return the names of the workspaces of a place that passed their check, sorted."""
        with self._lock:
            checked = [found for found in self._checked if found.id.kind == Kind.WORKSPACE]
        return sorted(found.id.name for found in checked if found.place == place)

    def note_read(self, resource: Located, entry: Entry) -> None:
        """Remember that the state holds a resource under an entry, so creating it replaces it.

        A record tells this too, unless an older release or an alias's former URN created it.
        """
        with self._lock:
            self._read.add((entry.key, resource))

    def was_read(self, resource: Located, entry: Entry) -> bool:
        """Whether the state holds this resource under this entry."""
        with self._lock:
            return bool(entry.key) and (entry.key, resource) in self._read
