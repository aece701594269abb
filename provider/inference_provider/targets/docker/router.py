"""The Router of a workspace on a Docker host: a container with Envoy and its agent.

It is in the host's network: it reaches every instance by its address, a restart of the Docker
Engine cuts no caller off, and its port is one of the host. This module makes and removes the
container, and asks the agent in it (`targets/envoy/agent.py`).
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

from inference_provider.errors import NotReady, TargetError, TargetUnreachable
from inference_provider.router.table import KEYS_IN_CLEAR, Backend, EndpointEntry, longest_request_s
from inference_provider.serving.image import ROUTER_FOLDER
from inference_provider.targets.docker import names
from inference_provider.targets.docker.containers import (
    RESTART,
    altered,
    endings_of,
    hardened,
    is_running,
)
from inference_provider.targets.docker.conversation import program
from inference_provider.targets.docker.host import TIMEOUT_S, DockerHost
from inference_provider.targets.docker.listens import Listens, chosen, with_egress_port
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.succession import behind, running
from inference_provider.targets.docker.way_out import proxy_of
from inference_provider.targets.envoy import drain, relay
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.envoy.edge import edged
from inference_provider.targets.envoy.reported import reported
from inference_provider.targets.listening import absent
from inference_provider.workspace.logged import CallQuery
from inference_provider.workspace.state import PUBLICATION, State
from inference_provider.workspace.statuses import RouterAddress, RouterStatus

ADDRESS = "address"
_AGENT = "inference_provider.targets.envoy.agent"
_SHOWN = 600
"""Characters of the router's log that an error quotes."""
_START_LIMIT_S, _LOOK_S = 60.0, 0.2
_ATTEMPTS, _TAKEN = 5, "Address already in use"

_OLDER = "the router runs an older image; it is replaced without a failed request"
_LEFT = "another router runs, left by a client that was killed; it ends after its last request"

Endpoints = tuple[EndpointEntry, ...]


