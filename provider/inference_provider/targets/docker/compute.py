"""Instances as containers: the Compute of a workspace on a Docker host.

A container's labels say what it is, where it is reached, and what it was made with; nothing else
needs to be remembered.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, NamedTuple, cast

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.router.table import Proxy
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.targets import starting
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.docker import names
from inference_provider.targets.docker.amounts import limits
from inference_provider.targets.docker.containers import (
    ailment,
    altered,
    endings_of,
    hardened,
)
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.gpus import (
    VISIBLE,
    HostGpus,
    device_requests,
    visible,
)
from inference_provider.targets.docker.happened import happened
from inference_provider.targets.docker.host import DockerHost, timed
from inference_provider.targets.docker.injected import FOLDER, file_of, shown, with_file
from inference_provider.targets.docker.instance import (
    backend_of,
    command_of,
    health_of,
    labels_of,
    liveness_fault,
    liveness_label,
)
from inference_provider.targets.docker.network import NO_NAMES, free_addresses, network_of
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.docker.volumes import volumes_of
from inference_provider.targets.docker.way_out import proxy_in
from inference_provider.targets.merged import merged
from inference_provider.workspace.logged import LogLine, LogQuery
from inference_provider.workspace.ports import MakeRoom, Progress, Unit, side_by_side, silent
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import ComputeStatus, Event, Instance, InstanceStatus

EGRESS = "egress_public_network_access"

_ASK_S = 2.0
_AT_ONCE = 8
_LINES = 1000
"""Of a container's log, the last ones are looked through for events."""
_RUNNING = ("running", "restarting")
_ENDED = "its container ended before it was ready"


