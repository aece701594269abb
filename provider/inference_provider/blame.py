"""The journal -> who explains a difference. Pure.

Entries are kept by resource, so that a review of thousands of them reads the journal once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge

from inference_provider.canary import Move
from inference_provider.observed import JournalEntry, Kind, ResourceId

APPLICATIONS = ("create", "update", "transfer")
"""Journal actions that write a record: they cannot explain a live value that differs from it."""
CREDENTIALS = (
    "issue token",
    "read keys",
    "rotate primary key",
    "rotate secondary key",
    "rotate signing key",
    "score",
)
"""Actions after which everything that is declared is as before: they explain no difference."""
ROLLOUTS = tuple(Move)
"""Actions on a split that is on its way: they explain none either."""
WORKSPACE_WIDE = ("stop", "start")
"""Actions on a workspace that affect everything in it."""


class Journal:
    """Entries of a journal, by what they are about."""

    def __init__(self, entries: Iterable[JournalEntry]) -> None:
        """Take the entries, newest last."""
        self._of: dict[ResourceId, list[tuple[int, JournalEntry]]] = defaultdict(list)
        self._wide: dict[str, list[tuple[int, JournalEntry]]] = defaultdict(list)
        for place, entry in enumerate(entries):
            if entry.action in CREDENTIALS or entry.action in ROLLOUTS:
                continue
            self._of[entry.id].append((-place, entry))
            if entry.action in WORKSPACE_WIDE and entry.id.kind == Kind.WORKSPACE:
                self._wide[entry.id.workspace].append((-place, entry))

    def newest(self, resource: ResourceId, path: str | None = None) -> JournalEntry | None:
        """Return the newest entry on a resource that names the field, or no field at all."""
        entries = (entry for _, entry in reversed(self._of.get(resource, ())))
        return next((entry for entry in entries if _names(entry, path)), None)

    def by_hand(
        self, resource: ResourceId, path: str, since: datetime | None
    ) -> JournalEntry | None:
        """Return the newest entry that explains a live value that differs from the record.

        Whatever was applied is in the record, so applying cannot explain it; something done to the
        resource, or to its whole workspace, since then can.
        """
        for entry in self._around(resource):
            if since is not None and entry.time <= since:
                continue
            if entry.action not in APPLICATIONS and _names(entry, path):
                # A start undid an earlier stop, so it cannot explain what is gone now.
                return None if entry.action == "start" else entry
        return None

    def stopped(self, resource: ResourceId, since: datetime | None) -> JournalEntry | None:
        """Return the stop of a resource's workspace that nothing has undone since."""
        for _, entry in reversed(self._wide.get(resource.workspace, ())):
            late = since is None or entry.time > since
            return entry if late and entry.action == "stop" else None
        return None

    def _around(self, resource: ResourceId) -> Iterator[JournalEntry]:
        """Yield the entries on a resource and on its whole workspace, newest first."""
        own = self._of.get(resource, [])
        wide = () if resource.kind == Kind.WORKSPACE else self._wide.get(resource.workspace, ())
        for _, entry in merge(reversed(own), reversed(wide), key=lambda one: one[0]):
            yield entry


def _names(entry: JournalEntry, path: str | None) -> bool:
    return path is None or not entry.fields or touches(entry.fields, path)


def touches(paths: Iterable[str], path: str) -> bool:
    """Whether one of some dotted paths is this one, lies in it, or holds it."""
    return any(
        path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")
        for other in paths
    )
