"""Keys of identity providers as they were fetched last: files beside those of a router.

Each is the provider's own answer, in a file named for its URL, whose time says when the provider
gave it last. They are public keys; who could change them could let anybody in, so they are in the
router's folder, which only its owner enters.
"""

import hashlib
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from inference_provider.router.provider import Fetched
from inference_provider.targets.private_file import write_private

_FOLDER = "provider-keys"


class KeptFile(NamedTuple):
    """A file of a copy of a folder of keys."""

    text: str
    at_s: float
    """When it was written, in seconds since 1970."""


class FetchedKeys:
    """Those of one router, in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def keep(self, uri: str, text: str) -> None:
        """Keep what a URL has answered just now. Raises OutOfCapacity, or another TargetError."""
        path = self._path(uri)
        if text == self.text(uri):
            os.utime(path)
        else:
            write_private(path, text)
        self._fault_path(uri).unlink(missing_ok=True)

    def fail(self, uri: str, reason: str) -> None:
        """Remember why a URL answered no keys just now. Raises as `keep`."""
        if reason != _read(self._fault_path(uri)):
            write_private(self._fault_path(uri), reason)

    def text(self, uri: str) -> str:
        """Return the keys that a URL answered last; empty if none are kept."""
        return _read(self._path(uri))

    def state(self, uri: str) -> Fetched:
        """Return what is known of a URL."""
        at = ""
        with suppress(OSError):
            at = _time(self._path(uri).stat().st_mtime)
        return Fetched(at=at, fault=_read(self._fault_path(uri)))

    def forget_others(self, uris: Collection[str]) -> None:
        """Forget what other URLs have answered."""
        kept = {path.name for uri in uris for path in (self._path(uri), self._fault_path(uri))}
        for path in self._folder.glob("*"):
            # one that is written just now has a name of its own, with a dot before
            if path.name not in kept and not path.name.startswith("."):
                path.unlink(missing_ok=True)

    def _path(self, uri: str) -> Path:
        return self._folder / f"{_stem(uri)}.json"

    def _fault_path(self, uri: str) -> Path:
        return self._path(uri).with_suffix(".fault")


def state_in(files: Mapping[str, KeptFile], uri: str) -> Fetched:
    """Return what is known of a URL by a copy of a router's folder, made elsewhere.

    Args:
        files: Those of the copy, by their paths in the folder.
        uri: The URL.
    """
    keys, fault = (files.get(f"{_FOLDER}/{_stem(uri)}.{end}") for end in ("json", "fault"))
    return Fetched(at=_time(keys.at_s) if keys else "", fault=fault.text if fault else "")


def _stem(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _time(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M} UTC"
