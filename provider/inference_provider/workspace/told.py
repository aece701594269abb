"""What instances print, what happens to them, alerts: the part of the engine that only reads."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from inference_provider.errors import TargetError
from inference_provider.observed import ResourceId
from inference_provider.spec.logs import recorded_days
from inference_provider.workspace.alert_states import States
from inference_provider.workspace.kept_alerts import (
    Rules,
    incarnations_in,
    rules_in,
    unreadable_in,
    webhook_digest,
    webhooks_of,
)
from inference_provider.workspace.logged import CallQuery, LogLine, LogQuery
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.shifts import unreadable_rollouts
from inference_provider.workspace.statuses import Event

_LAST = LogQuery()


class Told(ABC):
    """Reads from the instances of workspaces."""

    @abstractmethod
    def _workspace(self, name: str) -> Workspace:
        """Return a workspace, which need not exist yet."""

    def has_logs(self, deployment: ResourceId) -> bool:
        """Whether a deployment has logs; one whose first start failed has logs but no record."""
        with suppress(TargetError):
            return any(True for _line in self.logs(deployment, LogQuery(lines=1)))
        return False

    def logs(self, deployment: ResourceId, query: LogQuery = _LAST) -> Iterator[LogLine]:
        """Yield the last lines of every instance's log, then new ones when following."""
        return self._workspace(deployment.workspace).ports.compute.logs(deployment, query)

    def calls(self, workspace: str, query: CallQuery) -> Iterable[Mapping[str, Any]]:
        """Return calls of a workspace's router, oldest first, in its own words."""
        (opened := self._workspace(workspace)).refuse_absent()
        return opened.ports.router.calls(query)

    def events(self, workspace: str) -> Iterable[Event]:
        """Return what happened to the instances of a workspace, oldest first, while it is kept.

        What a platform itself keeps of them may be older than the workspace says: that is left out.
        """
        (opened := self._workspace(workspace)).refuse_absent()
        found = opened.ports.compute.events()
        if not (days := recorded_days(opened.state.of_workspace("logs"), "events")):
            return found
        begin = opened.clock.now() - timedelta(days=days)
        return [one for one in found if one.time >= begin]

    def alert_rules(self, workspace: str) -> Rules:
        """Return the alert rules of a workspace's endpoints; skips what cannot be read."""
        opened = self._workspace(workspace)
        return rules_in(opened.state) if opened.ports.records.exists() else {}

    def alert_incarnations(self, workspace: str) -> Mapping[str, str]:
        """Return which creation of each endpoint it is that is there; only Pulumi tells them."""
        opened = self._workspace(workspace)
        return incarnations_in(opened.state) if opened.ports.records.exists() else {}

    def unreadable_alerts(self, workspace: str) -> frozenset[str]:
        """Return the endpoints whose alert rules cannot be read."""
        opened = self._workspace(workspace)
        return unreadable_in(opened.state) if opened.ports.records.exists() else frozenset()

    def unreadable_rollouts(self, workspace: str) -> Mapping[str, str]:
        """Return why what is kept of a split on its way cannot be read, by endpoint."""
        opened = self._workspace(workspace)
        return unreadable_rollouts(opened.state) if opened.ports.records.exists() else {}

    def alert_webhooks(self, endpoint: ResourceId) -> Mapping[str, SecretStr]:
        """Return who is told of an endpoint's alerts, in clear text; nobody where that is gone."""
        return webhooks_of(self._workspace(endpoint.workspace).state, endpoint.name) or {}

    def alert_webhook_digest(self, endpoint: ResourceId, webhook: str) -> str:
        """Return by what it shows that a webhook of an endpoint's alerts is another one now."""
        return webhook_digest(self._workspace(endpoint.workspace).state, endpoint.name, webhook)

    def alert_states(self, _workspace: str) -> States:
        """Return how the alerts of a workspace stand; nothing of those that nobody watched yet."""
        return {}
