"""Kept content, and the trees of it that instances work in.

Kept content is a folder of read-only files with a manifest beside it. Each start of an instance
checks it against the manifest and makes a separate tree of hard links, so a script that adds or
removes files affects no other instance. Imports only the standard library: `launch.py` runs it at
each start of a program.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

READ_ONLY = 0o400
EXECUTABLE = 0o100


class NotAsKept(Exception):
    """Kept content was changed; the text says which file, and how."""


def manifest_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.json")


def write_manifest(place: Path, lying_in: Path, hashes: Mapping[str, str]) -> None:
    """Make kept files read-only and write their manifest.

    Args:
        place: Where the content is kept, or will be.
        lying_in: Where it is now.
        hashes: Sha256 in hex of each file, by its name in `lying_in`.
    """
    noted = {}
    for name, digest in hashes.items():
        file = lying_in / name
        file.chmod(READ_ONLY | (file.stat().st_mode & EXECUTABLE))
        stat = file.stat()
        noted[name] = [stat.st_size, stat.st_mtime_ns, stat.st_mode & 0o777, digest]
    manifest = manifest_of(place)
    beside = manifest.with_name(f"{manifest.name}.{os.getpid()}.{threading.get_ident()}")
    beside.touch(mode=0o600)
    beside.write_text(json.dumps(noted))
    beside.replace(manifest)


def changed(place: Path) -> str:
    """Say which kept file was changed, and how; empty when none was.

    Only bytes count. Modes and times are restored: a script may change them through its own link.

    Raises:
        FileNotFoundError: There is no manifest.
        ValueError: A power cut left half of it.
    """
    for name, (size, mtime_ns, mode, digest) in _noted(place).items():
        file = place / name
        try:
            stat = file.stat()
        except OSError:
            return f"{name} is missing"
        if stat.st_size != size:
            return f"{name} has other content"
        with suppress(PermissionError):  # read-only access by another user is enough
            if stat.st_mode & 0o777 != mode:
                file.chmod(mode)
            if stat.st_mtime_ns != mtime_ns:
                if _sha256(file) != digest:
                    return f"{name} has other content"
                os.utime(file, ns=(stat.st_atime_ns, mtime_ns))
    return ""


def lay_out(place: Path, tree: Path) -> None:
    """Recreate a tree of kept content, with links, or copies where links are not possible.

    Raises:
        NotAsKept: The content was changed.
    """
    try:
        fault = changed(place)
    except (FileNotFoundError, ValueError):
        fault = "its manifest is missing"
    if fault:
        raise NotAsKept(fault)
    clear(tree)
    tree.mkdir(parents=True, mode=0o700)
    for name in _noted(place):
        to = tree / name
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _place(place / name, to)


def _place(kept: Path, to: Path) -> None:
    """Put a kept file into a tree: as a link if the process cannot write it, else as a copy."""
    if os.geteuid() != 0:  # root could write the kept file through a link
        try:
            os.link(kept, to)
            return
        except OSError:  # the file system has no links, or the file too many
            pass
    shutil.copy2(kept, to)


def clear(tree: Path) -> None:
    """Remove a tree, even if a script removed permissions; symlinks are not followed.

    A folder that a process still writes into may stay.
    """
    if tree.is_symlink():
        tree.unlink()
    shutil.rmtree(tree, ignore_errors=True)
    if tree.exists():
        tree.chmod(0o700)
        for folder, folders, _ in os.walk(tree):
            for inner in (Path(folder) / name for name in folders):
                if not inner.is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(tree, ignore_errors=True)


def _noted(place: Path) -> dict[str, tuple[int, int, int, str]]:
    noted: dict[str, tuple[int, int, int, str]] = json.loads(manifest_of(place).read_text())
    return noted


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
