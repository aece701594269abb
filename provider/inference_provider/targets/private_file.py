"""Files readable by this user alone: written whole or not at all, and the errors of a write.

Every target writes its folder through here. The caller decides what is in the files.
"""

import contextlib
import errno
import os
from pathlib import Path

from inference_provider.errors import OutOfCapacity, TargetError


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all.

    Raises:
        OutOfCapacity: The disk is full.
    """
    make_folder(path.parent)
    # Two threads may write the same file, so each uses its own name until the rename; the process
    # in it says whether one that is left was abandoned.
    beside = path.with_name(f".{path.name}.{os.getpid()}.{id(text):x}")
    replace_private(path, text, beside)


def replace_private(path: Path, text: str, beside: Path) -> None:
    """As `write_private`, with a temporary path on the same disk; the folder must exist."""
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as fault:
        with contextlib.suppress(OSError):  # a read-only disk refuses that too
            beside.unlink(missing_ok=True)
        raise no_space(fault, path) from fault


def make_folder(path: Path) -> None:
    """Make a folder of mode 0700 unless it exists; raises the same errors as `write_private`."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        raise no_space(fault, path) from fault


def no_space(fault: OSError, path: Path) -> Exception:
    """Turn the error of a write into ours, with advice for a full or read-only disk."""
    if fault.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        remedy = "make it writable for this user, or keep the state in another folder"
        return TargetError("write", str(path), f"{fault.strerror}", remedy)
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfCapacity(
            "write", path.name, f"no space left under {path.parent}", "free some and run it again"
        )
    return TargetError("write", str(path), fault.strerror or type(fault).__name__)
