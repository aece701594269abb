"""`waiting.json`: what is about to be published, for the process in which requests wait.

Where that is not who publishes, it has to know before the router does: a deployment that loses its
last instance lets no request go on from then on.
"""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from inference_provider.errors import InferenceError, OutOfCapacity
from inference_provider.router.table import EndpointEntry
from inference_provider.targets.private_file import write_private

NAME = "waiting.json"
_ENDPOINTS = TypeAdapter(tuple[EndpointEntry, ...])
_KNOWN = {"name", "backends", "timeout_ms", "max_concurrent", "patience_s", "held"}
"""Fields of a deployment that the process goes by, and those that an entry cannot be without."""
_Stamp = tuple[int, int] | None


class RoomFile:
    """That of one router."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._seen: _Stamp = None

    @contextmanager
    def told(
        self, endpoints: tuple[EndpointEntry, ...], also: Collection[str] = ()
    ) -> Iterator[None]:
        """Say what the block publishes; when that fails, what was said before holds.

        Args:
            endpoints: With what holds requests.
            also: Deployments, `<endpoint>/<deployment>`, that hold requests already: they may still
                be asked about though none of theirs is to wait any more.

        Raises:
            OutOfCapacity: No space is left, and another deployment begins to hold requests.
        """
        before = self._text()
        try:
            write_private(self._path, _text(endpoints, also))
        except OutOfCapacity:  # a deletion is what frees some
            if _holding(endpoints) - {*also}:
                raise
        try:
            yield
        except BaseException:
            with suppress(InferenceError, OSError):  # the first error is the one to report
                self._put_back(before)
            raise

    def _put_back(self, before: str) -> None:
        if before:
            write_private(self._path, before)
        else:
            self.drop()

    def drop(self) -> None:
        """Say nothing any more: no request waits."""
        self._path.unlink(missing_ok=True)

    def news(self) -> tuple[EndpointEntry, ...] | None:
        """Return what is said; None when it is what this has returned before, or nothing."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return None
        try:
            text = self._path.read_bytes()
        except OSError:  # no request waits any more
            return None
        self._seen = stamp
        try:
            return _ENDPOINTS.validate_json(text)
        except ValueError:  # what was said before holds on
            sys.stderr.write(f"{self._path} is of another release; run `inferctl up`\n")
            return None

    def _text(self) -> str:
        with suppress(OSError):
            return self._path.read_text()
        return ""

    def _stamp(self) -> _Stamp:
        with suppress(OSError):
            found = self._path.stat()
            return found.st_ino, found.st_mtime_ns
        return None


def _holding(endpoints: tuple[EndpointEntry, ...]) -> set[str]:
    """Return the deployments, `<endpoint>/<deployment>`, whose requests wait."""
    return {f"{e.name}/{one.name}" for e in endpoints for one in e.deployments if one.held}


def _text(endpoints: tuple[EndpointEntry, ...], also: Collection[str]) -> str:
    """Return what is said: of deployments whose requests may wait, and of nothing else."""
    chosen = []
    for endpoint in endpoints:
        deployments = tuple(
            one
            for one in endpoint.deployments
            if one.patience_s or f"{endpoint.name}/{one.name}" in also
        )
        if deployments:
            chosen.append(EndpointEntry(name=endpoint.name, keys=(), deployments=deployments))
    each: Any = {"name": True, "keys": True, "deployments": {"__all__": _KNOWN}}
    known = {"__all__": each}
    return _ENDPOINTS.dump_json(tuple(chosen), include=known).decode()
