"""The router of a workspace in a cluster, with the workspace service beside it."""

from collections.abc import Callable, Iterable

from inference_provider.errors import InferenceError
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.observed_objects import There
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.router import Endpoints, KubernetesRouter
from inference_provider.targets.kubernetes.whole import Whole
from inference_provider.targets.kubernetes.workspace_service import WorkspaceService
from inference_provider.targets.service_needs import traces_of
from inference_provider.workspace.ports import Tell
from inference_provider.workspace.statuses import RouterStatus

_NO_SPANS = "it sends no spans: its image is of an older release"


class ServedRouter(KubernetesRouter):
    """Has the service run while it is needed, and tells of it."""

    def __init__(
        self,
        client: Client,
        records: ClusterRecords,
        beside: Callable[[], Iterable[Object]],
        whole: Whole,
        is_outdated: Callable[[str], bool],
    ) -> None:
        """Open it; see `KubernetesRouter`. What the service is made of comes to `beside`."""
        self.service = WorkspaceService(client, records, self.settings)
        self.is_the_service = False
        """Set in the service itself, which may make no objects."""
        super().__init__(
            client, records, lambda: (*beside(), *self.service.objects()), whole, is_outdated
        )

    def apply(self, tell: Tell = lambda _said: None) -> None:
        super().apply(tell)
        self.service.apply()

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        if self.is_the_service:
            self.ready_pod()
            return
        super().ensure_up(endpoints)
        self.service.begin()  # it has been stopped with its workspace

    def publish(self, endpoints: Endpoints) -> None:
        """Publish with the service there; a split does not begin its way where it cannot be."""
        if self.is_the_service:
            super().publish(endpoints)
            return
        is_new = self.service.begin()
        try:
            super().publish(endpoints)
        except InferenceError:
            if is_new:
                self.service.give_up()
            raise
        self.service.end()

    def remove(self) -> None:
        self.service.remove()
        super().remove()

    def status(self) -> RouterStatus:
        found = super().status()
        told = dict(self.service.told()) if found.runs else {}
        if told.get("beside") and found.beside:
            told["beside"] = f"{found.beside}; {told['beside']}"
        if traces_of(self._state) and found.runs and not (found.fault or "spans" in found.beside):
            told["fault"] = _NO_SPANS
        return found.model_copy(update=told)

    def _altered(self, whole: There) -> list[str]:
        found = super()._altered(whole)
        if not any(kind.name == "Deployment" for kind, _ in self._whole.of(whole, names.ROUTER)):
            return found  # it was stopped
        return [*found, *self.service.left(self._whole.of(whole, names.SERVICE))]
