"""What the Router of every target does with Envoy: tables in, what is in force out.

The target starts and ends the process, says where it listens, and adds to the status what its
process manager knows.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from inference_provider.errors import TargetUnreachable
from inference_provider.router.table import Backend, EndpointEntry, RouterTable
from inference_provider.targets.envoy.calls import calls
from inference_provider.targets.envoy.connections import connected
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.files import BOOTSTRAP
from inference_provider.targets.envoy.refused import ACCESS_LOG, refused_calls
from inference_provider.workspace.logged import CallQuery
from inference_provider.workspace.statuses import RouterStatus

Endpoints = tuple[EndpointEntry, ...]


class Serving:
    """One router: what it is to serve, and what it serves.

    One thread at a time may `write` or `publish`; the caller has a lock for that.

    Args:
        delivery: Writes its files, and queries it.
        listens: Returns where it listens now: a table without endpoints.
        runs: Whether any process of it takes requests.
    """

    def __init__(
        self, delivery: Delivery, listens: Callable[[], RouterTable], runs: Callable[[], bool]
    ) -> None:
        self.delivery = delivery
        self._listens = listens
        self._runs = runs

    def write(self, endpoints: Endpoints) -> None:
        """Write every file; for a router that does not run yet."""
        self.delivery.write_all(self._table(endpoints))

    def mend_bootstrap(self) -> None:
        """Write the file that only a start reads, where it is missing."""
        if BOOTSTRAP in self.delivery.missing():
            self.delivery.write_bootstrap(self._listens())

    def publish(
        self, endpoints: Endpoints, timeout_s: float = 30, *, must_be_healthy: bool = True
    ) -> None:
        """Serve exactly these endpoints; see `Delivery.publish`."""
        table = self._table(endpoints)
        self.delivery.publish(table, timeout_s, must_be_healthy=must_be_healthy)

    def validate(self, endpoints: Endpoints) -> None:
        """Let Envoy check endpoints before it starts with them. Raises RouterRejected."""
        self.delivery.validate(self._table(endpoints))

    def _table(self, endpoints: Endpoints) -> RouterTable:
        return self._listens().model_copy(update={"endpoints": endpoints})

    def in_force(self) -> bool:
        return self.delivery.in_force() is not None

    def is_drained(self, deployment: str) -> bool:
        try:
            return self.delivery.is_drained(deployment)
        except TargetUnreachable:  # a router that does not run has nothing in flight
            return not self._runs()

    def in_flight(self) -> Mapping[str, int]:
        """Return the requests in flight by cluster. Raises TargetUnreachable."""
        return self.delivery.in_flight()

    def is_connected(self, backends: Collection[Backend]) -> bool:
        return connected(backends)

    def wait_healthy(self, counts: Mapping[str, int]) -> None:
        """Wait until each deployment has as many healthy backends. Raises NotReady."""
        self.delivery.wait_healthy(counts)

    def calls(self, query: CallQuery) -> list[dict[str, Any]]:
        """Return calls of the access log, oldest first."""
        return calls(self.delivery.folder / ACCESS_LOG, query)

    def status(self) -> RouterStatus:
        """Return what the router itself says; `weights` is None when it does not answer."""
        live, missing = self.delivery.status(), self.delivery.missing()
        if missing:
            fault = f"files of the router are missing: {', '.join(missing)}"
        else:
            fault = "" if live else "the router does not answer"
        return RouterStatus(
            fault=fault,
            note="" if fault else self.delivery.fetch_fault(),
            weights=live.weights if live else None,
            mirrors=live.mirrors if live else None,
            healthy=live.healthy if live else None,
            refused=refused_calls(self.delivery.folder / ACCESS_LOG),
        )
