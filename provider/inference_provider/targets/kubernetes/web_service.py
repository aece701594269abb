"""The workspace service over HTTP of one workspace in a cluster: there while it has `service`."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from inference_provider.errors import NotReady
from inference_provider.spec.service import ServiceSettings
from inference_provider.targets.envoy.fetched_keys import state_in
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.companion import Companion
from inference_provider.targets.kubernetes.kept_folder import kept_in
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.pods import is_ready
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.web_manifests import END_S, hosts, web_objects
from inference_provider.targets.web_service import keys_uri, service_of, unfetched
from inference_provider.targets.web_told import CERTIFICATE
from inference_provider.workspace.ports import Tell

_ANY = ServiceSettings(port=1)
"""Settings by which its objects are found, whatever they are."""


class WebService(Companion):
    """Makes and removes it, and says how it is; see `Companion`."""

    role, end_s = names.WEB, END_S
    _is_new = False

    def is_needed(self) -> bool:
        return service_of(self._state) is not None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names by which it is reached; empty where it is not."""
        return hosts(self._records.namespace) if self.is_needed() else ()

    def _made(self, router: RouterSettings) -> tuple[Object, ...]:
        where = self._records.workspace, self._records.namespace
        return web_objects(*where, router, service_of(self._state) or _ANY, self._state.scheme)

    def _wanted(self) -> str:
        service = service_of(self._state)
        said = service.model_dump_json(include={"port", "console"}) if service else ""
        router = self._router().model_dump_json(include={"image", "pull_secrets"})
        return f"{self._state.scheme} {said} {router}"

    def apply(self) -> None:
        super().apply()
        self._is_new = self.is_needed()

    def wait(self, tell: Tell) -> None:
        """Wait until its newest pod answers, where it was applied; tell where it does not start.

        That fails nothing: the router serves without it, and the status says it too.
        """
        is_new, self._is_new = self._is_new, False
        if not is_new or not self.is_needed():  # it may have gone since, in the same change
            return
        with suppress(NotReady):
            self._pods.wait_rolled(None, tell)
            return
        tell(self._lost(self._pods.all()))

    def told(self) -> Mapping[str, Any]:
        if not self.is_needed():
            return {}
        pods = self._pods.all()
        if any(map(is_ready, pods)):
            return {"beside": ", ".join((f"service on {self._url}", *self._faults()))}
        if self._starts(pods):
            return {"beside": f"service starts on {self._url}"}
        return {"missing": self._lost(pods)}

    def _faults(self) -> Iterator[str]:
        """Yield what its pod has written down that is not as it should be."""
        if not keys_uri(self._state) and self._state.scheme == "http":
            return
        files = kept_in(self._client, self._records.namespace)
        fault = files.get(CERTIFICATE)
        told = (unfetched(self._state, partial(state_in, files)), fault.text if fault else "")
        yield from filter(None, told)

    def _lost(self, pods: list[Object]) -> str:
        return f"the service on {self._url} does not run: {self._why(pods)}"

    @property
    def _url(self) -> str:
        port = (service_of(self._state) or _ANY).port
        return f"{self._state.scheme}://{hosts(self._records.namespace)[0]}:{port}"
