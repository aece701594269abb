"""A process beside the router of a workspace in a cluster: there while something needs it.

What was applied of it is recorded, so a publication asks the cluster only where that is not what is
needed now.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.account_tokens import with_account
from inference_provider.targets.kubernetes.applied import apply_if_free, delete_ours, foreign
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    POLICY,
    Object,
    kind_of,
    name_of,
)
from inference_provider.targets.kubernetes.observed_objects import confining, listed_if_allowed
from inference_provider.targets.kubernetes.pods import is_ending, trouble_of
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.role_pods import RolePods
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.workloads import refused
from inference_provider.targets.web_service import is_known
from inference_provider.workspace.state import State

_START_S = 60.0
"""Time for which a pod that is not ready counts as one that starts."""
_KILLED_S = 10.0
"""Time that the kubelet has to end a pod that did not end by itself."""
_POLL_S = 0.3


class Companion(ABC):
    """Makes and removes one of them, and says how it is.

    Args:
        client: The cluster.
        records: The workspace's.
        router: Returns what is chosen of the router. It raises TargetError where that is unknown.
    """

    role: ClassVar[str]
    end_s: ClassVar[int]
    """Seconds that its pod has to end."""

    def __init__(
        self, client: Client, records: ClusterRecords, router: Callable[[], RouterSettings]
    ) -> None:
        self._client = client
        self._records, self._state = records, State(records)
        self._router = router
        where = records.namespace, records.workspace
        self._pods = RolePods(client, *where, self.role, self._last_words)

    @abstractmethod
    def is_needed(self) -> bool:
        """Whether records say that it must be there."""

    @abstractmethod
    def told(self) -> Mapping[str, Any]:
        """Return what the status of the workspace's router says of it: fields of RouterStatus."""

    @abstractmethod
    def _made(self, router: RouterSettings) -> tuple[Object, ...]:
        """Return what it is made of, under names that never change."""

    @abstractmethod
    def _wanted(self) -> str:
        """Return all that its objects depend on."""

    def objects(self) -> tuple[Object, ...]:
        """Return what it is made of; nothing where it is not needed."""
        return self._made(self._router()) if self.is_needed() else ()

    # -- made and removed ----------------------------------------------------------------------

    def begin(self) -> bool:
        """Make it where it is needed and was not made so; return whether there was none.

        Raises:
            TargetError: It cannot be made, and then nothing of a new one is left.
        """
        before = self._noted()
        if not self.is_needed() or before == self._wanted():
            return False
        try:
            self.apply()
        except TargetError:
            if not before:
                self.give_up()
            raise
        return not before

    def _is_known(self) -> bool:
        """Whether records say if it must be there; of a corrupt one nothing is known."""
        return is_known(self._state)

    def give_up(self) -> None:
        """Remove what was made in vain, as far as that is possible: what is left is told."""
        with suppress(TargetError):  # the first error is the one to report
            self.remove()

    def end(self) -> None:
        """Remove it where it was made and is not needed any more. Raises TargetError."""
        if self._noted() and not self.is_needed() and self._is_known():
            self.remove()

    def apply(self) -> None:
        """Make it as it is wanted, or see that it is not there; take back what others changed."""
        if not self.is_needed():
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

    def remove(self) -> None:
        """Remove all of it."""
        self._delete()

    def _end(self) -> None:
        for one in self._made(_ANY):
            if kind_of(one) == DEPLOYMENT:
                delete_ours(self._client, one)
        until_s = time.monotonic() + self.end_s + _KILLED_S
        while self._pods.all() and time.monotonic() < until_s:
            time.sleep(_POLL_S)

    def _delete(self) -> None:
        for one in reversed(self._made(_ANY)):
            delete_ours(self._client, one, if_seen=True)
        self._note("")

    def _noted(self) -> str:
        return (self._records.read(names.ADDRESS, self.role) or b"").decode()

    def _note(self, said: str) -> None:
        if said == self._noted():
            return
        if said:
            self._records.put(names.ADDRESS, self.role, said)
        else:
            self._records.drop(names.ADDRESS, self.role)

    # -- how it is -----------------------------------------------------------------------------

    def _starts(self, pods: Sequence[Object]) -> bool:
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
            asked = {"container": self.role, "tailLines": "1"}
            said = "".join(self._client.logs(self._records.namespace, name_of(pod), **asked))
            if said.strip():
                return f"it says: {said.strip()}"
        return "it starts, or does not answer"

    def _why(self, pods: Sequence[Object]) -> str:
        """Say why its pods are not ready, and which policies of others may be why."""
        why, records = self._pods.why(pods), self._records
        if "does not answer" not in why:  # the API server, to the pod
            return why
        there = listed_if_allowed(self._client, records.namespace, POLICY, "") or {}
        return why + confining(there.values(), records.workspace, self.role)

    def left(self, there: Mapping[Any, Object]) -> Iterator[str]:
        """Yield what of it is there though it is not needed.

        Args:
            there: The objects of the workspace that are its.
        """
        if not self.is_needed() and self._is_known():
            known = {(kind_of(one), name_of(one)) for one in self._made(_ANY)}
            yield from (f"leftover {k.name} {name}" for k, name in there if (k, name) in known)


_ANY = RouterSettings(image="none")
"""Settings by which its objects are found, whatever they are."""


def _made_s(one: Object) -> float:
    made = str(one["metadata"].get("creationTimestamp") or "")
    return datetime.fromisoformat(made).timestamp() if made else 0.0
