"""The router of a workspace on a Docker host, with what keeps autoscale rules beside it."""

from collections.abc import Callable, Mapping
from typing import Any

from inference_provider.targets.docker.autoscaler import Autoscaler
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.router import DockerRouter, Endpoints
from inference_provider.workspace.statuses import RouterStatus


class RuledRouter(DockerRouter):
    """Has the autoscaler run while there is a rule, and tells of it."""

    def __init__(
        self,
        host: DockerHost,
        records: HostRecords,
        newest: Callable[[], str | None],
        autoscaler: Autoscaler,
    ) -> None:
        super().__init__(host, records, newest)
        self.autoscaler = autoscaler

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        super().ensure_up(endpoints)
        self.autoscaler.settle(self.listens().image)

    def publish(self, endpoints: Endpoints) -> None:
        self.autoscaler.settle(self.listens().image)
        super().publish(endpoints)  # last: who raises has not changed what Envoy does

    def remove(self) -> None:
        self.autoscaler.remove()
        super().remove()

    def status(self) -> RouterStatus:
        return super().status().model_copy(update=dict(self.autoscaler.told()))

    def statistics(self, pattern: str) -> Mapping[str, Any]:
        """Return those of Envoy whose names match a regular expression."""
        found: Mapping[str, Any] = self._ask("statistics", pattern=pattern)
        return found
