"""What the router finds of readiness routes -> an event for each instance that fails.

The router alone asks these routes: by its answer an instance gets requests or none. An event is
written once when one fails, not again before it has been healthy. Runs as a thread of `watch.py`,
so it imports only the standard library and modules of ours that do the same.
"""

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.local.prober import Documents, Tell

EVERY_S = 5.0
"""Pause between two looks; what fails for less may be missed."""
FAILED = "ReadinessProbeFailed"
_MEMBERS = r"^cluster\.[^/.:]+/[^/.:]+\.membership_(healthy|total)$"
_DEPLOYMENT = re.compile(r"[^/.:]+/[^/.:]+")
"""Names of clusters; a mirror's has the same hosts."""
_NO_ANSWER = "no answer in time"
_WRONG = "no connection, or a status other than 200 to 399"


class _Host(NamedTuple):
    port: str
    """Its number; of a Unix socket its name, which is the same."""
    fault: str
    """Why it fails; empty while it does not."""
    is_new: bool
    """Whether it has not been asked yet."""


class Readiness:
    """The instances of one workspace, as its router finds them."""

    def __init__(
        self,
        admin: RouterAdmin,
        documents: Documents,
        tell: Tell,
        is_stopping: Callable[[str], bool] = lambda _instance: False,
    ) -> None:
        """Prepare to look.

        Args:
            admin: The router's.
            documents: Say which instance has which port.
            tell: Writes down what happened. It may raise OSError.
            is_stopping: Whether an instance was told to stop.
        """
        self._admin, self._documents = admin, documents
        self._tell, self._is_stopping = tell, is_stopping
        self._counts: dict[str, Any] = {}
        """By cluster, as of the last look; the same while no instance has failed or come."""
        self._told: set[str] = set()
        self._any_changes = False
        """Whether an instance fails or is new: another one may take its place, by these counts."""

    def start(self) -> None:
        """Look from now on, beside whatever this process does."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(EVERY_S)
            try:
                self.look()
            except TargetUnreachable:  # it starts, or ends, which others tell
                self._counts = {}
            except Exception as fault:  # noqa: BLE001 - no fault may end all looks
                print(f"readiness: {type(fault).__name__}: {fault}", file=sys.stderr, flush=True)  # noqa: T201

    def look(self) -> None:
        """Look once. Raises TargetUnreachable where the router does not answer, and OSError."""
        counts = self._admin.stats(_MEMBERS, "Gauges")
        if counts == self._counts and not self._any_changes:
            return
        hosts = [*_hosts(self._admin.get("/clusters?format=json").text)]
        names = self._documents.by_port()
        failing = {names[one.port]: one.fault for one in hosts if one.fault and one.port in names}
        self._told &= failing.keys()
        for name, fault in failing.items():
            if name not in self._told and not self._is_stopping(name):
                said = f"Readiness probe failed: {fault}; it gets no requests until it answers"
                self._tell(name, FAILED, said)
                self._told.add(name)
        self._counts, self._any_changes = counts, any(one.is_new or one.fault for one in hosts)


def _hosts(text: str) -> Iterator[_Host]:
    """Yield the hosts of all deployments."""
    for cluster in json.loads(text).get("cluster_statuses", ()):
        if _DEPLOYMENT.fullmatch(cluster.get("name", "")):
            yield from map(_host, cluster.get("host_statuses", ()))


def _host(found: Mapping[str, Any]) -> _Host:
    address, health = found["address"], found.get("health_status", {})
    if "pipe" in address:
        port = address["pipe"]["path"].rpartition("/")[2]
    else:
        port = str(address.get("socket_address", {}).get("port_value", ""))
    is_new = bool(health.get("pending_active_hc"))
    fails = bool(health.get("failed_active_health_check")) and not is_new
    fault = _NO_ANSWER if health.get("active_hc_timeout") else _WRONG
    return _Host(port, fault if fails else "", is_new)
