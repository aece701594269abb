"""Instances as containers: the Compute of a workspace on a Docker host.

A container's labels say what it is, and where it is reached; nothing else needs to be remembered.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, cast

from inference_provider.errors import Interrupted, NotReady, TargetError
from inference_provider.observed import ResourceId
from inference_provider.quoting import without_secrets
from inference_provider.router.table import Backend
from inference_provider.serving.command import Surroundings, instance_command
from inference_provider.serving.image import ENVIRONMENT, SCRIPT
from inference_provider.serving.server import ServerKind, server_of
from inference_provider.targets.docker import names
from inference_provider.targets.docker.amounts import limits
from inference_provider.targets.docker.containers import endings_of, hardened
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.network import free_addresses
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.stopping import refuse_when_stopped
from inference_provider.workspace.endings import keeps_dying, restarts
from inference_provider.workspace.ports import (
    ComputeStatus,
    Instance,
    InstanceStatus,
    Progress,
    Unit,
    silent,
)

LOG_LINES = 15
_ASK_S = 2.0
_AT_ONCE = 8
_PORT = 5001
_ENVIRONMENT = PurePosixPath(ENVIRONMENT)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNNING = ("running", "restarting")


class DockerCompute:
    """Instances of one workspace."""

    def __init__(
        self, host: DockerHost, records: HostRecords, content: DockerContent, router: DockerRouter
    ) -> None:
        self._host = host
        self._records = records
        self._content = content
        self._router = router

    # -- what there is -------------------------------------------------------------------------

    def _containers(self, deployment: str = "") -> list[dict[str, Any]]:
        filters = names.selecting(self._records.workspace, names.INSTANCE)
        if deployment:
            filters = {"label": [*filters["label"], f"{names.DEPLOYMENT}={deployment}"]}
        found = self._host.containers(filters)
        return sorted(found, key=_name_of)

    def instances(self) -> Mapping[str, tuple[Instance, ...]]:
        found: dict[str, tuple[Instance, ...]] = {}
        for container in self._containers():
            labels = container["Labels"]
            one = Instance(_name_of(container), labels[names.GENERATION], (_backend(labels),))
            deployment = labels[names.DEPLOYMENT]
            found[deployment] = (*found.get(deployment, ()), one)
        return found

    def status(self) -> ComputeStatus:
        found: dict[str, tuple[InstanceStatus, ...]] = {}
        for container in self._containers():
            labels, name = container["Labels"], _name_of(container)
            one = InstanceStatus(
                name=name,
                generation=labels[names.GENERATION],
                runs=container["State"] in _RUNNING,
                answers=container["State"] == "running",
                endings=endings_of(self._host.container(name)),
            )
            deployment = labels[names.DEPLOYMENT]
            found[deployment] = (*found.get(deployment, ()), one)
        return ComputeStatus(instances=found)

    # -- start ---------------------------------------------------------------------------------

    def ensure(self, unit: Unit, count: int, progress: Progress = silent) -> tuple[str, ...]:
        kept = () if unit.afresh or not count else self._usable(unit, count)
        fresh = self._start(unit, count - len(kept), progress) if len(kept) < count else ()
        return (*kept, *fresh)

    def _usable(self, unit: Unit, count: int) -> tuple[str, ...]:
        """Return up to `count` instances of this generation that run, stay alive and answer."""
        same = [c for c in self._containers(unit.id.name) if self._may_serve(c, unit)]
        same.sort(key=lambda c: _name_of(c) not in unit.admitted)
        path, timeout_s = self._probe(unit)
        found: list[str] = []
        for container in same:
            backend = _backend(container["Labels"])
            if len(found) < count and self._router.answers(backend, path, timeout_s, _ASK_S):
                found.append(_name_of(container))
        return tuple(found)

    def _may_serve(self, container: dict[str, Any], unit: Unit) -> bool:
        if container["State"] != "running":
            return False
        if container["Labels"][names.GENERATION] != unit.generation:
            return False
        ended = endings_of(self._host.container(_name_of(container)))
        return not keeps_dying(restarts(ended, unit.start_limit_s, int(time.time() // 60)))

    @staticmethod
    def _probe(unit: Unit) -> tuple[str, float]:
        path = server_of(unit.spec, unit.environment).readiness_path
        return path, unit.spec.readiness_probe.timeout

    def _start(self, unit: Unit, count: int, progress: Progress) -> tuple[str, ...]:
        image, mounts = self._content.image(unit.environment), self._content.mounts(unit)
        fresh: list[str] = []
        try:
            with self._records.lock("addresses"):
                fresh += self._created(unit, count, image, mounts)
            with self._host.asked("start", str(unit.id)) as api:
                for name in fresh:
                    api.start(name)
            for number, name in enumerate(fresh, 1):
                self._wait_ready(unit, name)
                progress(unit.id, f"{number} of {count} new instances ready")
        except BaseException as stopped:
            # a person waits: an instance that has not served yet can be killed sooner
            hurried = isinstance(stopped, Interrupted | KeyboardInterrupt)
            self.retire(unit.id.name, fresh, 0 if hurried else 5)
            raise
        return tuple(fresh)

    def _created(self, unit: Unit, count: int, image: str, mounts: list[str]) -> list[str]:
        """Create containers, each with a name, a number and an address of its own."""
        there = self._containers()
        taken = {container["Labels"][names.ADDRESS] for container in there}
        addresses = free_addresses(self._host, self._records.workspace, taken, count)
        used, number = {_name_of(container) for container in there}, 0
        found: list[str] = []
        for address in addresses:
            while (name := self._named(unit, number)) in used:
                number += 1
            used.add(name)
            self._create(unit, name, address, image, mounts)
            found.append(name)
        return found

    def _named(self, unit: Unit, number: int) -> str:
        return names.instance(self._records.workspace, unit.id.name, unit.generation, number)

    def _create(self, unit: Unit, name: str, address: str, image: str, mounts: list[str]) -> None:
        workspace, port = self._records.workspace, _port_of(unit)
        more = {
            names.DEPLOYMENT: unit.id.name,
            names.GENERATION: unit.generation,
            names.ADDRESS: address,
            names.PORT: str(port),
        }
        code, model = _folders(mounts)
        command = instance_command(
            unit.spec,
            unit.environment,
            _SURROUNDINGS,
            code_dir=code,
            model_dir=model,
            port=port,
        )
        brings_image = server_of(unit.spec, unit.environment).kind == ServerKind.IMAGE
        network = names.network(workspace)
        with self._host.asked("start", str(unit.id)) as api:
            place = {network: api.create_endpoint_config(ipv4_address=address)}
            api.create_container(
                image,
                None if brings_image else list(command.argv),
                name=name,
                labels=names.labels(workspace, names.INSTANCE, **more),
                environment={n: v.get_secret_value() for n, v in command.environment.items()},
                working_dir=None if brings_image else command.directory,
                networking_config=api.create_networking_config(cast("Any", place)),
                stop_signal="SIGTERM",
                host_config=api.create_host_config(
                    network_mode=network,
                    binds=mounts,
                    **hardened(),
                    **limits(unit.spec.resources),
                ),
            )

    def _wait_ready(self, unit: Unit, name: str) -> None:
        path, timeout_s = self._probe(unit)
        until_s = time.monotonic() + unit.start_limit_s
        while True:
            refuse_when_stopped("start", str(unit.id))
            container = self._host.container(name)
            if container is None or container["RestartCount"] or not container["State"]["Running"]:
                raise self._not_ready(unit, name, "its container ended before it was ready")
            left_s = until_s - time.monotonic()
            backend = _backend(container["Config"]["Labels"])
            if self._router.answers(backend, path, timeout_s, max(0.0, min(_ASK_S, left_s))):
                return
            if left_s <= 0:
                waited = f"GET {path} did not answer 200 to 399 within {unit.start_limit_s} s"
                raise self._not_ready(unit, name, waited)

    def _not_ready(self, unit: Unit, name: str, reason: str) -> NotReady:
        last = without_secrets(self._host.last_lines(name, LOG_LINES), unit.secrets)
        shown = "\n".join(f"    {line[:300]}" for line in last.splitlines())
        return NotReady(
            "start",
            str(unit.id),
            f"instance {name}: {reason}",
            f"fix the cause and run this again; its last lines:\n{shown or '    (none)'}",
        )

    # -- end -----------------------------------------------------------------------------------

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda name: self._host.stop(name, stop_wait_s), names))

    def forget(self, deployment: str) -> None:
        """Nothing is left of containers that are gone."""

    # -- logs ----------------------------------------------------------------------------------

    def logs(self, deployment: ResourceId, *, lines: int, follow: bool) -> Iterator[str]:
        found = [_name_of(container) for container in self._containers(deployment.name)]
        if not found:
            remedy = "run `inferctl status`"
            raise TargetError("read the logs of", str(deployment), "there are none", remedy)
        for name in found:
            for line in self._host.last_lines(name, lines).splitlines() if lines else ():
                yield f"{name}: {line}"
        if follow:
            yield from self._host.follow(found)


_SURROUNDINGS = Surroundings(
    host="0.0.0.0",
    bin_dir=_ENVIRONMENT / "bin",
    script=PurePosixPath(SCRIPT),
    home=PurePosixPath("/"),
    inherited={"PATH": _PATH, "HOME": "/tmp"},
    fixed={"VIRTUAL_ENV": str(_ENVIRONMENT), "PYTHONDONTWRITEBYTECODE": "1"},
    has_program=lambda _name: False,  # found on its PATH
)


def _port_of(unit: Unit) -> int:
    server = server_of(unit.spec, unit.environment)
    return server.routes.scoring_route.port if server.kind == ServerKind.IMAGE else _PORT


def _folders(mounts: list[str]) -> tuple[PurePosixPath | None, PurePosixPath | None]:
    """Return where code and model are, of `volume:folder:ro`."""
    there = {PurePosixPath(mount.split(":")[1]).name: mount.split(":")[1] for mount in mounts}
    code, model = (
        PurePosixPath(there[name]) / "content" if name in there else None
        for name in ("code", "model")
    )
    return code, model


def _name_of(container: Mapping[str, Any]) -> str:
    return str(container["Names"][0]).removeprefix("/")


def _backend(labels: Mapping[str, str]) -> Backend:
    return Backend(host=labels[names.ADDRESS], port=int(labels[names.PORT]))
