"""The Router of a workspace on a Docker host: a container with Envoy and its agent.

It is in the host's network: it reaches every instance by its address, a restart of the Docker
Engine cuts no caller off, and its port is one of the host. This module makes and removes the
container, and asks the agent in it (`targets/envoy/agent.py`).
"""

import json
import time
from collections.abc import Callable, Collection
from typing import Any, cast

from inference_provider.errors import NotReady, TargetUnreachable
from inference_provider.router.table import KEYS_IN_CLEAR, Backend, EndpointEntry
from inference_provider.serving.image import LIBRARY, ROUTER_FOLDER
from inference_provider.targets.docker import names
from inference_provider.targets.docker.containers import RESTART, altered, endings_of, hardened
from inference_provider.targets.docker.host import TIMEOUT_S, DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.listening import (
    METRICS_PORTS,
    ROUTER_PORTS,
    ListenAddress,
    absent,
    in_order,
    port_taken,
)
from inference_provider.workspace.ports import RouterAddress, RouterStatus

ADDRESS = "address"
_RELAY = f"{LIBRARY}/inference_provider/targets/envoy/relay.py"
_AGENT = "inference_provider.targets.envoy.agent"
_SHOWN = 600
"""Characters of the router's log that an error quotes."""
_START_LIMIT_S = 60.0
_ATTEMPTS, _TAKEN = 5, "Address already in use"

Endpoints = tuple[EndpointEntry, ...]


class Listens(ListenAddress):
    """Where the router of a workspace listens, and what it is made of."""

    image: str
    """Id of the image with the agent in it."""


