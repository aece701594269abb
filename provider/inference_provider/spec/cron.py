"""Five fields of cron -> the minutes and days that they name. Pure.

As in crontab(5): where both a day of the month and a day of the week are named, either will do.
"""

from datetime import date
from itertools import pairwise
from typing import NamedTuple

_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of the week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_BOUNDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day of the month": (1, 31),
    "month": (1, 12),
    "day of the week": (0, 7),
}


class Field(NamedTuple):
    """One field."""

    values: frozenset[int]
    every: bool
    """Whether it is `*`, which no day is chosen by."""

    def __str__(self) -> str:
        return "*" if self.every else _listed(sorted(self.values))


class Cron(NamedTuple):
    """Times of the week or the year."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    """0 is Sunday."""

    def __str__(self) -> str:
        return " ".join(map(str, self))

    def falls_on(self, day: date) -> bool:
        """Whether any of its times is on a day."""
        if day.month not in self.month.values:
            return False
        by_day = day.day in self.day.values
        by_weekday = day.isoweekday() % 7 in self.weekday.values
        if self.day.every or self.weekday.every:
            return by_day and by_weekday
        return by_day or by_weekday


def parsed(text: str) -> Cron:
    """Read `30 8 * * 1-5`. Raises ValueError when it says no time."""
    parts = text.split()
    if len(parts) != len(_BOUNDS):
        raise ValueError(
            f"cron '{text}' has {len(parts)} of 5 fields: minute, hour, day of the month, month,"
            " day of the week"
        )
    minute, hour, day, month, weekday = map(_field, _BOUNDS, parts)
    weekdays = frozenset(number % 7 for number in weekday.values)  # 7 is Sunday too
    return Cron(minute, hour, day, month, Field(weekdays, weekday.every))


def _field(name: str, text: str) -> Field:
    items = text.split(",")
    values = frozenset(value for item in items for value in _values(name, item))
    return Field(values, any(item in {"*", "?", "*/1"} for item in items))


def _values(name: str, item: str) -> range:
    """Return what one of a list names: `*`, `*/5`, `8`, `8-17`, `8-17/2`, `mon-fri`."""
    least, most = _BOUNDS[name]
    span, slash, step = item.partition("/")
    first, dash, last = span.partition("-")
    if span in {"*", "?"}:
        start, end = least, 6 if name == "day of the week" else most
    else:
        start = _number(name, first, item)
        end = _number(name, last, item) if dash else most if slash else start
    every = _plain(step) if slash else 1
    if not every or not least <= start <= end <= most:
        raise ValueError(_unknown(name, item))
    return range(start, end + 1, every)


def _number(name: str, text: str, item: str) -> int:
    known = _NAMES.get(name, [])
    if text.lower() in known:
        return known.index(text.lower()) + _BOUNDS[name][0]
    if (found := _plain(text)) is None:
        raise ValueError(_unknown(name, item))
    return found


def _plain(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else None


def _unknown(name: str, item: str) -> str:
    least, most = _BOUNDS[name]
    return f"cron has '{item}' as its {name}; expected {least} to {most}, such as {least}-{most}/2"


def _listed(values: list[int]) -> str:
    """Write `0,30`, `1-5` or `0-55/5`."""
    steps = {b - a for a, b in pairwise(values)}
    if len(values) > 2 and len(steps) == 1:
        every = steps.pop()
        return f"{values[0]}-{values[-1]}" + (f"/{every}" if every > 1 else "")
    return ",".join(map(str, values))
