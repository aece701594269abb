"""The container that serves a workspace over HTTP: tokens of endpoints, and the console.

It runs in the host's network: there callers have their own addresses, and it listens on the very
address that is declared. When it ends, nobody gets new tokens, and all else goes on.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from inference_provider import __version__
from inference_provider.errors import TargetError
from inference_provider.targets.docker import names
from inference_provider.targets.docker.companion import FOLDER, Companion, Making
from inference_provider.targets.docker.containers import altered, is_running
from inference_provider.targets.envoy.fetched_keys import KeptFile, state_in
from inference_provider.targets.web_service import keys_uri, pages_of, service_of, unfetched
from inference_provider.targets.web_told import CERTIFICATE, TAKEN, UNLISTENED

LISTENING = "listening"
"""File in its folder while it listens; there it keeps keys that it has fetched, too."""
_MODULE = "inference_provider.web"
"""By its name: it stands on targets."""
_START_S, _LOOK_S, _STOP_S = 20.0, 0.2, 10.0


class Web(Companion):
    """Makes and removes it, and tells how it is; see `Companion`."""

    role = lock = names.WEB
    name_of = staticmethod(names.web)

    def _is_needed(self) -> bool:
        return service_of(self._state) is not None

    def _making(self) -> Making:
        given = self._given()
        return Making(
            f"the service of workspace '{self._workspace}'",
            ("-m", _MODULE, *given),
            "host",
            {names.GIVEN: json.dumps(given)},
        )

    def _fits(self, there: Mapping[str, Any]) -> bool:
        same = there["Labels"].get(names.GIVEN) == json.dumps(self._given())
        return same and not altered(self._host.container(there["Id"]))

    def _given(self) -> list[str]:
        settings = service_of(self._state)
        if settings is None:
            return []
        scheme = "https" if self._state.speaks_tls() else "http"
        place = (settings.bind_address, str(settings.port), scheme)
        return ["docker", self._workspace, *place, pages_of(settings), __version__]

    def _end(self, container: str) -> None:
        self._host.stop(container, _STOP_S)  # it writes down how many calls it has refused

    def wait(self) -> None:
        """Wait until it listens, as far as it does soon."""
        until_s = time.monotonic() + _START_S
        while self._is_needed() and time.monotonic() < until_s:
            there = self._container()
            if there is None or there["RestartCount"] or self._listens(there):
                return
            if UNLISTENED in self._said(there):
                return
            time.sleep(_LOOK_S)

    def _listens(self, container: Mapping[str, Any]) -> bool:
        if not is_running(container):
            return False
        noted = self._host.stat(container["Id"], f"{FOLDER}/{LISTENING}")
        # its folder outlives it: a note of before its start is of another
        return noted is not None and _time(noted["mtime"]) >= _time(container["State"]["StartedAt"])

    # -- what it says --------------------------------------------------------------------------

    def told(self) -> Mapping[str, str]:
        """Return what the status of the workspace's router says of it: fields of RouterStatus."""
        settings = service_of(self._state)
        if settings is None:
            return {}
        host = settings.bind_address
        place = f"{f'[{host}]' if ':' in host else host}:{settings.port}"
        container = self._container()
        if container is not None and self._listens(container):
            told = (f"service on {self._state.scheme}://{place}", *self._faults())
            return {"beside": ", ".join(told)}
        return {"missing": f"the service on {place} does not run: {self._why(container)}"}

    def _faults(self) -> Iterator[str]:
        """Yield what it has written down that is not as it should be."""
        if not keys_uri(self._state) and self._state.scheme == "http":
            return
        try:
            found = self._archived(FOLDER)
        except TargetError as unread:  # no file is not the same: it says that none was fetched
            yield f"whether its keys and certificate are in force is not known: {unread}"
            return
        files = {
            name.partition("/")[2]: KeptFile(content.decode(errors="replace"), at_s)
            for name, (content, at_s) in found.items()
        }
        fault = files.get(CERTIFICATE)
        told = (unfetched(self._state, partial(state_in, files)), fault.text if fault else "")
        yield from filter(None, told)

    def _why(self, container: Mapping[str, Any] | None) -> str:
        with suppress(TargetError):  # of a record that cannot be read nothing is known
            if not self._socket():
                return "the workspace names no engine_socket"
        if container is None or not is_running(container):
            fault = self._fault()
            state = "its container is not there" if container is None else "its container ended"
            return f"its last start failed: {fault}" if fault else f"{state}; apply the workspace"
        said = self._said(container)
        if TAKEN in said:
            remedy = "end that, or use another service.port"
            return f"the port is taken by another process; {remedy}"
        return f"it says: {said}" if said else f"it starts; its log is that of {self._name}"


def _time(said: str) -> datetime:
    return datetime.fromisoformat(said)
