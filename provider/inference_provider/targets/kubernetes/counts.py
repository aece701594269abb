"""Who decides how many pods a generation has: this provider, or an autoscaler of Kubernetes.

A field that no manager applies any more is removed, and of a count 1 is left. So before the count
is left out of what is applied, a second manager of ours applies what it is now; the first scale of
an autoscaler, or of a person, then takes it over.
"""

from contextlib import suppress

from inference_provider.targets.kubernetes.applied import COUNTER, is_applied
from inference_provider.targets.kubernetes.autoscalers import Autoscalers
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import Object, kind_of, name_of
from inference_provider.targets.kubernetes.refusals import Conflict
from inference_provider.targets.kubernetes.workloads import COUNT, counted, replicas


class Counts:
    """The counts of one namespace."""

    def __init__(self, client: Client, namespace: str, autoscalers: Autoscalers) -> None:
        self._client = client
        self._namespace = namespace
        self._autoscalers = autoscalers

    def let_go(self, workload: Object) -> None:
        """Have a count stay as it is when it is applied no more."""
        if is_applied(workload, f"spec.{COUNT}"):
            with suppress(Conflict):  # somebody has scaled it meanwhile, and is its owner
                self._apply(workload, replicas(workload), force=False)

    def set(self, workload: Object, count: int) -> Object:
        """Write a count that is not applied, whoever has written it before."""
        return self._apply(workload, count, force=True)

    def take_back(self, workload: Object) -> None:
        """End the autoscaler of a generation whose count is to be applied again, if it has one."""
        ended = self._autoscalers.end(name_of(workload))
        if ended and not is_applied(workload, f"spec.{COUNT}"):
            self.set(workload, replicas(workload))

    def _apply(self, workload: Object, count: int, *, force: bool) -> Object:
        one = counted(kind_of(workload), self._namespace, name_of(workload), count)
        return self._client.apply(one, force=force, manager=COUNTER)
