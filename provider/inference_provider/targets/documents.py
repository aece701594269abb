"""Documents in dictionaries: what a target keeps of its records in memory.

Every write inside a part is undone when the part raises. Who else may edit is the caller's to say.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from pydantic import ValidationError

from inference_provider.observed import JournalEntry
from inference_provider.workspace.undo import UndoLog

Sections = Mapping[str, Mapping[str, bytes | None]]
"""Documents by section and name; None for one that was dropped."""


class Documents:
    """Documents by section and name."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, bytes]] = {}
        self._undo = UndoLog()

    @property
    def editing(self) -> bool:
        """Whether this thread is in a part."""
        return self._undo.active

    def __bool__(self) -> bool:
        return any(self._documents.values())

    def section(self, section: str) -> Mapping[str, bytes]:
        """Return every document of a section, sorted by name."""
        return dict(sorted(self._documents.get(section, {}).items()))

    def read(self, section: str, name: str) -> bytes | None:
        """Return one document; None when there is none."""
        return self._documents.get(section, {}).get(name)

    def write(self, section: str, name: str, document: bytes | None) -> None:
        """Replace one document, or drop it; nothing changes when it is the same."""
        before = self.read(section, name)
        if before != document:
            self._undo.note(lambda: self._set(section, name, before))
            self._set(section, name, document)

    def _set(self, section: str, name: str, document: bytes | None) -> None:
        if document is None:
            self._documents.get(section, {}).pop(name, None)
        else:
            self._documents.setdefault(section, {})[name] = document

    @contextmanager
    def part(self) -> Iterator[None]:
        """When the block raises, undo what this thread wrote in it."""
        with self._undo.part():
            yield

    def everything(self) -> Sections:
        """Return a copy of all documents."""
        return {section: dict(found) for section, found in self._documents.items()}

    def become(self, sections: Sections) -> None:
        """Hold these documents from now on; one with the same bytes stays the same object."""
        for section in {*self._documents, *sections}:
            wanted = sections.get(section, {})
            for name in {*self._documents.get(section, {}), *wanted}:
                if self.read(section, name) != wanted.get(name):
                    self._set(section, name, wanted.get(name))


def changes(before: Sections, after: Sections) -> Sections:
    """Return what differs in `after`; None for what is only in `before`."""
    found: dict[str, dict[str, bytes | None]] = {}
    for section in {*before, *after}:
        old, new = before.get(section, {}), after.get(section, {})
        # most are the same objects: this runs for each edit
        differ: dict[str, bytes | None] = {
            n: document
            for n, document in new.items()
            if (there := old.get(n)) is not document and there != document
        }
        differ.update(dict.fromkeys(old.keys() - new.keys()))
        if differ:
            found[section] = differ
    return found


def journal_of(lines: Iterable[bytes | str]) -> tuple[JournalEntry, ...]:
    """Return the entries of a journal, each of which a line holds; a torn one is left out."""
    found = []
    for line in lines:
        with suppress(ValidationError):
            found.append(JournalEntry.model_validate_json(line))
    return tuple(found)
