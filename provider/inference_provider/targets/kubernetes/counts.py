"""Who decides how many pods a generation has: this provider, or an autoscaler of Kubernetes.

A field that no manager applies any more is removed, and of a count 1 is left. So before the count
is left out of what is applied, a second manager of ours applies what it is now; the first scale of
an autoscaler, or of a person, then takes it over.
"""

from contextlib import suppress

from inference_provider.targets.kubernetes.applied import COUNT, COUNTER, is_applied
from inference_provider.targets.kubernetes.autoscalers import Autoscalers
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.generations import replicas
from inference_provider.targets.kubernetes.objects import DEPLOYMENT, Object, name_of
from inference_provider.targets.kubernetes.refusals import Conflict


class Counts:
    """The counts of one namespace."""

    def __init__(self, client: Client, namespace: str, autoscalers: Autoscalers) -> None:
        self._client = client
        self._namespace = namespace
        self._autoscalers = autoscalers

    def let_go(self, deployment: Object) -> None:
        """Have a count stay as it is when it is applied no more."""
        if is_applied(deployment, f"spec.{COUNT}"):
            with suppress(Conflict):  # somebody has scaled it meanwhile, and is its owner
                self._apply(name_of(deployment), replicas(deployment), force=False)

    def set(self, name: str, count: int) -> Object:
        """Write a count that is not applied, whoever has written it before."""
        return self._apply(name, count, force=True)

    def take_back(self, deployment: Object) -> None:
        """End the autoscaler of a generation whose count is to be applied again, if it has one."""
        name = name_of(deployment)
        if self._autoscalers.end(name) and not is_applied(deployment, f"spec.{COUNT}"):
            self.set(name, replicas(deployment))

    def _apply(self, name: str, count: int, *, force: bool) -> Object:
        one: Object = {
            "apiVersion": DEPLOYMENT.api,
            "kind": DEPLOYMENT.name,
            "metadata": {"name": name, "namespace": self._namespace},
            "spec": {"replicas": count},
        }
        return self._client.apply(one, force=force, manager=COUNTER)
