"""Logs that are written and set aside -> their new lines, from a kept position on.

A file is known by its number and its beginning, so it is found again under whatever name it was set
aside.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from inference_provider.observed import Frozen

_HEAD_BYTES = 256
LONGEST_BYTES = 64 * 1024
"""A longer line comes in pieces, so that one that never ends is not waited for."""
_PLACES = ("position", "start")


class Position(Frozen):
    """Up to where a log has been read."""

    inode: int
    offset: int
    head: str
    """Digest of the file's first bytes before the offset: a number of a file is used again."""
    written_ns: int = 0
    """When the file had been written to last: all that is not read yet was written later."""


class Line(NamedTuple):
    """A line of a log, without its end."""

    text: bytes
    part: Path
    """The file that it was in."""
    end: int
    """Its end in that file."""
    uid: str
    """The same whenever it is read."""


class Tail(NamedTuple):
    """What is new in a log."""

    lines: list[Line]
    position: Position | None
    """Up to these lines; None where there is no file."""
    start: Position | None
    """Before these lines."""
    left: int
    """Bytes after them."""
    lost: bool
    """Whether what the last position was in is gone, and there is more: lines may be missing."""


class Source(NamedTuple):
    """One log."""

    name: str
    """The same in its workspace as long as it is this log."""
    tail: Callable[[Position | None, int, int], Tail]
    """Returns what is new after a position, of so many bytes and lines; raises OSError or
    InferenceError where it cannot be read. See `new_lines`."""
    row: Callable[[Line], dict[str, Any]]
    """Returns what a line is, by the names of columns."""


class _Part(NamedTuple):
    path: Path
    file: BinaryIO
    inode: int
    size: int
    written_ns: int
    head: bytes

    def position(self, offset: int) -> Position:
        head = _digest(self.head[:offset])
        return Position(inode=self.inode, offset=offset, head=head, written_ns=self.written_ns)

    def has(self, known: Position) -> bool:
        same = self.inode == known.inode and self.size >= known.offset
        return same and self.position(known.offset).head == known.head


def new_lines(
    paths: Sequence[Path], known: Position | None, most_bytes: int, most_lines: int
) -> Tail:
    """Return the lines of a log after a position, in the order in which they were written.

    Args:
        paths: Where its files may be, the newest first.
        known: Up to where it was read; None begins with the oldest line that is there. Where that
            file is gone, or was emptied, it begins with the oldest one written to since.
        most_bytes: Bytes that are read at once, more than LONGEST_BYTES.
        most_lines: Lines that are returned at once, at least 1.

    Raises:
        OSError: A file cannot be read.
    """
    with ExitStack() as opened:
        parts = _opened(paths, opened)
        if not known:
            return _read(parts, 0, most_bytes, most_lines)
        place = _place(known, parts)
        if place is not None:
            return _read(parts[place:], known.offset, most_bytes, most_lines)
        found = _read(parts[_first_since(known, parts) :], 0, most_bytes, most_lines)
        return found._replace(lost=bool(parts))


def written(tail: Tail) -> dict[str, Any]:
    """Return a tail as JSON may have it, whatever bytes its lines are."""
    lines = [[one.text.decode("latin-1"), str(one.part), one.end, one.uid] for one in tail.lines]
    places = {n: one and one.model_dump() for n, one in zip(_PLACES, tail[1:3], strict=True)}
    return {"lines": lines, **places, "left": tail.left, "lost": tail.lost}


def read(told: Mapping[str, Any]) -> Tail:
    """Return the tail that was written so."""
    lines = [
        Line(text.encode("latin-1"), Path(part), end, uid) for text, part, end, uid in told["lines"]
    ]
    position, start = (told[n] and Position.model_validate(told[n]) for n in _PLACES)
    return Tail(lines, position, start, told["left"], told["lost"])


def _place(known: Position, parts: Sequence[_Part]) -> int | None:
    """Return which file a position is in; None where that is not there."""
    found = next((i for i, one in enumerate(parts) if one.has(known)), None)
    if found and not known.offset and known.written_ns:
        # a number alone, which may be used again: those before it would not be written since
        since = any(one.written_ns > known.written_ns for one in parts[:found])
        return None if since else found
    return found


def _first_since(known: Position, parts: Sequence[_Part]) -> int:
    """Return which file has the first lines that may not have been read: not all, which were."""
    since = (i for i, one in enumerate(parts) if one.written_ns >= known.written_ns)
    return next(since, max(0, len(parts) - 1))


def _opened(paths: Sequence[Path], opened: ExitStack) -> list[_Part]:
    """Return the files that are there, the oldest first."""
    found: dict[int, _Part] = {}
    for path in paths:  # the newest first: what is set aside meanwhile is met twice, never missed
        with suppress(FileNotFoundError):
            file = opened.enter_context(path.open("rb"))
            stat = os.fstat(file.fileno())
            head = file.read(min(_HEAD_BYTES, stat.st_size))
            part = _Part(path, file, stat.st_ino, stat.st_size, stat.st_mtime_ns, head)
            found.setdefault(stat.st_ino, part)
    return [*reversed(found.values())]


def _read(parts: Sequence[_Part], offset: int, most_bytes: int, most_lines: int) -> Tail:
    lines: list[Line] = []
    position = start = parts[0].position(offset) if parts else None
    left = sum(one.size for one in parts) - offset
    for part in parts:
        part.file.seek(offset)
        content = part.file.read(min(most_bytes, part.size - offset))
        is_last = part is parts[-1] or offset + len(content) < part.size
        used = 0
        for text, end in islice(_split(content, is_over=not is_last), most_lines - len(lines)):
            used = end
            lines.append(Line(text, part.path, offset + end, _uid(part, offset + end, text)))
        position = part.position(offset + used)
        left, most_bytes = left - used, most_bytes - used
        if is_last or used < len(content) or most_bytes <= LONGEST_BYTES:
            break
        offset = 0
    return Tail(lines, position, start, left, lost=False)


def _split(content: bytes, *, is_over: bool) -> Iterator[tuple[bytes, int]]:
    """Yield each line with its end; the last one only when it is whole, too long, or final."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start, start + LONGEST_BYTES + 1)
        if end >= 0:
            yield content[start:end], end + 1
            start = end + 1
        elif len(content) - start > LONGEST_BYTES:
            yield content[start : start + LONGEST_BYTES], start + LONGEST_BYTES
            start += LONGEST_BYTES
        elif is_over:
            yield content[start:], len(content)
            return
        else:
            return  # the next look has all of it


def _uid(part: _Part, end: int, text: bytes) -> str:
    return _digest(b"%d %d " % (part.inode, end) + text)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
