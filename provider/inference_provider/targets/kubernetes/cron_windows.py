"""A cron of starts and a duration -> the cron of ends that KEDA asks for. Pure.

KEDA takes a window for open when its next end comes before its next start. So ends have to be
exactly the starts, moved, and a window must not begin in another; both are tried here on each day
of 28 years, after which days of the week fall on the same dates again.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from inference_provider.spec.cron import Cron, Field, parsed

_FIRST, _DAYS = date(2001, 1, 1), 28 * 365 + 7
_DAY_MIN = 24 * 60
_EVERY_MINUTE, _EVERY_HOUR = frozenset(range(60)), frozenset(range(24))


class NotExpressible(ValueError):
    """KEDA cannot say it; the text says why."""


@lru_cache(maxsize=256)
def window(cron: str, duration_s: int) -> tuple[str, str]:
    """Return the crons of the start and the end. Raises NotExpressible.

    Args:
        cron: When it starts.
        duration_s: How long it lasts.
    """
    starts = parsed(cron)
    minutes, rest = divmod(duration_s, 60)
    if rest:
        raise NotExpressible(f"it lasts {duration_s} s, and KEDA's cron knows whole minutes")
    days = [day for i in range(_DAYS) if starts.falls_on(day := _FIRST + timedelta(i))]
    if not days:
        raise NotExpressible(f"'{cron}' never comes")
    _refuse_overlap(starts, days, minutes)
    ends = _moved(starts, minutes, len(days) == _DAYS)
    if str(starts) == str(ends):
        raise NotExpressible("it never ends")
    return str(starts), str(ends)


def _refuse_overlap(starts: Cron, days: list[date], minutes: int) -> None:
    times = _times(starts)
    nights = min((b - a).days for a, b in pairwise(days)) if len(days) > 1 else _DAYS
    gaps = [b - a for a, b in pairwise(times)]
    shortest = min([*gaps, nights * _DAY_MIN - times[-1] + times[0]])
    if minutes > shortest:
        raise NotExpressible(
            f"it lasts {minutes} minutes, and begins again after {shortest}; KEDA's cron knows no"
            " windows that overlap"
        )


def _times(cron: Cron) -> list[int]:
    """Return its minutes of a day."""
    return sorted(60 * hour + minute for hour in cron.hour.values for minute in cron.minute.values)


def _moved(starts: Cron, minutes: int, daily: bool) -> Cron:
    """Return the cron of what is some minutes later."""
    ends = [divmod(time + minutes, _DAY_MIN) for time in _times(starts)]
    later = {days for days, _ in ends}
    clock = {divmod(time, 60) for _, time in ends}
    hours, parts = {hour for hour, _ in clock}, {minute for _, minute in clock}
    if len(clock) != len(hours) * len(parts) or (len(later) > 1 and not daily):
        raise NotExpressible("no one cron names all of its ends; write one schedule for each start")
    moved = Cron(
        Field(frozenset(parts), parts == _EVERY_MINUTE),
        Field(frozenset(hours), hours == _EVERY_HOUR),
        *starts[2:],
    )
    days = later.pop()
    return _on_later_days(moved, days) if days and not daily else moved


def _on_later_days(cron: Cron, days: int) -> Cron:
    """Return the cron of the same times some days later."""
    month_days, weekdays = cron.day, cron.weekday
    if not month_days.every:
        month_days = Field(_plus(month_days.values, days), every=False)
    if not weekdays.every:
        weekdays = Field(frozenset((day + days) % 7 for day in weekdays.values), every=False)
    moved = cron._replace(day=month_days, weekday=weekdays)
    for i in range(_DAYS):
        before = _FIRST + timedelta(i)
        if cron.falls_on(before) != moved.falls_on(before + timedelta(days)):
            raise NotExpressible(
                "it ends on another day, which no cron names in every month; end it before midnight"
            )
    return moved


def _plus(values: Iterable[int], days: int) -> frozenset[int]:
    return frozenset(value + days for value in values)