class DockerCompute:
    """Instances of one workspace."""

    replaces_instances = False

    def __init__(
        self,
        host: DockerHost,
        records: HostRecords,
        content: DockerContent,
        router: DockerRouter,
        gpus: HostGpus,
        *,
        told: Callable[[], Iterable[Event]] = lambda: (),
    ) -> None:
        """Prepare one; `told` returns what happened besides, which no container says."""
        self._host = host
        self._records = records
        self._content = content
        self._router = router
        self._state = State(records)
        self._gpus = gpus
        self._told = told
        self._networks = {
            closed: AskedOnce(
                partial(network_of, host, records.workspace, self._alone, closed=closed)
            )
            for closed in (False, True)
        }

    def _alone(self) -> AbstractContextManager[None]:
        return self._records.lock("addresses")

    # -- what there is -------------------------------------------------------------------------

    def _containers(self, deployment: str = "") -> list[dict[str, Any]]:
        filters = names.selecting(self._records.workspace, names.INSTANCE)
        if deployment:
            filters = {"label": [*filters["label"], f"{names.DEPLOYMENT}={deployment}"]}
        found = filter(names.is_instance, self._host.containers(filters))
        return sorted(found, key=names.of)

    def _ids(self, deployment: str = "") -> dict[str, str]:
        return {names.of(one): str(one["Id"]) for one in self._containers(deployment)}

    def instances(self, deployment: str = "") -> Mapping[str, tuple[Instance, ...]]:
        del deployment  # all are known by one request
        found: dict[str, tuple[Instance, ...]] = {}
        for container in self._containers():
            labels = container["Labels"]
            one = Instance(names.of(container), labels[names.GENERATION], (backend_of(labels),))
            deployment = labels[names.DEPLOYMENT]
            found[deployment] = (*found.get(deployment, ()), one)
        return found

    def status(self, deployment: str = "") -> ComputeStatus:
        found: dict[str, tuple[InstanceStatus, ...]] = {}
        expected = self._expected(self._content.newest_image_of, deployment)
        for container in self._containers(deployment):
            own = container["Labels"][names.DEPLOYMENT]
            one = self._status_of(container, expected, ailment)
            found[own] = (*found.get(own, ()), one)
        return ComputeStatus(instances=found)

    def found(self, unit: Unit) -> list[InstanceStatus]:
        name, probe = unit.id.name, liveness_label(unit.spec.liveness_probe.model_dump())
        expected = self._expected(self._content.image_of, name)
        if name in expected:  # the record is of before this change
            expected = {**expected, name: expected[name]._replace(liveness=probe)}
        # without `ailment`: one that answers is used, whatever Docker calls it
        return [self._status_of(one, expected) for one in self._containers(name)]

    def _status_of(
        self,
        container: Mapping[str, Any],
        expected: Mapping[str, "_Expected"],
        more: Callable[[dict[str, Any] | None], str] = lambda _seen: "",
    ) -> InstanceStatus:
        labels, seen = container["Labels"], self._host.container(container["Id"])
        wanted = expected.get(labels[names.DEPLOYMENT], expected.get("", _Expected()))
        fault = altered(seen, wanted.network)
        if not fault and wanted.volumes is not None and volumes_of(container) != wanted.volumes:
            fault = "reads an older copy of its code or model"
        if not fault and wanted.image and container["ImageID"] != wanted.image:
            fault = "runs an older image"
        fault = fault or _proxy_fault(labels, wanted.proxy)
        fault = fault or liveness_fault(labels, wanted.liveness)
        return InstanceStatus(
            name=names.of(container),
            generation=labels[names.GENERATION],
            runs=container["State"] in _RUNNING,
            answers=container["State"] == "running",
            endings=endings_of(seen),
            fault=fault or more(seen),
        )

    def _expected(
        self, image_of: Callable[[Record], str], deployment: str
    ) -> Mapping[str, "_Expected"]:
        """Return what is expected of instances, by recorded deployment; of any other, under ``.

        What depends on a record or document that cannot be read is not known.

        Args:
            image_of: Says which image; a start is content with one whose tag was moved.
            deployment: Whose instances are asked for; empty for those of all.
        """
        records, unreadable = self._state.sorted_out()
        found: dict[str, _Expected] = {}
        with suppress(TargetError):
            found[""] = _Expected(self._network("enabled"))
        for record in records:
            if record.id.kind == Kind.DEPLOYMENT and deployment in ("", record.id.name):
                found[record.id.name] = self._expected_of(record, image_of)
        unread = (one.name for one in unreadable if one.kind == Kind.DEPLOYMENT)
        return {**found, **dict.fromkeys(unread, _Expected())}

    def _expected_of(self, record: Record, image_of: Callable[[Record], str]) -> "_Expected":
        found = _Expected()
        with suppress(TargetError):
            found = _Expected(
                self._network(record.properties.get(EGRESS, "enabled")),
                self._content.volumes_of(record),
            )
            found = found._replace(image=image_of(record), proxy=self._proxy_port())
        probe = record.properties.get("liveness_probe")
        return found._replace(liveness=liveness_label(probe) if probe else "")

    def _way_out(self, network: Mapping[str, Any]) -> Proxy | None:
        """Return the way out of a network that has no other, whether any rule is there yet or not.

        An instance that is closed by itself, in a workspace that is open, has none.
        """
        closed = self._state.is_closed("enabled")
        return proxy_in(network, self._router.listens().egress_port) if closed else None

    def _proxy_port(self) -> int:
        return self._router.listens().egress_port if self._state.outbound_rules() else 0

    def _network(self, access: str) -> str:
        return names.network(self._records.workspace, closed=self._state.is_closed(access))

    # -- start ---------------------------------------------------------------------------------

    def ensure(
        self,
        unit: Unit,
        count: int,
        progress: Progress = silent,
        make_room: MakeRoom = side_by_side,
    ) -> tuple[str, ...]:
        return starting.ensure(self, unit, count, progress, make_room)

    def begin(
        self, unit: Unit, count: int, kept: Collection[str], progress: Progress, begun: list[str]
    ) -> None:
        image = self._content.image(unit.environment)
        self._content.mounts(unit)  # code that is gone is copied before others have to wait
        closed = self._state.is_closed(unit.spec.egress_public_network_access)
        network = self._networks[closed]()
        with self._alone():
            there = self._containers()
            own = (c for c in there if c["Labels"][names.DEPLOYMENT] == unit.id.name)
            leaving = {*map(names.of, own)} - {*kept}
            with self._gpus.handing_out(unit, count, leaving) as gpus:
                # again: a bind makes a volume that was removed meanwhile, empty
                mounts = self._content.mounts(unit)
                proxy = self._way_out(network)
                for place in self._places(unit, network, there, gpus):
                    begun.append(place.name)
                    self._create(unit, place, image, mounts, proxy)
        with self._host.asked("start", str(unit.id)) as api, ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(api.start, begun))

    def _places(
        self,
        unit: Unit,
        network: dict[str, Any],
        there: list[dict[str, Any]],
        gpus: list[tuple[str, ...]],
    ) -> list["_Place"]:
        """Return what each new instance gets beside those that are there."""
        taken = {container["Labels"][names.ADDRESS] for container in there}
        addresses = free_addresses(network, taken, len(gpus))
        used, workspace = {names.of(container) for container in there}, self._records.workspace
        numbered = (
            names.instance(workspace, unit.id.name, unit.generation, number)
            for number in itertools.count()
        )
        free = (name for name in numbered if name not in used)
        return [
            _Place(next(free), network["Name"], address, uuids)
            for address, uuids in zip(addresses, gpus, strict=True)
        ]

    def _create(
        self, unit: Unit, place: "_Place", image: str, mounts: list[str], proxy: Proxy | None
    ) -> None:
        command, held_to = command_of(unit, proxy), limits(unit.spec.resources, self._host.cores)
        labels = {
            **labels_of(unit, place.gpus, proxy),
            names.NAME: place.name,
            names.MADE_OF: image,
            names.LIMITS: json.dumps(held_to),
            names.ADDRESS: place.address,
        }
        brings_image = server_of(unit.spec, unit.environment).kind == ServerKind.IMAGE
        argv = None if brings_image else list(command.argv)
        file = with_file(self._host.image(image), argv) if unit.injected else {"command": argv}
        variables = shown(command.environment, unit.injected)
        with self._host.asked("start", str(unit.id)) as api:
            endpoint = {place.network: api.create_endpoint_config(ipv4_address=place.address)}
            api.create_container(
                image,
                **file,
                name=place.name,
                labels=names.labels(self._records.workspace, names.INSTANCE, **labels),
                environment={**variables, VISIBLE: visible(place.gpus)},
                working_dir=None if brings_image else command.directory,
                networking_config=api.create_networking_config(cast("Any", endpoint)),
                stop_signal="SIGTERM",
                healthcheck=health_of(unit),
                host_config=api.create_host_config(
                    network_mode=place.network,
                    binds=mounts,
                    device_requests=device_requests(place.gpus),
                    **(NO_NAMES if place.network.endswith(names.CLOSED) else {}),
                    **{**hardened(), **held_to},
                ),
            )
        if unit.injected:
            self._host.put_files(place.name, FOLDER, file_of(unit.injected))

    def awaited(self, unit: Unit, name: str) -> "_Awaited":
        return _Awaited(unit, name, self._host, self._router)

    def last_lines(self, unit: Unit, name: str) -> tuple[str, str]:
        return "its last lines", self._host.last_lines(name, starting.LOG_LINES)

    # -- end -----------------------------------------------------------------------------------

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        ids = self._ids()
        ending = [ids[name] for name in names if name in ids]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda id_: self._host.stop(id_, stop_wait_s), ending))

    def scale_in(self, unit: Unit, count: int, stop_wait_s: float) -> int:
        """None: each instance is retired by its name."""
        return 0

    def forget(self, deployment: str) -> None:
        """Nothing is left of containers that are gone."""

    # -- logs ----------------------------------------------------------------------------------

    def logs(self, deployment: ResourceId, query: LogQuery) -> Iterator[LogLine]:
        starting.refuse_container(deployment, query)
        found = {n: id_ for n, id_ in self._ids(deployment.name).items() if query.wants(n)}
        if not found:
            raise starting.no_logs(deployment, query.instance)
        for name, id_ in found.items() if query.lines else ():
            said = self._host.last_lines(id_, query.lines, timed=True, since=query.since)
            yield from (timed(name, line) for line in said.split("\n") if line)
        if query.follow:
            yield from merged([partial(self._host.follow, *one) for one in found.items()])

    def events(self) -> list[Event]:
        found = [*self._told()]
        for id_ in self._ids().values():
            if seen := self._host.container(id_):
                found += happened(seen, self._host.last_lines(id_, _LINES, timed=True))
        return sorted(found, key=lambda event: event.time)


