"""The workspace service of one workspace in a cluster: there while something needs it.

What was applied of it is recorded, so a publication asks the cluster only where that is not what is
needed now.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.account_tokens import with_account
from inference_provider.targets.kubernetes.applied import apply_if_free, delete_ours, foreign
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, Object, kind_of, name_of
from inference_provider.targets.kubernetes.pods import is_ending, is_ready, trouble_of
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.role_pods import RolePods
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.service_manifests import END_S, service_objects
from inference_provider.targets.kubernetes.workloads import refused
from inference_provider.targets.service_needs import Needs
from inference_provider.workspace.alert_states import notes_of
from inference_provider.workspace.declared import any_declares
from inference_provider.workspace.shifts import is_any_moving
from inference_provider.workspace.state import State

_START_S = 60.0
"""Time for which a pod that is not ready counts as one that starts."""
_KILLED_S = 10.0
"""Time that the kubelet has to end a pod that did not end by itself."""
_POLL_S = 0.3


class WorkspaceService:
    """Makes and removes it, and says how it is.

    Args:
        client: The cluster.
        records: The workspace's.
        router: Returns what is chosen of the router. It raises TargetError where that is unknown.
    """

    def __init__(
        self, client: Client, records: ClusterRecords, router: Callable[[], RouterSettings]
    ) -> None:
        self._client = client
        self._records, self._state = records, State(records)
        self._router = router
        where = records.namespace, records.workspace
        self.alerts = KeptAlerts(client, *where)
        """How alerts stand, as it has written it down."""
        self._pods = RolePods(client, *where, names.SERVICE, self._last_words)

    # -- whether it is needed ------------------------------------------------------------------

    def needs(self) -> Needs:
        """Return what it does: a rule is the platform's own, and each pod serves its metrics."""
        plans = any_declares(self._records, Kind.TRAFFIC, "rollout")
        alerts = any_declares(self._records, Kind.ENDPOINT, "alerts")
        return Needs(
            rules=False,
            moving=plans or is_any_moving(self._state),
            metrics=None,
            logs="",
            alerts=alerts,
            webhooks=False,
        )

    def objects(self) -> tuple[Object, ...]:
        """Return what it is made of; nothing where it is not needed."""
        return self._all(self._router()) if self.needs() else ()

    def _all(self, router: RouterSettings) -> tuple[Object, ...]:
        return service_objects(self._records.workspace, self._records.namespace, router)

    # -- made and removed ----------------------------------------------------------------------

    def begin(self) -> bool:
        """Make it where it is needed and was not made so; return whether there was none.

        Raises:
            TargetError: It cannot be made, and then nothing of a new one is left.
        """
        before = self._noted()
        if not self.needs() or before == self._wanted():
            return False
        try:
            self.apply()
        except TargetError:
            if not before:
                self.give_up()
            raise
        return not before

    def give_up(self) -> None:
        """Remove what was made in vain, as far as that is possible: what is left is told."""
        with suppress(TargetError):  # the first error is the one to report
            self.remove()

    def end(self) -> None:
        """Remove it where it was made and is not needed any more. Raises TargetError."""
        if self._noted() and not self.needs():
            self.remove()

    def apply(self) -> None:
        """Make it as it is wanted, or see that it is not there; take back what others changed."""
        if not self.needs():
            self.remove()
            return
        for one in self.objects():
            apply_if_free(self._client, with_account(self._client, one))
        self._note(self._wanted())

    def stop(self) -> None:
        """End it, and wait until it changes nothing any more; `begin` makes it again.

        Its rights go too: what needs it may be deleted before the workspace starts again.
        """
        self._end()
        self._delete()

    def _end(self) -> None:
        for one in self._all(_ANY):
            if kind_of(one) == DEPLOYMENT:
                delete_ours(self._client, one)
        until_s = time.monotonic() + END_S + _KILLED_S
        while self._pods.all() and time.monotonic() < until_s:
            time.sleep(_POLL_S)

    def remove(self) -> None:
        """Remove all of it."""
        if self.alerts.is_there:
            self._end()  # it would write that down again
            self.alerts.forget()
        self._delete()

    def _delete(self) -> None:
        for one in reversed(self._all(_ANY)):
            delete_ours(self._client, one, if_seen=True)
        self._note("")

    def _wanted(self) -> str:
        return self._router().model_dump_json(include={"image", "pull_secrets"})

    def _noted(self) -> str:
        return (self._records.read(names.ADDRESS, names.SERVICE) or b"").decode()

    def _note(self, said: str) -> None:
        if said == self._noted():
            return
        if said:
            self._records.put(names.ADDRESS, names.SERVICE, said)
        else:
            self._records.drop(names.ADDRESS, names.SERVICE)

    # -- how it is -----------------------------------------------------------------------------

    def told(self) -> Mapping[str, Any]:
        """Return what the status of the workspace's router says of it: fields of RouterStatus."""
        needs = self.needs()
        if not needs:
            return {}
        pods = self._pods.all()
        notes = notes_of(self.alerts.states(), datetime.now(UTC)) if needs.alerts else {}
        if any(map(is_ready, pods)):
            return {"beside": needs.running(()), "alerts": notes}
        if self._starts(pods):
            return {"beside": f"{needs.name} starts", "alerts": notes}
        return {
            "alerts": notes,
            "missing": f"the {needs.name} does not run: {needs.lost}; {self._pods.why(pods)}",
        }

    def _starts(self, pods: list[Object]) -> bool:
        """Whether it, or a pod of it, was made a moment ago and nothing is wrong with that."""
        there = [pod for pod in pods if not is_ending(pod)]
        if any(map(trouble_of, there)):
            return False
        if not there:
            deployment = self._pods.deployment()
            if deployment is None or refused(deployment) or foreign(deployment):
                return False
            there = [deployment]
        return any(self._client.server_time_s() - _made_s(one) < _START_S for one in there)

    def _last_words(self, pod: Object) -> str:
        with suppress(TargetError):
            asked = {"container": names.SERVICE, "tailLines": "1"}
            said = "".join(self._client.logs(self._records.namespace, name_of(pod), **asked))
            if said.strip():
                return f"it says: {said.strip()}"
        return "it starts, or does not answer"

    def left(self, there: Mapping[Any, Object]) -> Iterator[str]:
        """Yield what of it is there though it is not needed.

        Args:
            there: The objects of the workspace that are its.
        """
        if not self.needs():
            known = {(kind_of(one), name_of(one)) for one in self._all(_ANY)}
            yield from (f"leftover {k.name} {name}" for k, name in there if (k, name) in known)


_ANY = RouterSettings(image="none")
"""Settings by which its objects are found, whatever they are."""


def _made_s(one: Object) -> float:
    made = str(one["metadata"].get("creationTimestamp") or "")
    return datetime.fromisoformat(made).timestamp() if made else 0.0
