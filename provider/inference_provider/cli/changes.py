"""Files of a person that change while a command runs."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

LOOK_MS = 250
"""Longest wait for a change before the caller has a turn."""
_SETTLED_MS = 300
"""Time without a change after which a save is over."""


class Changes:
    """What has changed under some paths since the last look; nothing is missed between looks."""

    def __init__(self) -> None:
        self._paths: tuple[Path, ...] = ()
        self._found: Iterator[Collection[str]] = iter(())

    def watch(self, paths: Iterable[Path]) -> None:
        """Notice changes of these files, and of all that is in these folders, from now on.

        A file that an editor has replaced is noticed once; it is watched again from here.
        """
        self._paths = tuple(path for path in paths if path.exists())
        self._found = _changes(self._paths)
        self.look()  # it begins with the first look

    def look(self) -> Collection[str]:
        """Return the paths that have changed, once a save is over; none after a short wait."""
        return next(self._found)


def _changes(paths: Collection[Path]) -> Iterator[Collection[str]]:
    from watchfiles import watch  # noqa: PLC0415 - no other command needs it

    for found in watch(
        *paths,
        debounce=_SETTLED_MS,
        step=_SETTLED_MS // 3,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
    ):
        yield sorted({path for _, path in found})