class DockerRouter:
    """The router of one workspace.

    Args:
        host: Where it is.
        records: The workspace's.
        newest: Returns the id of the image that a new one would run; empty where that is still to
            be built, None where nobody knows.
    """

    reads_records = False

    def __init__(
        self, host: DockerHost, records: HostRecords, newest: Callable[[], str | None]
    ) -> None:
        self._host = host
        self._records = records
        self._state = State(records)
        self._newest = newest
        self._name = names.router(records.workspace)
        self._about = (records.workspace, str(host))
        self._selecting = dict(names.selecting(records.workspace, names.ROUTER))

    # -- where it listens ----------------------------------------------------------------------

    def listens(self) -> Listens:
        """Return where it listens. Raises TargetError when the workspace is not there."""
        found = self.kept_address()
        if found is None:
            raise absent(self._records.workspace)
        return found

    def kept_address(self) -> Listens | None:
        """Return where it listens; None where that is not chosen."""
        document = self._records.read(ADDRESS, names.ROUTER)
        return None if document is None else Listens.model_validate_json(document)

    def save(self, listens: Listens) -> None:
        """Remember where it listens."""
        self._records.put(ADDRESS, names.ROUTER, listens.model_dump_json())

    def with_egress_port(self, listens: Listens) -> Listens:
        """Return where it listens, as the forward proxy too."""
        everywhere = partial(self._ask, "free_port", host="0.0.0.0")
        in_use = bool(self._state.edge()["outbound"])
        return with_egress_port(listens, *self._about, everywhere, in_use=in_use)

    def start_first(self, host: str, wanted: int, image: str, besides: Collection[int]) -> None:
        """Choose where a new router listens, and start it there.

        Another process may take a port between both: then it is chosen again.

        Args:
            host: Address of the host.
            wanted: Port; 0 for one that is free.
            image: Id of what it runs.
            besides: Ports on which something else of the workspace is to listen.
        """
        for attempt in range(_ATTEMPTS):
            found = chosen(host, wanted, image, besides=besides, about=self._about, ask=self._ask)
            self.save(self.with_egress_port(found))
            try:
                self.ensure_up(lambda: ())
            except NotReady as fault:
                if _TAKEN not in str(fault) or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def address(self) -> RouterAddress:
        return self.listens().reached(self._host.hostname, secure=self._state.speaks_tls())

    # -- the container -------------------------------------------------------------------------

    def runs(self) -> bool:
        return is_running(self._container())

    def _container(self) -> dict[str, Any] | None:
        """Return what the Engine says of the router; None when there is none."""
        return self._host.container(self._id())

    def _id(self) -> str:
        """Return the id of its container, which a person may have renamed; its name if none."""
        return next(iter(self._ids()), self._name)

    def _ids(self) -> list[str]:
        return [str(one["Id"]) for one in self._listed()]

    def _listed(self) -> list[dict[str, Any]]:
        """Return its container as it is listed, and then others that a killed client left.

        What has its name is the router; where that is none, the newest is.
        """
        found = [*filter(names.is_router, self._host.containers(self._selecting))]
        found.sort(key=lambda one: (f"/{self._name}" not in one["Names"], -one["Created"]))
        return found

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        image = self.listens().image  # refuses a workspace that is not there
        if self._is_fine(image):
            return
        replaced = None
        with self._records.lock(PUBLICATION):  # a new router would miss what is published meanwhile
            for left in self._ids()[1:]:
                self._end(left, endpoints())
            if not self._is_fine(image):
                replaced = self._mend(image, endpoints())
        if replaced:
            self._end(replaced, endpoints())

    def _is_fine(self, image: str) -> bool:
        found = self._ids()
        container = self._host.container(found[0]) if len(found) == 1 else None
        if container is None or container["Image"] != image or altered(container):
            return False
        return bool(self._is_ready())

    def _is_ready(self) -> bool | None:
        """Whether Envoy serves; None where no agent answers, so that it could be started."""
        try:
            return bool(self._ask("is_ready"))
        except TargetUnreachable:
            return None

    def _mend(self, image: str, endpoints: Endpoints) -> str | None:
        """Make the router serve, as it was made; return the id of a replaced one that serves on."""
        container = self._container()
        if container is None or not is_running(container):
            self.make(image)
        elif not self._is_as_made(container, image) or self._is_ready() is None:
            return self._replace(container["Id"], image, endpoints)
        self._start(self._id(), endpoints)
        return None

    def _is_as_made(self, container: dict[str, Any], image: str) -> bool:
        """Whether a container is as it was made; its name and restart policy are mended."""
        if altered(container):
            with self._host.asked("mend", f"container {self._name}") as api:
                if container["Name"] != f"/{self._name}":
                    api.rename(container["Id"], self._name)
                api.update_container(container["Id"], restart_policy=cast("Any", {"Name": RESTART}))
        return container["Image"] == image and not altered(self._host.container(container["Id"]))

    def make(self, image: str) -> None:
        """Replace the container by a new one, and start its agent; whatever it served is cut."""
        self.remove()
        self._wait_for_agent(self._create(image, self._name))

    def _replace(self, old: str, image: str, endpoints: Endpoints) -> str:
        """Start another router beside one that serves; both take requests until the old one ends.

        Returns:
            The id of the old one, which has lost its name: from then on it is the one to end.
        """
        new = self._create(image, names.router(self._records.workspace, "next"))
        try:
            self._wait_for_agent(new)
            self._start(new, endpoints)
            self._wait_as_healthy(new, endpoints)
        except BaseException:
            self._remove(new)
            raise
        with self._host.asked("rename", f"container {self._name}") as api:
            api.rename(old, names.router(self._records.workspace, "old"))
            api.rename(new, self._name)
        return old

    def _wait_as_healthy(self, new: str, endpoints: Endpoints) -> None:
        """Wait until a new router knows as many healthy instances as the one that serves."""
        began_s = time.monotonic()
        while late := self._behind(new, endpoints, time.monotonic() - began_s):
            if time.monotonic() - began_s > _START_LIMIT_S:
                reason = f"the new one reaches fewer instances of {', '.join(late)} than the old"
                raise NotReady("replace", "the router", reason, "look at their logs")
            time.sleep(_LOOK_S)

    def _behind(self, new: str, endpoints: Endpoints, spent_s: float) -> list[str]:
        there = running(self._host, self._records.workspace)
        wanted = there & Counter(self._healthy(self._id()))
        return [*behind(endpoints, wanted, self._healthy(new), spent_s)]

    def _healthy(self, container: str) -> dict[str, int]:
        with suppress(TargetUnreachable):  # its agent may be silent: it is replaced for that, too
            return RouterStatus.model_validate(self._ask("status", container)).healthy or {}
        return {}

    def _start(self, container: str, endpoints: Endpoints) -> None:
        try:
            self._ask("start", container, table=self._table(endpoints))
        except TargetUnreachable as silent:
            raise self._not_ready(container, "it ended at its start") from silent

    def _create(self, image: str, called: str) -> str:
        """Start a container with an empty folder; return its id."""
        workspace = self._records.workspace
        labels = names.labels(workspace, names.ROUTER)
        more = {names.NAME: self._name, names.LIMITS: "{}", names.MADE_OF: image}
        volume = names.router_volume(workspace, self._host.volumes(self._selecting))
        with self._host.asked("start", f"the router of workspace '{workspace}'") as api:
            api.create_volume(volume, labels=labels)
            made = api.create_container(
                image,
                ["python3", "-m", _AGENT, ROUTER_FOLDER],
                name=called,
                labels={**labels, **more},
                host_config=api.create_host_config(
                    network_mode="host", binds=[f"{volume}:{ROUTER_FOLDER}"], **hardened()
                ),
            )
            api.start(made["Id"])
        return str(made["Id"])

    def _end(self, container: str, endpoints: Endpoints) -> None:
        """Let a router finish its requests while another one takes the new ones, and remove it."""
        longest_s = longest_request_s(endpoints)
        drained = program(container, drain, "admin.sock", str(longest_s))
        with suppress(TargetError), self._host.asked("end", "the replaced router") as api:
            api.update_container(container, restart_policy=cast("Any", {"Name": "no"}))
            self._host.ask(drained, b"", 2 * longest_s + TIMEOUT_S)
        self._remove(container)

    def remove(self) -> None:
        """Remove its containers and their files, if there are any."""
        self._remove(*self._ids())

    def _remove(self, *containers: str) -> None:
        """Remove some of its containers, and the volumes that none has then."""
        for container in containers:
            self._host.remove(container)
        for volume in self._host.volumes(self._selecting):
            with suppress(TargetError):  # in use
                self._host.remove_volume(volume)

    def _wait_for_agent(self, container: str) -> None:
        until_s = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                self._ask("in_force", container)
            except TargetUnreachable as silent:
                now = self._host.container(container)  # the Engine starts it again and again
                if time.monotonic() > until_s or now is None or now["RestartCount"]:
                    raise self._not_ready(container, "its agent does not answer") from silent
            else:
                return

    def _not_ready(self, container: str, reason: str) -> NotReady:
        said = " ".join(self._host.last_lines(container, 5).split())[-_SHOWN:]
        remedy = "a runtime_image must be one that `inferctl image build` makes"
        return NotReady("start", "the router", f"{reason}: {said or 'its log is empty'}", remedy)

    # -- what it serves ------------------------------------------------------------------------

    def publish(self, endpoints: Endpoints) -> None:
        self._ask("publish", table=self._table(endpoints))

    def _table(self, endpoints: Endpoints) -> Any:
        listens, edge = self.listens(), self._state.edge()
        proxy = proxy_of(self._host, self._records, listens.egress_port, edge["outbound"])
        said = {**edge, **reported(self._state, self._records.workspace)}
        table = listens.table(ROUTER_FOLDER, endpoints, **said, proxy=proxy)
        # defaults are left out: an older release refuses what it does not know
        return table.model_dump(mode="json", context=KEYS_IN_CLEAR, exclude_defaults=True)

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
        return bool(self._ask("answers", within_s=TIMEOUT_S + timeout_s, backends=asked, **given))

    def calls(self, query: CallQuery) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("calls", query=query.model_dump(mode="json"))
        return found

    def status(self) -> RouterStatus:
        found_ids = self._ids()
        container = self._host.container(found_ids[0]) if found_ids else None
        if not is_running(container):
            paused = container is not None and container["State"]["Paused"]
            state = "is paused" if paused else "does not run"
            return RouterStatus(fault=f"the router {state}", runs=False)
        try:
            found = RouterStatus.model_validate(self._ask("status"))
        except TargetUnreachable:
            found = RouterStatus(fault="the router's agent does not answer")
        faults = [found.fault, *self._faults(container or {}), _LEFT if found_ids[1:] else ""]
        told = "; ".join(filter(None, faults))
        return found.model_copy(update={"fault": told, "endings": endings_of(container)})

    def _faults(self, container: dict[str, Any]) -> Iterator[str]:
        """Say what an `up` mends of a container that runs."""
        if changed := altered(container):
            yield f"the router's container: {changed}"
        if self._newest() not in (None, container["Image"]):
            yield _OLDER

    def _ask(
        self, question: str, container: str = "", /, within_s: float = TIMEOUT_S, **given: Any
    ) -> Any:
        """Ask the agent. Raises TargetUnreachable when it does not answer, or its own error.

        Args:
            question: One that the agent knows.
            container: Whose agent; that of the router when empty.
            within_s: Longest wait for its answer, seconds.
            given: What belongs to the question.
        """
        asked = {"ask": edged(question, given.get("table")), **given}
        text = json.dumps(asked).encode() + b"\n"
        found = (one for one in self._listed() if container in ("", one["Id"]))
        there = next(found, {"Id": container or self._name, "State": ""})
        command = program(there["Id"], relay, "agent.sock")
        said = self._host.ask(command, text, within_s, again=there["State"] == "running")
        try:
            told = json.loads(said)
        except ValueError:
            last = said.decode(errors="replace").strip().rpartition("\n")[2][-200:]
            reason = f"its agent does not answer: {last or 'it has ended'}"
            raise TargetUnreachable("ask", "the router", reason, "run this again") from None
        if "error" in told:
            raise read(told["error"])
        return told["answer"]
