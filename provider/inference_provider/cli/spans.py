"""A span of time that a person types -> the time that is so long ago."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from inference_provider.errors import Fault, SpecError

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def beginning(since: str) -> datetime | None:
    """Return the time that is so long ago; None for an empty text, and before the year 1.

    Raises:
        SpecError: It is no span of time.
    """
    if not since:
        return None
    found = _SPAN.fullmatch(since)
    if found is None:
        reason = "expected a number from 1 to 999999 and a unit: s, m, h or d"
        fault = Fault("--since", reason, "write 30m, 24h or 7d")
        raise SpecError((fault,), "the command line")
    span = timedelta(**{_UNITS[found[2]]: int(found[1])})
    with suppress(OverflowError):
        return datetime.now(UTC) - span
    return None  # before there were years: since ever


class Timed(Protocol):
    """What happened at a time."""

    @property
    def time(self) -> datetime: ...


One = TypeVar("One", bound=Timed)


def newest(found: Iterable[One], begin: datetime | None, last: int) -> list[One]:
    """Return the last that happened since a time, oldest first; of any time for None."""
    since = (one for one in found if begin is None or one.time >= begin)
    return sorted(since, key=lambda one: one.time)[-last:]


def shown(time: datetime) -> str:
    """Format a time for display, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
