"""A file that is written where it lies, when a full disk takes no other in its place.

Imports only the standard library: `watch.py` and what it starts stand on it.
"""

import errno
import os
from pathlib import Path

_BLOCK = 4096


def with_room(text: str) -> str:
    """Return a text with blanks behind, so that `write_over` has room for a longer one."""
    wanted = len(text) + len(text) // 4 + _BLOCK
    return text.ljust(-(-wanted // _BLOCK) * _BLOCK)


def write_over(file: Path, text: str) -> None:
    """Write a text over a file, in the blocks that it has, and blanks behind it.

    Whoever is killed in the middle leaves some of both texts, so it is for want of a better way.

    Raises:
        OSError: There is no such file, its room is too small, or the disk is read-only.
    """
    data, opened = text.encode(), os.open(file, os.O_WRONLY)
    try:
        room = -(-os.fstat(opened).st_size // _BLOCK) * _BLOCK
        fits = len(data) <= room
        if not fits or os.pwrite(opened, data.ljust(room), 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    finally:
        os.close(opened)
