"""How often programs ended by themselves, as `watch.py` counted -> which of them keep dying."""

import math
from pathlib import Path

from pydantic import TypeAdapter

from inference_provider.observed import Frozen, Restarts
from inference_provider.targets.local.watch import KEPT_MINUTES

DYING = 3
"""One end may be anybody's kill, and supervisord's start after it mends it; a second one chance."""
LATELY_MINUTES = 10
STARTS = 4


class Endings(Frozen):
    """How often one program ended since it was started first, without being asked to."""

    total: int = 0
    minutes: dict[int, int] = {}
    """By minutes since 1970."""

    def within(self, minutes: int, now: int) -> int:
        """Return how often it ended in the last minutes."""
        return sum(n for minute, n in self.minutes.items() if minute > now - minutes)


_ENDINGS = TypeAdapter(dict[str, Endings])


def read_endings(path: Path) -> dict[str, Endings]:
    """Return what was counted, by program; nothing when nothing was, or it cannot be read."""
    try:
        return _ENDINGS.validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}


def restarts(endings: Endings, start_limit_s: int, now: int) -> Restarts:
    """Return how often a program ended since its start, and lately.

    Lately is 10 minutes, or four starts where those take longer: a model that loads for 5 minutes
    and dies then ends twice in 10.

    Args:
        endings: Its ends.
        start_limit_s: Longest time its start may take, seconds.
        now: Minutes since 1970.
    """
    starts = math.ceil(STARTS * start_limit_s / 60)
    minutes = min(max(LATELY_MINUTES, starts), KEPT_MINUTES)
    lately = endings.within(minutes, now)
    return Restarts(since_start=endings.total, lately=lately, minutes=minutes)


def keeps_dying(found: Restarts) -> bool:
    """Whether a program ends again and again: it is not ready, however it looks in the moment."""
    return found.lately >= DYING
