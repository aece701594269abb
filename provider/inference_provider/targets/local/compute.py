"""Instances as programs of supervisord: the Compute of a workspace of this machine.

An instance is recorded before it starts, with its port and GPUs, so the next call can finish what a
killed caller left.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from inference_provider.gpus import Gpu, hand_out
from inference_provider.observed import ResourceId
from inference_provider.router.table import Backend
from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.serving.environments import build_environment
from inference_provider.serving.script_check import refuse_invalid_script
from inference_provider.serving.server import server_of
from inference_provider.spec.quota import gpus_of
from inference_provider.targets import starting
from inference_provider.targets.envoy.table_file import TableFile
from inference_provider.targets.event_log import EventLog, log_of
from inference_provider.targets.local import closed
from inference_provider.targets.local.addresses import instance_ports, listens
from inference_provider.targets.local.assets import Assets
from inference_provider.targets.local.awaited import Awaited
from inference_provider.targets.local.closed import Closed
from inference_provider.targets.local.content import clear
from inference_provider.targets.local.credentials import first_values
from inference_provider.targets.local.ends import read_endings
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.instances import Instance, Instances, held
from inference_provider.targets.local.logs import last_lines, read_logs
from inference_provider.targets.local.machine import machine_lock
from inference_provider.targets.local.supervisor import FILES_GONE, ProcessState, Supervisor
from inference_provider.targets.local.supervisor_text import Program
from inference_provider.targets.local.surroundings import surroundings
from inference_provider.workspace import statuses
from inference_provider.workspace.endings import Endings
from inference_provider.workspace.logged import LogLine, LogQuery
from inference_provider.workspace.ports import MakeRoom, Progress, Unit, side_by_side, silent
from inference_provider.workspace.statuses import ComputeStatus, Event, InstanceStatus

UNSUPERVISED = "unsupervised: supervisord does not run"


class LocalCompute:
    """Instances of one workspace."""

    replaces_instances = False

    def __init__(
        self,
        folders: Folders,
        instances: Instances,
        supervisor: Supervisor,
        assets: Assets,
        *,
        closed: Closed,
        devices: Callable[[], tuple[Gpu, ...]],
    ) -> None:
        """Run instances; `devices` returns this machine's GPUs."""
        self._folders = folders
        self._instances = instances
        self._supervisor = supervisor
        self._assets = assets
        self._closed = closed
        self._devices = devices
        self._checking = threading.Lock()
        self._checked: set[tuple[Path, Path]] = set()
        """Interpreters and scripts; kept code lies under the hash of its content."""
        self._addresses: dict[str, tuple[tuple[Instance, ...], tuple[statuses.Instance, ...]]] = {}

    # -- what there is -------------------------------------------------------------------------

    def instances(self, deployment: str = "") -> Mapping[str, tuple[statuses.Instance, ...]]:
        del deployment
        programs = self._supervisor.names()  # before the documents, which name each first
        documents = self._instances.by_deployment()
        found = {name: self._addressed(name, documents[name]) for name in documents}
        named = {i.name for instances in documents.values() for i in instances}
        for program in programs:
            if "." in program and program not in named:
                self._add_lost(program, found)
        return found

    def _add_lost(self, program: str, found: dict[str, tuple[statuses.Instance, ...]]) -> None:
        """Add an instance whose document is corrupt or gone; it serves on where it did."""
        start, generation, _ = program.rsplit(".", 2)
        deployment = start.replace(".", "/", 1)
        there = found.get(deployment, ())
        known = {backend for instance in there for backend in instance.backends}
        left = tuple(b for b in self._in_force(deployment) if b not in known)
        found[deployment] = (*there, statuses.Instance(program, generation, left))

    def _in_force(self, deployment: str) -> tuple[Backend, ...]:
        """Return where the router sends a deployment's requests."""
        known = TableFile(self._folders.router_folder).last()
        found = (
            entry.backends
            for endpoint in (known.table.endpoints if known else ())
            for entry in endpoint.deployments
            if f"{endpoint.name}/{entry.name}" == deployment
        )
        return next(found, ())

    def _addressed(
        self, deployment: str, instances: tuple[Instance, ...]
    ) -> tuple[statuses.Instance, ...]:
        """Return the same object while the instances are the same, to make comparing cheap."""
        known = self._addresses.get(deployment)
        if known is None or known[0] is not instances:
            found = tuple(
                statuses.Instance(i.name, i.generation, (self._instances.backend(i),))
                for i in instances
            )
            known = self._addresses[deployment] = instances, found
        return known[1]

    def status(self, deployment: str = "") -> ComputeStatus:
        del deployment  # all are known by one request
        processes = self._supervisor.processes()
        endings, wanted = read_endings(self._supervisor.ends_file), self._closed.wanted()
        found = {
            name: tuple(self._status_of(i, processes, endings, wanted.get(name)) for i in instances)
            for name, instances in self._instances.by_deployment().items()
        }
        return ComputeStatus(
            instances=found,
            faults=self._instances.faults(),
            unsupervised="" if processes else UNSUPERVISED,
        )

    def _status_of(
        self,
        instance: Instance,
        processes: Mapping[str, ProcessState],
        endings: Mapping[str, Endings],
        wanted: closed.Wanted | None,
    ) -> InstanceStatus:
        process = processes.get(instance.name)
        ended = endings.get(instance.name, Endings())
        runs = process is not None and process.runs and not self._is_lost(instance, process)
        answers = process is not None and (
            not ended.total or listens(process.pid, self._instances.backend(instance))
        )
        fault = closed.fault(instance, process.pid if process else 0, wanted)
        if process is not None and not self._supervisor.can_start_again(instance.name):
            fault = fault or FILES_GONE
        return InstanceStatus(
            name=instance.name,
            generation=instance.generation,
            runs=runs,
            answers=answers,
            endings=ended,
            fault=fault,
        )

    def _is_lost(self, instance: Instance, process: ProcessState) -> bool:
        """Whether an instance lost its socket file, and so cannot be reached."""
        backend = self._instances.backend(instance)
        gone = bool(backend.socket) and not Path(backend.socket).exists()
        return gone and listens(process.pid, backend)

    # -- start ---------------------------------------------------------------------------------

    def ensure(
        self,
        unit: Unit,
        count: int,
        progress: Progress = silent,
        make_room: MakeRoom = side_by_side,
    ) -> tuple[str, ...]:
        return starting.ensure(self, unit, count, progress, make_room)

    def found(self, unit: Unit) -> tuple[InstanceStatus, ...]:
        deployment = unit.id.name
        processes = self._supervisor.processes()
        endings = read_endings(self._supervisor.ends_file)
        wanted = self._closed.wanted(deployment).get(deployment)
        there = self._instances.of(deployment)
        return tuple(self._status_of(one, processes, endings, wanted) for one in there)

    def begin(
        self, unit: Unit, count: int, kept: Collection[str], progress: Progress, begun: list[str]
    ) -> None:
        venv = build_environment(
            unit.environment,
            self._folders.environments,
            lambda text: progress(unit.id, text),
            unit.secrets,
        )
        content = self._assets.kept_content(unit.spec, unit.base_dir)
        server = server_of(unit.spec, unit.environment)
        if server.script:
            self._check_script(unit, venv / "bin" / "python", content["code"], server.script)
        fresh = self._reserve(unit, count, kept, begun)
        commands = [self._command(unit, i, venv, self._trees(i, content)) for i in fresh]
        for instance, command in zip(fresh, commands, strict=True):
            self._supervisor.add(self._program(unit, instance, command, content))

    def _check_script(self, unit: Unit, python: Path, code: Path, script: str) -> None:
        """Compile a script, once for all deployments that bring the same code."""
        known = (python, code / script)
        with self._checking:
            if known not in self._checked:
                refuse_invalid_script(python, code / script, script, str(unit.id))
                self._checked.add(known)

    def _end_forgotten(self, names: Collection[str], stop_wait_s: float = 5) -> None:
        """End those programs of which no document says any more that they are there."""
        forgotten = set(self._supervisor.names()).intersection(names)
        if forgotten:
            self._supervisor.remove(*forgotten, stop_wait_s=stop_wait_s)
            for name in forgotten:
                clear(self._folders.running(name))

    def _reserve(
        self, unit: Unit, count: int, kept: Collection[str], begun: list[str]
    ) -> tuple[Instance, ...]:
        """Record new instances, each with its own port (or socket) and GPUs."""
        self._folders.sockets_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with machine_lock():
            everywhere = self._instances.everywhere()
            recorded = {i.port for instances in everywhere.values() for i in instances}
            ports = instance_ports(self._folders.root, count, recorded | self._sockets())
            there = self._instances.of(unit.id.name)
            leaving = {i.name for i in there} - {*kept}
            gpus = self._gpus(unit, count, everywhere, leaving)
            is_closed = unit.spec in self._closed
            server = server_of(unit.spec, unit.environment)
            fresh = tuple(
                Instance(
                    name=f"{unit.id.name.replace('/', '.')}.{unit.generation}.{number}",
                    generation=unit.generation,
                    port=port,
                    gpus=gpus[i],
                    gpu_share=unit.spec.resources.gpu_share or "",
                    socket=is_closed or server.uses_socket,
                    let_out=is_closed and self._closed.lets_out(),
                    liveness_path=server.liveness_path,
                )
                for i, (number, port) in enumerate(
                    zip(self._free_numbers(unit, there, count), ports, strict=True)
                )
            )
            begun += [i.name for i in fresh]
            self._instances.save(unit.id.name, (*there, *fresh))
        return fresh

    def _sockets(self) -> set[int]:
        """Return the ports that name a socket: an instance whose document is lost may serve on."""
        files = self._folders.sockets_folder.iterdir()
        return {int(file.name) for file in files if file.name.isdecimal()}

    def _free_numbers(self, unit: Unit, there: tuple[Instance, ...], count: int) -> list[int]:
        """Return numbers of which no instance has one, not even one whose document is lost."""
        start = f"{unit.id.name.replace('/', '.')}.{unit.generation}."
        names = {*self._supervisor.names(), *(i.name for i in there)}
        used = {name.removeprefix(start) for name in names if name.startswith(start)}
        free = (number for number in range(len(used) + count) if str(number) not in used)
        return [next(free) for _ in range(count)]

    def _gpus(
        self,
        unit: Unit,
        count: int,
        everywhere: Mapping[str, tuple[Instance, ...]],
        leaving: Collection[str],
    ) -> list[tuple[str, ...]]:
        asked = gpus_of(unit.spec)
        if asked is None:
            return [()] * count
        there = held(self._devices(), everywhere)
        return hand_out(asked, count, there, str(unit.id), leaving, unit.gpus)

    def _command(
        self, unit: Unit, instance: Instance, venv: Path, trees: Mapping[str, Path]
    ) -> InstanceCommand:
        at = self._instances.backend(instance)
        return instance_command(
            unit.spec,
            unit.environment,
            surroundings(venv, at.host, self._closed.variables(unit.spec)),
            code_dir=trees.get("code"),
            model_dir=trees.get("model"),
            port=at.port,
            socket=at.socket,
        )

    def _trees(self, instance: Instance, kept: Mapping[str, Path]) -> dict[str, Path]:
        """Return where an instance finds its content, by `code` and `model`."""
        return {name: self._folders.running(instance.name) / name for name in kept}

    def _program(
        self,
        unit: Unit,
        instance: Instance,
        command: InstanceCommand,
        kept: Mapping[str, Path],
    ) -> Program:
        environment = {name: one.get_secret_value() for name, one in command.environment.items()}
        # An instance without GPUs must see none, or it would use those of others.
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(instance.gpus)
        timeout_ms = unit.spec.request_settings.request_timeout_ms
        folder = self._folders.folder
        return Program(
            name=instance.name,
            argv=command.argv,
            environment=environment,
            directory=command.directory,
            content={str(self._trees(instance, kept)[name]): str(kept[name]) for name in kept},
            connections=str(folder) if unit.injected else "",
            first_values=first_values(
                folder,
                instance.name,
                {name: value.get_secret_value() for name, value in unit.injected.items()},
            ),
            network=self._closed.passages(unit, self._instances.backend(instance)),
            log=str(self._folders.log_path(unit.id.name, instance.name)),
            stop_wait_s=timeout_ms // 1000 + 5,
        )

    def awaited(self, unit: Unit, name: str) -> Awaited:
        [instance] = (i for i in self._instances.of(unit.id.name) if i.name == name)
        return Awaited(unit, name, self._instances.backend(instance), self._supervisor)

    def last_lines(self, unit: Unit, name: str) -> tuple[str, str]:
        log = self._folders.log_path(unit.id.name, name)
        return f"the last lines of its log, {log}", last_lines(log, starting.LOG_LINES)

    # -- end -----------------------------------------------------------------------------------

    def retire(self, deployment: str, names: Collection[str], stop_wait_s: float) -> None:
        there = [i for i in self._instances.of(deployment) if i.name in names]
        self._end_forgotten({*names} - {i.name for i in there}, stop_wait_s)
        if there:
            self._end(deployment, there, stop_wait_s)

    def _end(self, deployment: str, instances: Collection[Instance], stop_wait_s: float) -> None:
        """Stop instances, all at once, and delete their entries."""
        names = {i.name for i in instances}
        self._supervisor.remove(*names, stop_wait_s=stop_wait_s)
        for instance in instances:
            clear(self._folders.running(instance.name))
            if instance.socket:  # a killed server leaves its socket
                Path(self._instances.backend(instance).socket).unlink(missing_ok=True)
        self._instances.cross_out(deployment, names)

    # -- logs ----------------------------------------------------------------------------------

    def scale_in(self, unit: Unit, count: int, stop_wait_s: float) -> int:
        """None: each instance is retired by its name."""
        return 0

    def forget(self, deployment: str) -> None:
        self._instances.save(deployment, ())
        # a program without its log's folder would keep supervisord from reading any other
        start = f"{deployment.replace('/', '.')}."
        self._end_forgotten([n for n in self._supervisor.names() if n.startswith(start)])
        clear(self._log_folder(deployment))

    def _log_folder(self, deployment: str) -> Path:
        return self._folders.log_path(deployment, "any").parent

    def logs(self, deployment: ResourceId, query: LogQuery) -> Iterator[LogLine]:
        starting.refuse_container(deployment, query)
        return read_logs(self._log_folder(deployment.name), str(deployment), query)

    def events(self) -> Iterator[Event]:
        for event in EventLog(log_of(self._folders.folder)).read():
            with suppress(ValueError):  # of a newer release, or half there
                yield Event.model_validate(event)
