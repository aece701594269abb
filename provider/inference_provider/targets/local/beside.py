"""The processes beside a router of this machine: each there while something needs it.

One fetches keys of identity providers, in one requests wait for an instance, one is the workspace
service, and one serves that over HTTP.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from inference_provider.errors import NotReady
from inference_provider.router.table import EndpointEntry
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.held import Held, may_wait
from inference_provider.targets.envoy.spans import said_of_traces
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.key_process import begin_keys, ensure_keys, uris_of
from inference_provider.targets.local.locks import workspace_lock
from inference_provider.targets.local.room_process import begin_room, ensure_room, room_fault
from inference_provider.targets.local.service_process import SERVICE, settle_service
from inference_provider.targets.local.service_status import said_of_service
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.web_process import (
    is_settled,
    said_of_web,
    settle_web,
    wait_for_web,
)
from inference_provider.targets.service_needs import needs_of, traces_of
from inference_provider.workspace.kept_alerts import unreadable_in
from inference_provider.workspace.state import State

Endpoints = tuple[EndpointEntry, ...]


class Beside:
    """Those of one workspace."""

    def __init__(
        self, supervisor: Supervisor, folders: Folders, state: State, envoy: Delivery
    ) -> None:
        self._supervisor = supervisor
        self._folders = folders
        self._state = state
        self._envoy = envoy
        self.held = Held(folders.router_folder, envoy)
        self._begins = False

    @contextmanager
    def published(
        self, endpoints: tuple[EndpointEntry, ...]
    ) -> Iterator[tuple[EndpointEntry, ...]]:
        """Have all run that endpoints need before the block publishes what it is given.

        Raises:
            NotReady: One of them does not answer.
        """
        before = uris_of(self._in_force())
        if not uris_of(endpoints) or uris_of(endpoints) - before:
            ensure_keys(self._supervisor, self._folders, endpoints)
        kept = bool(needs_of(self._state))
        if kept and not self._supervisor.has(SERVICE):
            self.settle_service()
        if not is_settled(self._supervisor, self._folders, self._state) and self.settle_web():
            self._begins = True  # once what it is started for is recorded
        found = self.held.settled(endpoints)
        if may_wait(found):
            with self._lock("waiting"):
                ensure_room(self._supervisor, self._folders)
        with self.held.told(found):
            yield found
        if not kept and self._supervisor.has(SERVICE):
            self.settle_service()
        if not may_wait(found) and self.held.is_empty():  # else a later publication ends it
            with self._lock("waiting"):
                begin_room(self._supervisor, self._folders, needed=False)

    def begin_waiting(self, endpoints: Endpoints) -> None:
        """Have requests wait where a router starts with endpoints whose requests may have to.

        It starts without that too: the status says so.
        """
        if may_wait(endpoints):
            with self._lock("waiting"), suppress(NotReady):
                ensure_room(self._supervisor, self._folders)

    def mend(self) -> None:
        """Start what is needed and does not run; the status says where that does not help."""
        # a publication that is on its way may need one, and ends what nobody needs
        endpoints = self._envoy.last_published()
        if uris_of(endpoints):
            begin_keys(self._supervisor, self._folders, endpoints)
        with self._lock("waiting"):  # what is published may have ended it a moment ago
            if may_wait(self._envoy.last_published()):
                begin_room(self._supervisor, self._folders, needed=True)
        self.settle_service()
        self.settle_web()

    def settle_service(self) -> None:
        """Have autoscale rules kept where there are any, by this release."""
        with self._lock("service"):  # a publication does this too, and an `up` beside it
            place, needs = (self._supervisor, self._folders), needs_of(self._state)
            no_alerts = not needs.alerts and not unreadable_in(self._state)
            settle_service(*place, needed=bool(needs), no_alerts=no_alerts)

    def settle_web(self) -> bool:
        """Have the workspace service listen where it is declared; return whether it starts now."""
        with self._lock("web"):  # as with the service
            return settle_web(self._supervisor, self._folders, self._state)

    def wait_for_web(self) -> None:
        """Wait until a service that a publication has started listens; outside of any edit."""
        if self._begins:
            self._begins = False
            wait_for_web(self._supervisor, self._state)

    def said(self) -> dict[str, Any]:
        """Return what a router's status has of them."""
        found = said_of_service(self._supervisor, self._folders, self._state)
        known = {**said_of_web(self._supervisor, self._folders, self._state, found)}
        waits = may_wait(self._in_force())
        lost = room_fault(self._supervisor, self._folders, needed=waits)
        spans = said_of_traces(traces_of(self._state), self._envoy.admin.stats)
        for field, more in (("missing", lost), ("beside", spans)):
            known[field] = "; ".join(filter(None, (known.get(field), more)))
        return known

    def _in_force(self) -> Endpoints:
        known = self._envoy.in_force()
        return known.endpoints if known else ()

    def _lock(self, name: str) -> AbstractContextManager[None]:
        return workspace_lock(self._folders, name)
