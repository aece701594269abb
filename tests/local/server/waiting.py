"""A router with its waiting room: what a target publishes, once something has changed."""

import contextlib
import threading
from collections.abc import Iterator

from tests.local.server.routing import Served, serving

from inference_provider.router import EndpointEntry
from inference_provider.router.holding import MOST, Held
from inference_provider.targets.envoy.waiting_room import WaitingRoom


class Waiting:
    """A router in which endpoints are published as whoever runs it would."""

    def __init__(self, served: Served, endpoints: tuple[EndpointEntry, ...], most: Held) -> None:
        self.served = served
        self._endpoints = endpoints
        self._publishing = threading.Lock()
        self._news = threading.Event()
        self.room = WaitingRoom(served.folder, served.router.admin, self._news.set, (most, most))
        self.room.start()
        self._ended = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        self.publish(*endpoints)

    def publish(self, *endpoints: EndpointEntry) -> None:
        with self._publishing:
            self._endpoints = endpoints
            held = self.room.with_held(endpoints)
            self.served.router.publish(self.served.table(*held), must_be_healthy=False)

    def _follow(self) -> None:
        while self._news.wait() and not self._ended:
            self._news.clear()
            self.publish(*self._endpoints)

    def end(self) -> None:
        self._ended = True
        self._news.set()
        self._thread.join(30)

    @property
    def held(self) -> int:
        """How many requests to `chat/blue` wait."""
        return self.room.waiting().get("chat/blue", 0)

    def holds(self, name: str = "blue") -> bool:
        """Whether the routes in force hold requests to a deployment of `chat`."""
        with self._publishing:
            found = self.served.router.in_force().endpoints[0].deployments
        return next(one.held for one in found if one.name == name)


@contextlib.contextmanager
def waiting(*endpoints: EndpointEntry, most: Held = MOST) -> Iterator[Waiting]:
    with serving(*endpoints) as served:
        found = Waiting(served, endpoints, most)
        try:
            yield found
        finally:
            found.end()
