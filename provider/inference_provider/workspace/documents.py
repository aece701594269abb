"""Documents of Records -> values, each parsed once until it changes.

An error about one that cannot be parsed names it but never quotes it: it may hold a key.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from inference_provider.errors import TargetError
from inference_provider.workspace.corrupt import corrupt
from inference_provider.workspace.ports import Records

T = TypeVar("T")


class Documents:
    """The documents of one workspace, by section and name. A section has one type."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._parsed: dict[tuple[str, str], tuple[bytes, Any]] = {}

    def section(self, section: str, parse: Callable[[bytes], T]) -> dict[str, T]:
        """Return every document of a section, as `document` does."""
        found, faults = self.readable_section(section, parse)
        for fault in faults.values():
            raise fault
        return found

    def readable_section(
        self, section: str, parse: Callable[[bytes], T]
    ) -> tuple[dict[str, T], dict[str, TargetError]]:
        """Return the documents of a section that can be read, and faults of the others, by name."""
        found, faults = dict[str, T](), dict[str, TargetError]()
        for name, document in self._records.section(section).items():
            try:
                found[name] = self._value(section, name, document, parse)
            except TargetError as fault:
                faults[name] = fault
        return found, faults

    def document(self, section: str, name: str, parse: Callable[[bytes], T]) -> T | None:
        """Return one document, parsed once while it does not change; None when there is none.

        Raises:
            TargetError: It cannot be read.
        """
        document = self._records.read(section, name)
        return None if document is None else self._value(section, name, document, parse)

    def readable(self, section: str, name: str, parse: Callable[[bytes], T]) -> T | None:
        """As `document`; None, too, for one that cannot be read."""
        document = self._records.read(section, name)
        with suppress(TargetError):
            return None if document is None else self._value(section, name, document, parse)
        return None

    def _value(self, section: str, name: str, document: bytes, parse: Callable[[bytes], T]) -> T:
        known = self._parsed.get((section, name))
        if known is not None and known[0] is document:
            return known[1]  # type: ignore[no-any-return]  # a section has one type
        try:
            value = parse(document)
        except ValueError:
            raise corrupt(self._records.place(section, name), section) from None
        self._parsed[section, name] = document, value
        return value
