"""How often an instance ended by itself -> whether it keeps dying. Pure.

The only place that decides this: the rollout, which replaces such an instance, and `observe.py`
both ask here.
"""

import math

from inference_provider.observed import Frozen, Restarts

DYING = 3
"""One end may be a manual kill, and a second one chance; the restart repairs either."""
LATELY_MINUTES = 10
STARTS = 4


class Endings(Frozen):
    """How often one instance ended since it was started first, without being asked to."""

    total: int = 0
    minutes: dict[int, int] = {}
    """Ends per minute, keyed by minutes since 1970."""
    why: str = ""
    """Why it ended last, as an event is named; empty where its target does not tell."""
    kept_minutes: int = 300
    """How long the target remembers a minute."""

    def within(self, minutes: int, now: int) -> int:
        """Return how often it ended in the last `minutes` minutes."""
        return sum(n for minute, n in self.minutes.items() if minute > now - minutes)


def restarts(endings: Endings, start_limit_s: int, now: int) -> Restarts:
    """Return how often an instance ended since its first start, and recently.

    Recently means the last 10 minutes, or the time of four starts where that is longer: a model
    that dies after loading for 5 minutes ends only twice in 10.

    Args:
        endings: Its ends.
        start_limit_s: Longest time its start may take, seconds.
        now: Minutes since 1970.
    """
    starts = math.ceil(STARTS * start_limit_s / 60)
    minutes = min(max(LATELY_MINUTES, starts), endings.kept_minutes)
    lately = endings.within(minutes, now)
    return Restarts(since_start=endings.total, lately=lately, minutes=minutes, why=endings.why)


def keeps_dying(found: Restarts) -> bool:
    """Whether an instance ends again and again; it then counts as not ready even while it runs."""
    return found.lately >= DYING
