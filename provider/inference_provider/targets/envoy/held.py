"""What holds requests, where whoever publishes has no waiting room in its own process.

Nobody remembers it: a deployment holds requests while it has no instance, and until the process in
which they wait says that one takes them; or until Envoy finds one healthy, where no rule allows
zero instances any more. What is in force is in the router's table.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inference_provider.errors import TargetError
from inference_provider.router.holding import awake_in, kept_in, with_held
from inference_provider.router.status import traffic_of, traffic_stats
from inference_provider.router.table import EndpointEntry
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.room import Room
from inference_provider.targets.envoy.room_file import RoomFile

Endpoints = tuple[EndpointEntry, ...]


class Held:
    """That of one router.

    Args:
        folder: The router's.
        delivery: Knows the table in force.
    """

    def __init__(self, folder: Path, delivery: Delivery) -> None:
        self._delivery = delivery
        self._file = RoomFile(folder)
        self.room = Room(folder)

    def settled(self, endpoints: Endpoints) -> Endpoints:
        """Return endpoints to publish, in which those deployments hold requests that have to."""
        table = self._delivery.in_force()
        # where it is not known, an older release wrote it, or a publication was killed
        there = table.endpoints if table else endpoints
        kept = kept_in(self._delivery.last_published())
        if not kept and not may_wait(endpoints):
            return endpoints
        said = self.room.ask() if kept else None
        woken = {*(said.woken if said else ()), *self._healthy(kept.keys() - _patient(endpoints))}
        return with_held(endpoints, (awake_in(there) - kept.keys()) | woken, kept)

    def _healthy(self, deployments: Collection[str]) -> set[str]:
        """Return those that Envoy finds a healthy instance of; nobody may look after their rest."""
        with suppress(TargetError):  # it does not run
            seen = self._delivery.admin.stats(traffic_stats(deployments)) if deployments else {}
            return {name for name in deployments if traffic_of(name, seen).healthy}
        return set()

    def is_any(self) -> bool:
        """Whether what was published last holds requests of any deployment."""
        return bool(kept_in(self._delivery.last_published()))

    def is_empty(self) -> bool:
        """Whether no request waits, or nobody could let it go on."""
        said = self.room.ask()
        return not (said and said.waiting)

    @staticmethod
    def at_first(endpoints: Endpoints) -> Endpoints:
        """Return endpoints for a router that starts, to which no instance is healthy as yet.

        Nobody waits for one whose rule has gone meanwhile.
        """
        return with_held(endpoints, (), {})

    @contextmanager
    def told(self, endpoints: Endpoints) -> Iterator[None]:
        """Have the process beside know what the block publishes; see `settled`."""
        before = kept_in(self._delivery.last_published())
        if not before and not may_wait(endpoints):
            yield
            self._file.drop()
            return
        with self._file.told(endpoints, before):
            yield


def _patient(endpoints: Endpoints) -> set[str]:
    return {f"{e.name}/{one.name}" for e in endpoints for one in e.deployments if one.patience_s}


def may_wait(endpoints: Endpoints) -> bool:
    """Whether requests of any of these may have to wait for an instance."""
    return bool(_patient(endpoints))
