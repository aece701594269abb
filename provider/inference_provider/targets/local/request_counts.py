"""What a router of this machine has counted of deployments, for rollouts."""

from collections.abc import Collection, Mapping
from contextlib import suppress

from inference_provider.canary import Counts
from inference_provider.errors import TargetUnreachable
from inference_provider.router.request_counts import count_stats, counts_of
from inference_provider.targets.envoy.router_admin import RouterAdmin


class LocalCounts:
    """Asks one router; nothing is known of one that is silent."""

    def __init__(self, admin: RouterAdmin) -> None:
        self._admin = admin

    def __call__(self, deployments: Collection[str]) -> Mapping[str, Counts] | None:
        """Return the counts of deployments, by `<endpoint>/<deployment>`."""
        with suppress(TargetUnreachable):
            return counts_of(deployments, *self._admin.counted(count_stats(deployments)))
        return None