class DockerRouter:
    """The router of one workspace."""

    def __init__(self, host: DockerHost, records: HostRecords) -> None:
        self._host = host
        self._records = records
        self._name = names.router(records.workspace)

    # -- where it listens ----------------------------------------------------------------------

    def listens(self) -> Listens:
        """Return where it listens. Raises TargetError when the workspace is not there."""
        document = self._records.read(ADDRESS, names.ROUTER)
        if document is None:
            raise absent(self._records.workspace)
        return Listens.model_validate_json(document)

    def save(self, listens: Listens) -> None:
        """Remember where it listens."""
        self._records.put(ADDRESS, names.ROUTER, listens.model_dump_json())

    def choose(self, host: str, wanted: int, image: str) -> Listens:
        """Choose where a new router listens; its container runs already."""
        ports = [wanted] if wanted else in_order(ROUTER_PORTS, self._name)
        port = self._ask("free_port", host=host, ports=ports)
        metrics_ports = in_order(METRICS_PORTS, self._name)
        metrics = self._ask("free_port", host="127.0.0.1", ports=metrics_ports)
        if port is None or metrics is None:
            taken = f"router port {wanted} on {host} is taken by another process"
            reason = taken if wanted else "no router port is free"
            remedy = "give it another router_port (0 picks a free one)"
            raise port_taken(self._records.workspace, reason, remedy, str(self._host))
        return Listens(host=host, port=port, metrics_port=metrics, image=image)

    def start_first(self, host: str, wanted: int, image: str) -> None:
        """Choose where a new router listens, and start it there.

        Another process may take a port between both: then it is chosen again.
        """
        for attempt in range(_ATTEMPTS):
            self.save(self.choose(host, wanted, image))
            try:
                self.ensure_up(lambda: ())
            except NotReady as fault:
                if _TAKEN not in str(fault) or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def address(self) -> RouterAddress:
        return self.listens().reached(self._host.hostname)

    # -- the container -------------------------------------------------------------------------

    def runs(self) -> bool:
        return _runs(self._container())

    def _container(self) -> dict[str, Any] | None:
        """Return what the Engine says of the router; None when there is none."""
        return self._host.container(self._id())

    def _id(self) -> str:
        """Return the id of its container, which a person may have renamed; its name if none."""
        return next(iter(self._ids()), self._name)

    def _ids(self) -> list[str]:
        """Return the ids of what was made here; of a person's copy of it the network differs."""
        found = self._host.containers(names.selecting(self._records.workspace, names.ROUTER))
        return [str(one["Id"]) for one in found if one["HostConfig"]["NetworkMode"] == "host"]

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        image = self.listens().image  # refuses a workspace that is not there
        ready = self._is_ready()
        if ready and self._is_as_made():
            return
        if ready is not False:
            self.make(image)
        try:
            self._ask("start", table=self._table(endpoints()))
        except TargetUnreachable as silent:
            raise self._not_ready("it ended at its start") from silent

    def _is_ready(self) -> bool | None:
        """Whether Envoy serves; None where no agent answers, so that it could be started."""
        try:
            return bool(self._ask("is_ready"))
        except TargetUnreachable:
            return None

    def _is_as_made(self) -> bool:
        """Whether the container is as it was made; its name and restart policy are mended."""
        container = self._container()
        if altered(container) and container is not None:
            with self._host.asked("mend", f"container {self._name}") as api:
                if container["Name"] != f"/{self._name}":
                    api.rename(container["Id"], self._name)
                api.update_container(container["Id"], restart_policy=cast("Any", {"Name": RESTART}))
            container = self._container()
        return not altered(container)

    def make(self, image: str) -> None:
        """Replace the container by a new one with an empty folder, and start it."""
        self.remove()
        workspace = self._records.workspace
        more = {names.NAME: self._name, names.LIMITS: "{}"}
        labels = names.labels(workspace, names.ROUTER, **more)
        with self._host.asked("start", f"the router of workspace '{workspace}'") as api:
            api.create_volume(self._name, labels=labels)
            made = api.create_container(
                image,
                ["python3", "-m", _AGENT, ROUTER_FOLDER],
                name=self._name,
                labels=labels,
                host_config=api.create_host_config(
                    network_mode="host", binds=[f"{self._name}:{ROUTER_FOLDER}"], **hardened()
                ),
            )
            api.start(made["Id"])
        self._wait_for_agent()

    def remove(self) -> None:
        """Remove the container and its files, if there are any."""
        for id_ in self._ids():
            self._host.remove(id_)
        self._host.remove_volume(self._name)

    def _wait_for_agent(self) -> None:
        until_s = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                self._ask("in_force")
            except TargetUnreachable as silent:
                if time.monotonic() > until_s:
                    raise self._not_ready("its agent does not answer") from silent
            else:
                return

    def _not_ready(self, reason: str) -> NotReady:
        said = " ".join(self._host.last_lines(self._id(), 5).split())[-_SHOWN:]
        remedy = f"read its log: docker logs {self._name}"
        return NotReady("start", "the router", f"{reason}: {said or 'its log is empty'}", remedy)

    # -- what it serves ------------------------------------------------------------------------

    def publish(self, endpoints: Endpoints) -> None:
        self._ask("publish", table=self._table(endpoints))

    def _table(self, endpoints: Endpoints) -> Any:
        table = self.listens().table(ROUTER_FOLDER, endpoints)
        return table.model_dump(mode="json", context=KEYS_IN_CLEAR)

    def in_force(self) -> bool:
        return bool(self._ask("in_force"))

    def is_drained(self, deployment: str) -> bool:
        return not self.runs() or bool(self._ask("is_drained", deployment=deployment))

    def is_connected(self, backends: Collection[Backend]) -> bool:
        asked = [backend.model_dump() for backend in backends]
        return self.runs() and bool(self._ask("is_connected", backends=asked))

    def wait_healthy(self, deployment: str, count: int) -> None:
        self._ask("wait_healthy", deployment=deployment, count=count)

    def answers(self, backend: Backend, path: str, timeout_s: float, limit_s: float) -> bool:
        """Whether an instance answers the router's machine, within some time."""
        asked = [backend.model_dump()]
        given = {"path": path, "timeout_s": timeout_s, "limit_s": limit_s}
        return bool(self._ask("answers", TIMEOUT_S + timeout_s, backends=asked, **given))

    def status(self) -> RouterStatus:
        container = self._container()
        if not _runs(container):
            paused = container is not None and container["State"]["Paused"]
            fault = "the router is paused" if paused else "the router does not run"
            return RouterStatus(fault=fault, runs=False)
        try:
            found = RouterStatus.model_validate(self._ask("status"))
        except TargetUnreachable:
            found = RouterStatus(fault="the router's agent does not answer")
        changed = altered(container)
        faults = [found.fault, f"the router's container: {changed}" if changed else ""]
        told = "; ".join(filter(None, faults))
        return found.model_copy(update={"fault": told, "endings": endings_of(container)})

    def _ask(self, question: str, within_s: float = TIMEOUT_S, **given: Any) -> Any:
        """Ask the agent. Raises TargetUnreachable when it does not answer, or its own error."""
        text = json.dumps({"ask": question, **given}).encode() + b"\n"
        command = ("python3", "-I", "-S", _RELAY, f"{ROUTER_FOLDER}/agent.sock")
        status, said = self._host.run(self._id(), command, text, within_s)
        if status or not said:
            reason = f"its agent does not answer: {said.decode(errors='replace')[-200:].strip()}"
            raise TargetUnreachable("ask", "the router", reason, "run this again")
        found = json.loads(said)
        if "error" in found:
            raise read(found["error"])
        return found["answer"]


def _runs(container: dict[str, Any] | None) -> bool:
    state = container["State"] if container is not None else {"Running": False, "Paused": False}
    return bool(state["Running"]) and not state["Paused"]
