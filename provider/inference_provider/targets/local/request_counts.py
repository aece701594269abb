"""What a router of this machine has counted of deployments, for rollouts."""

from collections.abc import Collection, Mapping
from contextlib import suppress

from inference_provider.canary import Counts
from inference_provider.errors import TargetUnreachable
from inference_provider.router.request_counts import count_stats, counts_of
from inference_provider.targets.envoy.router_admin import RouterAdmin

_AT_ONCE = 50
"""Deployments that one query asks about: Envoy refuses one of more than 60 KiB."""


class LocalCounts:
    """Asks one router; nothing is known of one that is silent."""

    def __init__(self, admin: RouterAdmin) -> None:
        self._admin = admin

    def __call__(self, deployments: Collection[str]) -> Mapping[str, Counts] | None:
        """Return the counts of deployments, by `<endpoint>/<deployment>`."""
        asked, found = [*deployments], dict[str, Counts]()
        with suppress(TargetUnreachable):
            for first in range(0, len(asked), _AT_ONCE):
                some = asked[first : first + _AT_ONCE]
                found |= counts_of(some, *self._admin.counted(count_stats(some)))
            return found
        return None
