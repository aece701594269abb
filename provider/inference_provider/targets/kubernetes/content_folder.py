"""The folder in which a workspace's content lies: archives by hash, and names of some of them.

An archive is there whole or not at all, also after a kill or a power cut. A name says which archive
is the environment of a key: nobody knows the hash of one before it is built. Imports only the
standard library.
"""

import errno
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotTheContent(Exception):
    """What arrived has another hash than its name."""


class VolumeFull(Exception):
    """There is no space for it; the text says how much there is."""


class VolumeFault(Exception):
    """The volume cannot be written; the text says why."""


class InUse(Exception):
    """Somebody has asked for it too recently to remove it."""


class ContentFolder:
    """One folder; its methods may be called by several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._assets, self._names = root / "assets", root / "environments"
        self._arriving = root / "arriving"
        self._changing = threading.Lock()
        shutil.rmtree(self._arriving, ignore_errors=True)  # of a server that was killed
        for folder in (self._assets, self._names, self._arriving):
            folder.mkdir(exist_ok=True)

    # -- archives ------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise if nothing can be kept here."""

    def clear(self) -> None:
        """Delete what would stay when the volume is gone."""

    def size(self, digest: str) -> int | None:
        """Return the bytes of an archive, and note that it is used; None when it is not there."""
        found = self.opened(digest)
        if found is None:
            return None
        with found:
            return found.seek(0, 2)

    def opened(self, digest: str) -> BinaryIO | None:
        """Open an archive, and note that it is used; None when it is not there."""
        try:
            with self._changing:
                found = (self._assets / digest).open("rb")
                os.utime(self._assets / digest)
        except FileNotFoundError:
            return None
        return found

    def receive(self, digest: str, parts: Iterable[bytes], size: int = 0) -> None:
        """Keep an archive of this hash; what is raised by `parts` leaves nothing.

        Args:
            digest: Its hash.
            parts: It.
            size: Its bytes, as far as that is known.

        Raises:
            NotTheContent: It has another hash.
            VolumeFull: There is no space for it.
            VolumeFault: It cannot be written.
        """
        hashed = hashlib.sha256()

        def noted() -> Iterable[bytes]:
            for part in parts:
                hashed.update(part)
                yield part
            if hashed.hexdigest() != digest:
                raise NotTheContent(f"what arrived has the hash {hashed.hexdigest()}")

        self._write(self._assets / digest, noted())

    def _write(self, path: Path, parts: Iterable[bytes]) -> None:
        beside = self._arriving / f"{path.name}.{secrets.token_hex(8)}"
        try:
            with beside.open("xb") as opened:
                for part in parts:
                    opened.write(part)
                opened.flush()
                os.fsync(opened.fileno())
            with self._changing:
                beside.replace(path)
            _sync(path.parent)
        except OSError as fault:
            if fault.errno in _FULL:
                raise VolumeFull(self._space()) from fault
            raise VolumeFault(f"the content volume cannot be written: {fault.strerror}") from fault
        finally:
            with suppress(OSError):
                beside.unlink()

    def fits(self, size: int) -> None:
        """Raise VolumeFull if there certainly is no space for so many bytes."""
        if size > self._free():
            raise VolumeFull(f"{size} bytes are too many: {self._space()}")

    def _space(self) -> str:
        total = shutil.disk_usage(self._root).total
        return f"the content volume has {self._free()} bytes left of {total}"

    def _free(self) -> int:
        return shutil.disk_usage(self._root).free

    def remove(self, digest: str, unused_s: float = 0.0) -> bool:
        """Remove an archive that nobody has asked for so long; return whether it was there.

        Raises:
            InUse: Somebody has.
        """
        path = self._assets / digest
        with self._changing:
            try:
                idle_s = time.time() - path.stat().st_mtime
                if idle_s < unused_s:
                    raise InUse(f"it was used {idle_s:.0f} s ago")
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def listed(self) -> dict[str, Any]:
        """Return every archive with its size and the time since its last use, and every name."""
        assets = []
        for entry in os.scandir(self._assets):
            with suppress(FileNotFoundError):  # removed meanwhile
                stat = entry.stat()
                idle_s = max(0.0, round(time.time() - stat.st_mtime, 1))
                assets.append({"digest": entry.name, "size": stat.st_size, "idle_s": idle_s})
        names = {entry.name: self.named(entry.name) for entry in os.scandir(self._names)}
        return {"assets": assets, "environments": names, "free": self._free()}

    # -- names ---------------------------------------------------------------------------------

    def named(self, name: str) -> str | None:
        """Return the hash of the archive with a name; None when there is no such archive."""
        try:
            digest = (self._names / name).read_text()
        except FileNotFoundError:
            return None
        return digest if (self._assets / digest).exists() else None

    def name(self, name: str, digest: str) -> bool:
        """Give an archive a name, unless another has it; return whether it has it now."""
        if (found := self.named(name)) is not None:
            return found == digest
        self._write(self._names / name, [digest.encode()])
        return True

    def unname(self, name: str) -> bool:
        """Remove a name; return whether it was there."""
        try:
            (self._names / name).unlink()
        except FileNotFoundError:
            return False
        return True


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
