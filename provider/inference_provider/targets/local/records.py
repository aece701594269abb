"""The Records of a workspace as files: one per document, 0600 in folders of 0700.

Each file is written under another name and renamed, so neither a reader nor a crash leaves half of
one. What an edit replaces or drops keeps another name until the edit ends: restoring it needs no
room, so it works on a full disk too.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import quote, unquote

import psutil

from inference_provider.observed import Actor, JournalEntry
from inference_provider.targets.documents import journal_of
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.locks import held, workspace_lock
from inference_provider.targets.private_file import no_space, write_private
from inference_provider.workspace.undo import UndoLog

_Stamp = tuple[int, int, int]
_SUFFIX = ".json"
_UNREADABLE = b"\0"
"""Stands for a document that cannot be read; no parser takes it."""


class FileRecords:
    """Documents of one workspace."""

    def __init__(self, folders: Folders) -> None:
        self.workspace = folders.workspace
        self._folders = folders
        self._folder = folders.folder
        self._known: dict[str, tuple[_Stamp, bytes]] = {}
        # text, since every publication asks for every document: a Path costs more than its stat
        self._texts = str(folders.folder)
        self._undo = UndoLog()
        self._aside: list[Path] = []
        self._is_tidy = False

    def exists(self) -> bool:
        return self._folders.exists

    # -- documents -----------------------------------------------------------------------------

    def section(self, section: str) -> Mapping[str, bytes]:
        found = {}
        try:
            with os.scandir(f"{self._texts}/{section}") as entries:
                names = sorted(e.name for e in entries if _is_document(e.name))
        except FileNotFoundError:
            return {}
        for name in names:
            document = self._document(f"{self._texts}/{section}/{name}")
            if document is not None:
                found[unquote(name.removesuffix(_SUFFIX))] = document
        return found

    def read(self, section: str, name: str) -> bytes | None:
        return self._document(self.place(section, name))

    def _document(self, path: str) -> bytes | None:
        """Return a file's bytes, the same object while it does not change; None for an empty one.

        One that cannot be read (another user's, a folder) is as corrupt as one that is half there.
        A file is only ever replaced, never modified: its inode, size and time identify it.
        """
        try:
            stat = os.stat(path)
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                known = self._known[path] = stamp, Path(path).read_bytes()
        except FileNotFoundError:
            self._known.pop(path, None)
            return None
        except OSError:
            return _UNREADABLE
        return known[1] or None

    def put(self, section: str, name: str, text: str) -> None:
        path = self._path(section, name)
        if self._document(str(path)) == text.encode():
            return
        self._set_aside(path, keep=True)
        write_private(path, text)
        self._known.pop(str(path), None)

    def drop(self, section: str, name: str) -> None:
        path = self._path(section, name)
        if not self._set_aside(path, keep=False):
            path.unlink(missing_ok=True)
        self._known.pop(str(path), None)

    def place(self, section: str, name: str) -> str:
        return f"{self._texts}/{section}/{quote(name, safe='')}{_SUFFIX}"

    def _path(self, section: str, name: str) -> Path:
        return Path(self.place(section, name))

    # -- edits ---------------------------------------------------------------------------------

    def still(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def edit(self) -> Iterator[None]:
        if self._undo.active:
            with self._undo.part():
                yield
            return
        with self.lock("state"):
            self._drop_left()
            with self._undo.part():
                yield
            for path in self._aside:
                _discard(path)
            self._aside.clear()

    def _drop_left(self) -> None:
        """Remove, once, what who was killed had set aside or half written: it may hold keys."""
        if self._is_tidy:
            return
        for left in self._folder.glob(f"*/.*{_SUFFIX}.*.*"):
            writer = left.name.rsplit(".", 2)[1]
            if writer == "before" or (writer.isdecimal() and not psutil.pid_exists(int(writer))):
                with suppress(OSError):
                    left.unlink()
        self._is_tidy = True

    def _set_aside(self, path: Path, *, keep: bool) -> bool:
        """Inside an edit, remember how to restore a file; return whether it was moved away."""
        if not self._undo.active:
            return False
        aside = path.with_name(f".{path.name}.before.{len(self._undo)}")
        try:
            if keep:
                aside.unlink(missing_ok=True)
                os.link(path, aside)
            else:
                os.replace(path, aside)
        except FileNotFoundError:  # there is no file to restore
            self._undo.note(lambda: self._put_back(None, path))
            return not keep
        except OSError:  # a file system without links
            if (document := self._document(str(path))) != _UNREADABLE:
                text = (document or b"").decode()
                self._undo.note(lambda: write_private(path, text))
                return False
            os.replace(path, aside)
        self._aside.append(aside)
        self._undo.note(lambda: self._put_back(aside, path))
        return not keep

    def _put_back(self, aside: Path | None, path: Path) -> None:
        self._known.pop(str(path), None)
        if aside is None:
            path.unlink(missing_ok=True)
        else:
            os.replace(aside, path)

    # -- locks ---------------------------------------------------------------------------------

    def lock(self, name: str, wait_s: float | None = None) -> AbstractContextManager[None]:
        return workspace_lock(self._folders, name, wait_s)

    def hold(self, actor: Actor) -> AbstractContextManager[None]:
        return held(self._folders.root / "holders", self.workspace, actor)

    # -- journal -------------------------------------------------------------------------------

    def note(self, entry: JournalEntry) -> None:
        path = self._folder / "journal.jsonl"
        line = f"{entry.model_dump_json()}\n".encode()
        try:
            with open(path, "ab+", buffering=0, opener=_open_private) as file:
                size = os.fstat(file.fileno()).st_size
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    line = b"\n" + line  # a full disk cut the last entry short
                if file.write(line) != len(line):  # the rest stays: others may have written on
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError as fault:
            raise no_space(fault, path) from fault

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return all entries, oldest first, without lines that a full disk cut short."""
        return journal_of((self._document(f"{self._texts}/journal.jsonl") or b"").splitlines())


def _is_document(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a folder in the place of a document
        shutil.rmtree(path, ignore_errors=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
