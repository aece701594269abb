"""What a router has counted of deployments, for rollouts."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from inference_provider.canary import Counts
from inference_provider.errors import TargetError
from inference_provider.router.request_counts import count_stats, counts_of

_AT_ONCE = 50
"""Deployments that one query asks about: Envoy refuses one of more than 60 KiB."""

Cumulative = Mapping[str, tuple[tuple[float, int], ...]]
"""Histograms by name: how many values were at most so large, by rising size."""


class RequestCounts:
    """Asks one router; nothing is known of one that is silent, or cannot tell.

    Args:
        counted: Returns a router's counters and histograms whose names match a regular expression;
            see `RouterAdmin.counted`.
    """

    def __init__(self, counted: Callable[[str], tuple[Mapping[str, int], Cumulative]]) -> None:
        self._counted = counted

    def __call__(self, deployments: Collection[str]) -> Mapping[str, Counts] | None:
        """Return the counts of deployments, by `<endpoint>/<deployment>`."""
        asked, found = [*deployments], dict[str, Counts]()
        with suppress(TargetError):
            for first in range(0, len(asked), _AT_ONCE):
                some = asked[first : first + _AT_ONCE]
                found |= counts_of(some, *self._counted(count_stats(some)))
            return found
        return None
