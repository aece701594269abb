"""Routers whose publications a test sees, holds and refuses."""

import dataclasses
from collections.abc import Callable


class WatchedRouter:
    """A router whose publications are seen, held and refused."""

    def __init__(self, router) -> None:
        self.router = router
        self.tables: list = []
        """What was published, oldest first; what was refused is not among them."""
        self.attempts = 0
        self.before: Callable = lambda _endpoints: None
        """Called with the endpoints before each publication; refuses it by raising."""
        self.queued: set[str] = set()
        """Deployments of which the router has a request that no instance has yet."""
        self.lost = ""
        """What should run beside it and does not."""

    def publish(self, endpoints) -> None:
        self.attempts += 1
        self.before(endpoints)
        self.router.publish(endpoints)
        self.tables.append(endpoints)

    def is_drained(self, deployment: str) -> bool:
        return deployment not in self.queued and self.router.is_drained(deployment)

    def status(self):
        found = self.router.status()
        return found.model_copy(update={"missing": self.lost}) if self.lost else found

    def __getattr__(self, name: str):
        return getattr(self.router, name)


class WatchedPlatform:
    """A platform whose routers are watched."""

    def __init__(self, platform) -> None:
        self.platform = platform
        self._watched: dict = {}

    def ports(self, workspace: str):
        found = self.platform.ports(workspace)
        known = self._watched.get(workspace)
        if known is None or known.router.router is not found.router:
            known = dataclasses.replace(found, router=WatchedRouter(found.router))
            self._watched[workspace] = known
        return self._watched[workspace]

    def __getattr__(self, name: str):
        return getattr(self.platform, name)
