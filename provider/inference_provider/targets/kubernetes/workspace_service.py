"""The workspace service of one workspace in a cluster: there while something needs it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from inference_provider.observed import Kind
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.alert_amounts import needs_amounts
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.companion import Companion
from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.targets.kubernetes.kept_sent import KeptSent
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.pods import is_ready
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.service_manifests import END_S, service_objects
from inference_provider.targets.sent_logs import described
from inference_provider.targets.service_needs import Needs, days_of, sent_to
from inference_provider.workspace.alert_states import notes_of
from inference_provider.workspace.declared import any_declares
from inference_provider.workspace.shifts import is_any_moving


class WorkspaceService(Companion):
    """Makes and removes it, and says how it is; see `Companion`."""

    role, end_s = names.SERVICE, END_S

    def __init__(
        self, client: Client, records: ClusterRecords, router: Callable[[], RouterSettings]
    ) -> None:
        super().__init__(client, records, router)
        where = client, records.namespace, records.workspace
        self.alerts = KeptAlerts(*where)
        """How alerts stand, as it has written it down."""
        self.sent = KeptSent(*where)
        """How far logs were sent, the same."""

    def needs(self) -> Needs:
        """Return what it does: a rule is the platform's own, and each pod serves its metrics."""
        plans = any_declares(self._records, Kind.TRAFFIC, "rollout")
        alerts = any_declares(self._records, Kind.ENDPOINT, "alerts")
        return Needs(
            rules=False,
            moving=plans or is_any_moving(self._state),
            metrics=None,
            logs=sent_to(self._state),
            alerts=alerts,
            webhooks=False,
            ages=days_of(self._state, "events") > 0,
        )

    def is_needed(self) -> bool:
        return bool(self.needs())

    def _made(self, router: RouterSettings) -> tuple[Object, ...]:
        where = self._records.workspace, self._records.namespace
        logs, measures = bool(sent_to(self._state)), needs_amounts(self._records)
        return service_objects(*where, router, logs=logs, measures=measures)

    def _wanted(self) -> str:
        made = self._router().model_dump_json(include={"image", "pull_secrets"})
        made = f"{made} logs" if sent_to(self._state) else made
        return f"{made} amounts" if needs_amounts(self._records) else made

    def remove(self) -> None:
        kept = [one for one in (self.alerts, self.sent) if one.is_there]
        if kept:
            self._end()  # it would write that down again
        for one in kept:
            one.forget()
        super().remove()

    def told(self) -> Mapping[str, Any]:
        needs = self.needs()
        if not needs:
            return {}
        pods = self._pods.all()
        notes = notes_of(self.alerts.states(), datetime.now(UTC)) if needs.alerts else {}
        if any(map(is_ready, pods)):
            sent = (described(needs.logs, self.sent.sent()),) if needs.logs else ()
            return {"beside": needs.running(sent), "alerts": notes}
        if self._starts(pods):
            return {"beside": f"{needs.name} starts", "alerts": notes}
        return {
            "alerts": notes,
            "missing": f"the {needs.name} does not run: {needs.lost}; {self._why(pods)}",
        }
