"""`table.json`: the table that a router serves, kept beside its files for the next publication.

Written once a publication is in force. It names the versions of the router's files, so an outdated
one is recognized: after a publication was killed, or an older release wrote the files.
"""

import contextlib
from pathlib import Path

from inference_provider.errors import InferenceError
from inference_provider.observed import Frozen
from inference_provider.router.endpoint_texts import EndpointTexts
from inference_provider.router.form import form
from inference_provider.router.render import (
    FILES,
    WHERE_NEEDED,
    version_of,
    version_of_whole,
)
from inference_provider.router.table import KEYS_IN_CLEAR, EndpointEntry, RouterTable
from inference_provider.targets.private_file import write_private

TABLE = "table.json"
_HEAD_LENGTH = 64
_Stamps = tuple[tuple[int, int] | None, ...]


class Remembered(Frozen):
    """The table in force; keys are in clear text in the file."""

    form: str
    """The form in which the writing release renders files; see `router/form.py`."""
    versions: dict[str, str]
    """Version of each file, by its path under the router's folder."""
    table: RouterTable


class TableFile:
    """The file of one router, read again only when it changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: tuple[_Stamps, Remembered | None] | None = None
        self._trusted: tuple[_Stamps, bool] | None = None
        self._texts = EndpointTexts(_in_clear)

    def last(self) -> Remembered | None:
        """Return what is remembered; None when the file is missing or unreadable."""
        stamps = self._stamps(TABLE)
        if self._last is None or self._last[0] != stamps:
            self._last = stamps, self._read()
        return self._last[1]

    def in_force(self) -> Remembered | None:
        """Return what is remembered if the router's files still are those, else None.

        A file that was edited in its middle has the version of before, and is not.
        """
        found = self.last()
        if found is None:
            return None
        stamps = self._stamps(TABLE, *FILES, *WHERE_NEEDED)
        if self._trusted is None or self._trusted[0] != stamps:
            self._trusted = stamps, found.versions == self._versions_of_whole()
        return found if self._trusted[1] else None

    def remember(self, table: RouterTable) -> None:
        """Write the table that is now in force.

        On a full disk the file is removed instead: the publication has succeeded and must not fail.
        """
        found = Remembered(form=form(), versions=self._versions(), table=table)
        path = self._folder / TABLE
        try:
            write_private(path, self._text(found))
        except InferenceError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return
        self._last = self._stamps(TABLE), found
        self._trusted = self._stamps(TABLE, *FILES, *WHERE_NEEDED), True

    def _text(self, found: Remembered) -> str:
        endpoints = f'"endpoints":[{",".join(self._texts.of(found.table))}]'
        table = found.table.model_copy(update={"endpoints": ()})
        rest = found.model_copy(update={"table": table}).model_dump_json(context=KEYS_IN_CLEAR)
        return rest.replace('"endpoints":[]', endpoints, 1)

    def hold(self, table: RouterTable) -> None:
        """Keep a table equal to the file's, so that comparing it again works by identity."""
        stamps, found = self._last or (None, None)
        if stamps is not None and found is not None:
            self._last = stamps, found.model_copy(update={"table": table})

    def _read(self) -> Remembered | None:
        try:
            return Remembered.model_validate_json((self._folder / TABLE).read_bytes())
        except (OSError, ValueError):
            return None

    def _versions(self) -> dict[str, str]:
        there = self._there()
        return {name: version_of(_text(self._folder / name, _HEAD_LENGTH)) for name in there}

    def _versions_of_whole(self) -> dict[str, str]:
        return {name: version_of_whole(_text(self._folder / name)) for name in self._there()}

    def _there(self) -> list[str]:
        return [*FILES, *(name for name in WHERE_NEEDED if (self._folder / name).exists())]

    def _stamps(self, *names: str) -> _Stamps:
        """Return what changes when somebody else writes a file; cheaper than reading it."""
        return tuple(_stamp(self._folder / name) for name in names)


def _in_clear(endpoint: EndpointEntry) -> str:
    return endpoint.model_dump_json(context=KEYS_IN_CLEAR)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _text(path: Path, characters: int = -1) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(characters)
    except FileNotFoundError:
        return ""
