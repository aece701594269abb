"""The router of a workspace in a cluster, with what runs beside it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from inference_provider.errors import InferenceError
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.companion import Companion
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.observed_objects import There
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.router import Endpoints, KubernetesRouter
from inference_provider.targets.kubernetes.web_service import WebService
from inference_provider.targets.kubernetes.whole import Whole
from inference_provider.targets.kubernetes.workspace_service import WorkspaceService
from inference_provider.targets.service_needs import days_of, traces_of
from inference_provider.workspace.ports import Tell
from inference_provider.workspace.statuses import RouterAddress, RouterStatus

_NO_SPANS = "it sends no spans: its image is of an older release"
_NO_DAYS = "it keeps calls for as long as they have room: its image is of an older release"


class ServedRouter(KubernetesRouter):
    """Has what is beside it run while it is needed, and tells of it."""

    def __init__(
        self,
        client: Client,
        records: ClusterRecords,
        beside: Callable[[], Iterable[Object]],
        whole: Whole,
        is_outdated: Callable[[str], bool],
    ) -> None:
        """Open it; see `KubernetesRouter`. What its companions are made of comes to `beside`."""
        self.service = WorkspaceService(client, records, self.settings)
        self.web = WebService(client, records, self.settings)
        self._companions: tuple[Companion, ...] = (self.service, self.web)
        self.is_the_service = False
        """Set in a companion itself, which may make no objects."""

        def all_beside() -> Iterable[Object]:
            return chain(beside(), *(one.objects() for one in self._companions))

        super().__init__(client, records, all_beside, whole, is_outdated)

    def address(self) -> RouterAddress:
        return super().address().model_copy(update={"beside": self.web.hosts})

    def apply(self, tell: Tell = lambda _said: None) -> None:
        super().apply(tell)
        for one in self._companions:
            one.apply()

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        if self.is_the_service:
            self.ready_pod()
            return
        super().ensure_up(endpoints)
        for one in self._companions:  # they have been stopped with their workspace
            one.begin()

    def publish(self, endpoints: Endpoints) -> None:
        """Publish with all there; a split does not begin its way where its service cannot be."""
        if self.is_the_service:
            super().publish(endpoints)
            return
        begun: list[Companion] = []
        try:
            begun += (one for one in self._companions if one.begin())
            super().publish(endpoints)
        except InferenceError:
            for one in begun:
                one.give_up()
            raise
        for one in self._companions:
            one.end()

    def stop_companions(self) -> None:
        """End them, before the router: they would go on with what they do."""
        for one in self._companions:
            one.stop()

    def remove(self) -> None:
        for one in self._companions:
            one.remove()
        super().remove()

    def status(self) -> RouterStatus:
        found = super().status()
        if not found.runs:
            return found
        if not found.fault:
            missing = "; ".join(self._unreported(found.beside))
            found = found.model_copy(update={"fault": missing})
        for one in self._companions:
            found = found.model_copy(update=_joined(found, one.told()))
        return found

    def _unreported(self, said: str) -> Iterator[str]:
        """Say what its pods would do, were their image not of a release that does not know it."""
        if traces_of(self._state) and "spans" not in said:
            yield _NO_SPANS
        if days_of(self._state, "traffic") and "calls stay" not in said:
            yield _NO_DAYS

    def _altered(self, whole: There) -> list[str]:
        found = super()._altered(whole)
        if not any(kind.name == "Deployment" for kind, _ in self._whole.of(whole, names.ROUTER)):
            return found  # it was stopped
        left = (one.left(self._whole.of(whole, one.role)) for one in self._companions)
        return [*found, *chain(*left)]


def _joined(found: RouterStatus, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a status with what one more says in them."""
    texts = {name: getattr(found, name) for name in ("beside", "missing")}
    joined = {n: "; ".join(filter(None, (t, told.get(n)))) for n, t in texts.items()}
    return {**told, **joined}
