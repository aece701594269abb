"""A file that a person brings -> its bytes or its text, within a limit.

Goes in: a path, and how it is written where a person named it. Comes out: content, or one
`Unreadable` that says why not. All such files are read here: reading a pipe could block forever,
and reading a device or a file of 20 GB could exhaust the memory.
"""

import codecs
import os
import stat
from pathlib import Path
from typing import BinaryIO

from inference_provider.errors import Fault

STACK_FILE_MIB = 16
VALUE_MIB = 1
"""What `${file:PATH}` stands for."""
REQUIREMENTS_MIB = 4
SCRIPT_MIB = 4
"""Python's parser needs about 300 times as much memory."""

RELATIVE = "paths are relative to the stack file"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Unreadable(Exception):
    """A file cannot be read, or not as text.

    Args:
        reason: What is wrong, with the file's name.
        remedy: What to do about it; empty where the caller knows better.
        line: Line of the file that is not text, counted from 1.
    """

    def __init__(self, reason: str, remedy: str = "", line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.line = line

    def fault(self, field: str, remedy: str) -> Fault:
        """Return it as a fault of the field that names the file."""
        at = f" (line {self.line})" if self.line is not None else ""
        return Fault(field, self.reason + at, self.remedy or remedy)


def read_bytes(path: Path, name: str, limit_mib: int) -> bytes:
    """Return what a regular file holds.

    Args:
        path: Where it is.
        name: How a person wrote it.
        limit_mib: Size beyond which it is refused, MiB.

    Raises:
        Unreadable: It does not exist, is not a regular file, is too large, or cannot be opened.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
            raise Unreadable(f"cannot read '{name}': it is {kind}")
        with path.open("rb") as stream:
            return read_stream(stream, name, limit_mib)
    except OSError as exc:
        raise Unreadable(f"cannot read '{name}': {exc.strerror}") from exc
    except ValueError as exc:  # a null byte in its name
        raise Unreadable(f"cannot read '{name!r}': {exc}") from exc


def inside(folder: Path, written: str) -> Path:
    """Return the path of a file that a person named, relative to a folder.

    Where a name says that it leads out of the folder, whoever reviews it sees that. A link says
    nothing, and an error may quote what it leads to.

    Raises:
        Unreadable: Its name stays in the folder, and a link leads out of it.
    """
    path = folder / written
    if "\0" in written or not _stays(folder, path):
        return path
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        return path
    reason = f"'{written}' leads by a link out of the folder of the stack"
    raise Unreadable(reason, "write the path that the link leads to, or put the file there")


def _stays(folder: Path, path: Path) -> bool:
    """Whether a path stays in a folder by its name, links aside."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def is_text(name: str) -> bool:
    """Whether a name or a value from the system is UTF-8; it has surrogates where it is not."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def read_stream(stream: BinaryIO, name: str, limit_mib: int) -> bytes:
    """Return everything in a stream. Raises Unreadable beyond the limit."""
    content = stream.read(limit_mib * 2**20 + 1)
    if len(content) > limit_mib * 2**20:
        raise Unreadable(f"'{name}' is larger than {limit_mib} MiB")
    return content


def read_text(path: Path, name: str, limit_mib: int) -> str:
    """Return a regular file's text, without a byte order mark, with newlines as line ends.

    Raises:
        Unreadable: As `read_bytes`, or it is neither UTF-8 nor UTF-16 with a byte order mark.
    """
    content = read_bytes(path, name, limit_mib)
    mark, encoding = next(((m, e) for m, e in _BOMS if content.startswith(m)), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, len(mark) + exc.start) + 1
        raise Unreadable(f"'{name}' is not UTF-8 text", "save it as UTF-8", line) from exc
    return text.replace("\r\n", "\n").replace("\r", "\n")
