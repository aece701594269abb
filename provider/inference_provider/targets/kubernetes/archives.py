"""Archives of the content service, as pods fetch, unpack and put them.

Goes in: the hash of an archive. Comes out: its files in a folder, or an error that says what to do.
Init containers run this with any Python from 3.9 on, so it imports only the standard library.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

SERVICE = "http://inference-content:8080"
LIMIT_S = 120.0
"""Longest time without a byte from the service: it is starting, or moves to another node."""
_PAUSE_S = 1.0
_SILENCE_S = 30.0
_PART = 2**20


class Failed(Exception):
    """What could not be done, why, and what to do: the last line of a container's log."""


class NotKept(Failed):
    """The service does not have it."""


class Service:
    """The content service of this namespace."""

    def __init__(self, url: str = SERVICE, limit_s: float = LIMIT_S) -> None:
        self._url = url
        self.limit_s = limit_s
        # straight to it: a proxy in the variables is for the package index
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def request(
        self,
        method: str,
        path: str,
        body: Callable[[], Iterable[bytes]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send one request, until the service takes it; the caller closes the answer.

        Args:
            method: HTTP's.
            path: Where.
            body: Returns what is sent; called again for each attempt.
            headers: More of them.

        Raises:
            NotKept: It answers 404.
            Failed: It answers something else than success, or not in time.
        """
        until, cause = time.monotonic() + self.limit_s, ""
        while True:
            last = cause
            try:
                sent = body() if body else None
                asked = urllib.request.Request(self._url + path, sent, headers or {}, method=method)
                return self._open(asked, timeout=_SILENCE_S)  # type: ignore[no-any-return]
            except urllib.error.HTTPError as answer:
                with answer:
                    said = answer.read(600).decode(errors="replace").strip().replace("\n", "; ")
                if answer.code == 404:
                    raise NotKept("the content service does not have it") from None
                cause = f"the content service answers {answer.code}: {said}"
                if answer.code not in (429, 500, 502, 503, 504):
                    raise Failed(cause) from None
                if answer.code == 503 and cause != last:  # it fetches that, and says how far it is
                    until = time.monotonic() + self.limit_s
            except (OSError, http.client.HTTPException) as fault:
                cause = str(getattr(fault, "reason", "") or fault or type(fault).__name__)
                cause = f"the content service does not answer: {cause}"
            if time.monotonic() >= until:
                limit = f"{cause} (tried for {self.limit_s:.0f} s)"
                raise Failed(f"{limit}; look at the pods of deployment inference-content")
            time.sleep(_PAUSE_S)

    def text(self, path: str) -> str:
        with self.request("GET", path) as answer:
            return answer.read().decode().strip()


class Download:
    """The bytes of one archive, hashed as they are read; a lost connection is taken up again."""

    def __init__(self, service: Service, digest: str) -> None:
        self._service = service
        self._digest = digest
        self._hashed = hashlib.sha256()
        self._position = 0
        self._answer = self._connected()
        self._size = int(self._answer.headers["Content-Length"])

    def _connected(self) -> http.client.HTTPResponse:
        headers = {"Range": f"bytes={self._position}-"} if self._position else {}
        answer = self._service.request("GET", f"/assets/{self._digest}", headers=headers)
        if answer.status != (206 if self._position else 200):
            raise Failed(f"the content service answers {answer.status} for a part of it")
        return answer

    def read(self, count: int) -> bytes:
        """Return at least one byte and no more than `count`; none at the end."""
        lost_s: float | None = None
        while self._position < self._size:
            try:
                part = self._answer.read(min(count, self._size - self._position))
            except (OSError, http.client.HTTPException):
                part = b""
            if part:
                self._position += len(part)
                self._hashed.update(part)
                return part
            self._answer.close()
            lost_s = self._pause_since(lost_s)
            self._answer = self._connected()
        return b""

    def _pause_since(self, lost_s: float | None) -> float:
        """Connect again at once the first time, then after a pause, and in the end not any more."""
        now_s = time.monotonic()
        if lost_s is None:
            return now_s
        if now_s >= lost_s + self._service.limit_s:
            missing = self._size - self._position
            reason = f"the content service ends {missing} bytes early, again and again"
            raise Failed(f"{reason}; look at the pods of deployment inference-content")
        time.sleep(_PAUSE_S)
        return lost_s

    def finish(self) -> None:
        """Read the rest. Raises Failed when the archive has another hash."""
        while self.read(_PART):
            pass
        self._answer.close()
        if self._hashed.hexdigest() != self._digest:
            raise Failed("what arrived has another hash; start the pod again")


def fetch(service: Service, digest: str, into: Path, links: bool = False) -> None:
    """Unpack an archive into a folder, which is complete only when this returns.

    Args:
        service: Where it is.
        digest: Its hash.
        into: A folder that exists and is empty.
        links: Whether it may have symbolic links, as a virtual environment has.

    Raises:
        NotKept: The service does not have it.
        Failed: It could not be fetched, or is not what its name says.
    """
    source = Download(service, digest)
    try:
        _unpack(source, into, links)
    except tarfile.TarError as fault:
        source.finish()  # another hash says more
        raise Failed(f"its archive cannot be read: {fault}") from fault
    except OSError as fault:
        full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = "the node has no space left for it" if full else f"cannot be written: {fault}"
        raise Failed(cause) from fault
    source.finish()


def _unpack(source: Any, into: Path, links: bool) -> None:
    """Write regular files and folders; links come last, so that nothing is written through one."""
    later = []
    with tarfile.open(fileobj=source, mode="r|", bufsize=_PART) as archive:
        for info in archive:
            path = into / _inside(info.name)
            if info.isdir():
                path.mkdir(exist_ok=True)
                path.chmod(0o755)
            elif info.isreg():
                _write(archive.extractfile(info), path, info)
            elif info.issym() and links:
                later.append((path, info.linkname))
            else:
                raise tarfile.TarError(f"'{info.name}' is neither a file nor a folder")
    for path, to in later:
        path.symlink_to(to)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise tarfile.TarError(f"'{name}' is no path inside it")
    return path


def _write(content: Any, path: Path, info: tarfile.TarInfo) -> None:
    mode = 0o755 if info.mode & 0o100 else 0o644
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(opened, "wb") as file:
        while part := content.read(_PART):
            file.write(part)
        os.fchmod(opened, mode)
    if info.mtime:  # what Python compiled names the time of its source
        os.utime(path, (info.mtime, info.mtime))


def packed(folder: Path) -> Iterator[bytes]:
    """Yield the archive of a virtual environment: the same bytes as long as it is not changed."""
    for name, path in _entries(folder):
        info = tarfile.TarInfo(name)
        stat = path.lstat()
        info.mode, info.mtime = stat.st_mode & 0o777, int(stat.st_mtime)
        if path.is_symlink():
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        elif path.is_dir():
            info.type = tarfile.DIRTYPE
        else:
            info.size = stat.st_size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if info.size:
            with path.open("rb") as opened:
                yield from _parts(opened)
            yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _entries(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        name = prefix + path.name
        yield name, path
        if path.is_dir() and not path.is_symlink():
            yield from _entries(path, f"{name}/")


def _parts(opened: BinaryIO) -> Iterable[bytes]:
    while part := opened.read(_PART):
        yield part
