"""Content -> the tar archive of it, made while its files are read.

The same content gives the same bytes: names are sorted, times and owners left out.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from inference_provider.files.left_out import BadContent
from inference_provider.files.tree import Content

_PART = 2**20


class TreeArchive:
    """The archive of some content, made while it is read; no file of it is ever whole in memory.

    All is readable by everybody and writable by nobody but root.
    """

    def __init__(self, content: Content, under: str) -> None:
        """Put the content in the folder `under` of the archive."""
        self._content = content
        self._under = under
        self.hashes: list[str] = []
        """Sha256 in hex of each file's bytes as they were sent, in the order of the content."""
        self.sizes: dict[str, int] = {}
        """Bytes of each file, by its path in the archive."""
        self.fault: Exception | None = None
        """Why it ended early: whoever sends it takes an OSError for one of the connection."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._parts()
        except (OSError, BadContent) as fault:
            self.fault = fault
            raise

    def _parts(self) -> Iterator[bytes]:
        root = f"{self._under}/{self._content.folder}".rstrip("/")
        files = self._content.files
        for folder in sorted({self._under, root, *_folders(f"{root}/{name}" for name, _ in files)}):
            yield _header(folder, tarfile.DIRTYPE, 0o755)
        for name, path in files:
            with path.open("rb") as opened:
                yield from self._file(f"{root}/{name}", opened)
        yield b"\0" * (2 * tarfile.BLOCKSIZE)

    def _file(self, name: str, opened: BinaryIO) -> Iterator[bytes]:
        stat = os.fstat(opened.fileno())
        mode = 0o755 if stat.st_mode & 0o100 else 0o644
        yield _header(name, tarfile.REGTYPE, mode, stat.st_size)
        self.sizes[name] = stat.st_size
        digest, left = hashlib.sha256(), stat.st_size
        while left:
            part = opened.read(min(left, _PART))
            if not part:  # the file was cut short meanwhile, which its hash will tell
                part = b"\0" * min(left, _PART)
            digest.update(part)
            left -= len(part)
            yield part
        if opened.read(1):  # it has grown
            digest.update(b"more")
        self.hashes.append(digest.hexdigest())
        yield b"\0" * (-stat.st_size % tarfile.BLOCKSIZE)


def _header(name: str, kind: bytes, mode: int, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _folders(paths: Iterable[str]) -> Iterator[str]:
    """Yield every folder above some paths."""
    for path in paths:
        parts = path.split("/")
        yield from ("/".join(parts[:count]) for count in range(1, len(parts)))
