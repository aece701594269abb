"""Content that lies in a bucket, with the folder of a content pod as what it has at hand.

An archive is kept when the bucket has it. The folder is filled from there, and emptied of what was
not used for longest when space runs short, so a pod that moves loses nothing. What is at hand is
given while nothing reaches the bucket. An archive is checked by its hash whenever it arrives.
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from inference_provider.targets.kubernetes.content_bucket import Bucket
from inference_provider.targets.kubernetes.content_folder import (
    ContentFolder,
    InUse,
    NotTheContent,
)

_AT_ONCE = 4
"""Archives that are fetched from the bucket at a time."""
WAIT_S = 10.0
"""Longest time without a byte for who asks for one that is still to be fetched."""
_SPARE = 64 * 2**20


class Fetching(Exception):
    """An archive is still being fetched from the bucket; the text says how far."""


class ContentCache(ContentFolder):
    """The content in a bucket, as that of a folder."""

    def __init__(self, root: Path, bucket: Bucket, wait_s: float = WAIT_S) -> None:
        super().__init__(root)
        self._bucket = bucket
        self._wait_s = wait_s
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._deciding = threading.Lock()  # whether something is used, and goes if not
        self._coming = threading.RLock()  # a fetch may be done before anybody waits for it
        self._fetches: dict[str, Future[bool]] = {}
        self._arrived: dict[str, str] = {}
        """How far each fetch is."""
        self._damaged: set[str] = set()
        """What the bucket has that is not what its name says."""
        self._began_s = time.time()
        self._used: dict[str, float] = {}
        """When somebody asked for what may be in the bucket alone."""

    def check(self) -> None:
        self._bucket.claim()

    def clear(self) -> None:
        self._bucket.clear()

    # -- archives ------------------------------------------------------------------------------

    def size(self, digest: str) -> int | None:
        with self._deciding:
            found = None if digest in self._damaged else self._bucket.size(digest)
            if found is not None:
                self._used[digest] = time.time()
        return found

    def opened(self, digest: str) -> BinaryIO | None:
        """Open an archive, which is fetched first where it is not at hand.

        Raises:
            Fetching: That takes longer.
        """
        found = super().opened(digest)
        if found is None and self._fetched(digest):
            found = super().opened(digest)
        if found is not None:
            self._used[digest] = time.time()
        return found

    def _fetched(self, digest: str) -> bool:
        """Wait for an archive; who asks for the same one waits for the same fetch."""
        with self._coming:
            coming = self._fetches.get(digest)
            if coming is None:
                coming = self._fetches[digest] = self._pool.submit(self._fetch, digest)
                coming.add_done_callback(lambda _done: self._end(digest))
        try:
            return coming.result(self._wait_s)
        except TimeoutError:
            far = self._arrived.get(digest, "it waits for others")
            raise Fetching(f"it is fetched from the bucket: {far}") from None

    def _end(self, digest: str) -> None:
        with self._coming:
            self._fetches.pop(digest, None)
            self._arrived.pop(digest, None)

    def _fetch(self, digest: str) -> bool:
        """Fetch an archive; return whether the bucket has it."""
        size = self._bucket.size(digest)
        if size is None or digest in self._damaged:
            return False
        self._make_room(size)
        try:
            super().receive(digest, self._counted(digest, size))
        except NotTheContent:
            self._damaged.add(digest)
            return False
        return True

    def _counted(self, digest: str, size: int) -> Iterator[bytes]:
        done = 0
        for part in self._bucket.parts(digest, size):
            done += len(part)
            self._arrived[digest] = f"{done} of {size} bytes"
            yield part

    def receive(self, digest: str, parts: Iterable[bytes], size: int = 0) -> None:
        with self._bucket.writing(digest, size) as through:
            super().receive(digest, through(parts), size)
        self._used[digest] = time.time()
        self._damaged.discard(digest)

    def fits(self, size: int) -> None:
        self._make_room(size)
        super().fits(size)

    def _make_room(self, size: int) -> None:
        """Remove from the folder what was not used for longest, until there is space."""
        there = sorted((e.stat().st_mtime, e.path) for e in os.scandir(self._assets))
        for _, path in there:
            if self._free() >= size + _SPARE:
                return
            with suppress(FileNotFoundError):
                os.unlink(path)

    def remove(self, digest: str, unused_s: float = 0.0) -> bool:
        with self._deciding:
            if (idle_s := self._idle_s(digest)) < unused_s:
                raise InUse(f"it was used {idle_s:.0f} s ago")
            was_there = self._bucket.size(digest) is not None
            self._bucket.remove(digest)
            super().remove(digest)
            self._used.pop(digest, None)
            self._damaged.discard(digest)
        return was_there

    def _idle_s(self, digest: str) -> float:
        """Return the time since the last use: what was before this process counts as now."""
        return max(0.0, time.time() - max(self._used.get(digest, 0.0), self._began_s))

    def listed(self) -> dict[str, Any]:
        there = self._bucket.listed()
        assets = [
            {"digest": digest, "size": size, "idle_s": round(self._idle_s(digest), 1)}
            for digest, size in there.items()
            if digest not in self._damaged
        ]
        names = {name: self._hash_of(name) for name in self._bucket.names()}
        known = {name: digest if digest in there else None for name, digest in names.items()}
        return {"assets": assets, "environments": known, "free": self._free()}

    # -- names ---------------------------------------------------------------------------------

    def named(self, name: str) -> str | None:
        digest = self._hash_of(name)
        if digest is None or (self._assets / digest).exists():
            return digest
        return digest if self._bucket.size(digest) is not None else None

    def _hash_of(self, name: str) -> str | None:
        """Return the hash that has a name; this process alone changes it, so it is read once."""
        with suppress(FileNotFoundError):
            return (self._names / name).read_text()
        digest = self._bucket.named(name)
        if digest is not None:
            self._write(self._names / name, [digest.encode()])
        return digest

    def name(self, name: str, digest: str) -> bool:
        if (found := self.named(name)) is not None:
            return found == digest
        self._bucket.name(name, digest)
        self._write(self._names / name, [digest.encode()])
        return True

    def unname(self, name: str) -> bool:
        was_there = self._hash_of(name) is not None
        self._bucket.unname(name)
        super().unname(name)
        return was_there