class _Place(NamedTuple):
    """What a new instance has for itself."""

    name: str
    network: str
    address: str
    gpus: tuple[str, ...]


class _Expected(NamedTuple):
    """What an instance of a deployment has."""

    network: str | None = None
    volumes: set[str] | None = None
    image: str = ""
    proxy: int = 0
    """Port of the forward proxy that it must know; 0 where there is none."""
    liveness: str = ""
    """What its label says of its liveness probe; empty where nobody knows."""


def _proxy_fault(labels: Mapping[str, str], port: int) -> str:
    known = labels.get(names.PROXY, "")
    if not port or known.endswith(f":{port}"):
        return ""
    why = "the forward proxy's port changed" if known else "outbound_rules were supported"
    return f"was started before {why}; the next `up` replaces it"


class _Awaited:
    """A new container that somebody waits for; a restart of it counts as its end."""

    def __init__(self, unit: Unit, name: str, host: DockerHost, router: DockerRouter) -> None:
        self._unit = unit
        self._name = name
        self._host = host
        self._router = router
        self._first = self._now = host.container(name)

    def answers(self, limit_s: float) -> bool:
        self._now = now = self._host.container(self._name)
        if now is None or self.ended():
            return False
        path, timeout_s = self._unit.readiness_path, self._unit.spec.readiness_probe.timeout
        backend = backend_of(now["Config"]["Labels"])
        return self._router.answers(backend, path, timeout_s, min(_ASK_S, limit_s))

    def ended(self) -> str:
        first, now = self._first, self._now
        if first is None or now is None or now["RestartCount"] != first["RestartCount"]:
            return _ENDED
        # not State.Running, which is true of one that waits to be started again
        return "" if now["State"]["Status"] == "running" else _ENDED
