"""`table.json`: what a router serves, remembered beside its files for whoever changes it next.

Written after a publication is in force. It says which versions of the files it speaks of, so that
one that is out of date (a publication that was killed, a release that does not know it) is seen.
"""

import contextlib
from pathlib import Path

from inference_provider.errors import InferenceError
from inference_provider.observed import Frozen
from inference_provider.router.endpoint_texts import EndpointTexts
from inference_provider.router.form import form
from inference_provider.router.render import CDS, LDS, RDS, RTDS, version_of
from inference_provider.router.table import KEYS_IN_CLEAR, EndpointEntry, RouterTable
from inference_provider.targets.private_file import write_private

FILES = (CDS, LDS, RDS, RTDS)
TABLE = "table.json"
_HEAD_LENGTH = 64
_Stamps = tuple[tuple[int, int] | None, ...]


class Remembered(Frozen):
    """The table in force; with keys in clear where it is written."""

    form: str
    """Of the release that wrote the files; see `router/form.py`."""
    versions: dict[str, str]
    """Of each file, by its path under the router's folder."""
    table: RouterTable


class TableFile:
    """The file of one router, read once while it does not change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: tuple[_Stamps, Remembered | None] | None = None
        self._trusted: tuple[_Stamps, bool] | None = None
        self._texts = EndpointTexts(_in_clear)

    def last(self) -> Remembered | None:
        """Return what is remembered; None when there is nothing that can be read."""
        stamps = self._stamps(TABLE)
        if self._last is None or self._last[0] != stamps:
            self._last = stamps, self._read()
        return self._last[1]

    def in_force(self) -> Remembered | None:
        """Return the same, only when the router's files are those that it speaks of."""
        found = self.last()
        if found is None:
            return None
        stamps = self._stamps(TABLE, *FILES)
        if self._trusted is None or self._trusted[0] != stamps:
            self._trusted = stamps, found.versions == self._versions()
        return found if self._trusted[1] else None

    def remember(self, table: RouterTable) -> None:
        """Write what is in force now.

        On a disk that is full it is forgotten instead: what is in force must not fail for it.
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
        self._trusted = self._stamps(TABLE, *FILES), True

    def _text(self, found: Remembered) -> str:
        endpoints = f'"endpoints":[{",".join(self._texts.of(found.table))}]'
        table = found.table.model_copy(update={"endpoints": ()})
        rest = found.model_copy(update={"table": table}).model_dump_json()
        return rest.replace('"endpoints":[]', endpoints, 1)

    def hold(self, table: RouterTable) -> None:
        """Keep a table that says the same as the file: to compare its objects again is quick."""
        stamps, found = self._last or (None, None)
        if stamps is not None and found is not None:
            self._last = stamps, found.model_copy(update={"table": table})

    def _read(self) -> Remembered | None:
        try:
            return Remembered.model_validate_json((self._folder / TABLE).read_bytes())
        except (OSError, ValueError):
            return None

    def _versions(self) -> dict[str, str]:
        return {name: version_of(_head(self._folder / name)) for name in FILES}

    def _stamps(self, *names: str) -> _Stamps:
        """Return what tells that somebody else wrote a file; cheaper than reading it."""
        return tuple(_stamp(self._folder / name) for name in names)


def _in_clear(endpoint: EndpointEntry) -> str:
    return endpoint.model_dump_json(context=KEYS_IN_CLEAR)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _head(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(_HEAD_LENGTH)
    except FileNotFoundError:
        return ""
