"""Lines of a log that are there whole or not at all.

Imports only the standard library: `targets/local/watch.py` runs it.
"""

import errno
import os
from pathlib import Path


def append_line(path: Path, line: bytes) -> None:
    """Append a line to a file of mode 0600, never to one that a full disk has cut short.

    Nobody else may write meanwhile. Raises OSError, with nothing of the line in the file.
    """
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(size)
            raise
