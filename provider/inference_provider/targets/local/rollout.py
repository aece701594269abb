"""The way a deployment changes: start, ready, admitted, drained, stopped (design.md 5).

Every step is written down before it is taken, so that a caller killed at any moment leaves what
the next call can finish: an instance that is not admitted is a leftover, to be used or to end.
"""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx

from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError, Interrupted, NotReady, OutOfCapacity
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.ownership import is_made_again, record_of, refuse_others
from inference_provider.quoting import without_secrets
from inference_provider.router import Backend
from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.serving.environments import build_environment
from inference_provider.serving.script_check import refuse_invalid_script
from inference_provider.spec import DeploymentSpec
from inference_provider.spec.quota import gpus_per_instance, quota_fault, size_of, total
from inference_provider.targets.base import Progress
from inference_provider.targets.local.addresses import connected, instance_ports, listens
from inference_provider.targets.local.assets import (
    environment_of,
    kept_content,
    prune,
)
from inference_provider.targets.local.content import clear
from inference_provider.targets.local.endings import Endings, keeps_dying, restarts
from inference_provider.targets.local.gpus import hand_out
from inference_provider.targets.local.known import environment_secrets, instance_secrets
from inference_provider.targets.local.machine import machine_lock
from inference_provider.targets.local.routes import backend_of
from inference_provider.targets.local.runtime import Runtime, last_lines
from inference_provider.targets.local.store import Instance, Store, stores
from inference_provider.targets.local.supervisor import Program
from inference_provider.targets.local.undo import put_back_on_failure
from inference_provider.targets.loopback import loopback_client, unix_socket
from inference_provider.targets.stopping import refuse_when_stopped

READY_POLL_S = 0.05
DRAIN_SLACK_S = 2.0
LOG_LINES = 15


class Rollout:
    """Brings one deployment from what runs to what is desired."""

    def __init__(
        self, runtime: Runtime, devices: tuple[str, ...], progress: Progress, actor: Actor
    ) -> None:
        self._runtime = runtime
        self._store: Store = runtime.store
        self._devices = devices
        self._progress = progress
        self._actor = actor

    def run(self, desired: DesiredResource) -> None:
        """Serve `desired` with the wanted number of instances, and nothing else.

        Raises:
            NotReady: A new instance did not get ready; the old ones go on serving.
        """
        name = desired.id.name
        with self._store.lock(f"deployment.{name.replace('/', '.')}"):
            before = self._store.record(desired.id)
            refuse_others("update", desired, before)  # another state's may have come first
            usable = [] if is_made_again(desired, before) else self._usable(desired)
            kept = usable[: desired.spec.instance_count]
            fresh = self._start(desired, desired.spec.instance_count - len(kept))
            self._admit(desired, (*kept, *fresh))
            self._retire(desired.id, desired.spec)

    def retire_all(self, resource: ResourceId, spec: DeploymentSpec) -> None:
        """Drain and end every instance, after the router has forgotten the deployment."""
        with self._store.lock(f"deployment.{resource.name.replace('/', '.')}"):
            with self._store.lock(), self._store.without_record(resource):
                self._runtime.withdraw()
            self._retire(resource, spec)

    # -- which of those there are can stay -------------------------------------------------------

    def _usable(self, desired: DesiredResource) -> list[Instance]:
        """Return the instances of this generation that run, do not keep dying, and answer."""
        processes = self._runtime.supervisor.processes()
        endings, now = self._runtime.endings(), int(time.time() // 60)
        limit_s = _start_limit_s(desired.spec)
        same = [
            i
            for i in self._store.instances(desired.id.name)
            if i.generation == desired.generation
            and i.name in processes
            and processes[i.name].state in ("RUNNING", "STARTING")
            and not keeps_dying(restarts(endings.get(i.name, Endings()), limit_s, now))
        ]
        same.sort(key=lambda i: not i.admitted)
        usable = []
        for instance in same:
            try:
                self._wait_ready(desired, instance, self._readiness_path(desired.spec))
            except NotReady:
                continue  # the port may be another's after a reboot: a new instance replaces it
            usable.append(instance)
        return usable

    def _readiness_path(self, spec: DeploymentSpec) -> str:
        config = environment_of(self._store, spec.environment).inference_config
        return config.readiness_route.path if config else "/"

    # -- start ------------------------------------------------------------------------------------

    def _start(self, desired: DesiredResource, count: int) -> tuple[Instance, ...]:
        if count <= 0:
            return ()
        spec: DeploymentSpec = desired.spec
        environment = environment_of(self._store, spec.environment)
        venv = build_environment(
            environment,
            self._store.environments,
            lambda text: self._progress(desired.id, text),
            environment_secrets(self._store, environment),
        )
        kept = kept_content(self._store, spec, desired.base_dir)
        if spec.code_configuration and spec.code_configuration.scoring_script:
            written = spec.code_configuration.scoring_script
            script = kept["code"] / written
            refuse_invalid_script(venv / "bin" / "python", script, written, str(desired.id))
        # an own server knows no socket, and takes a port
        fresh = self._reserve(desired, count, socket=not environment.command)
        try:
            trees = [self._trees(instance, kept) for instance in fresh]
            commands = [
                instance_command(
                    spec,
                    environment,
                    venv,
                    tree.get("code"),
                    tree.get("model"),
                    instance.port,
                    self._backend(instance).socket,
                )
                for instance, tree in zip(fresh, trees, strict=True)
            ]
            for instance, command in zip(fresh, commands, strict=True):
                self._runtime.supervisor.add(self._program(desired, instance, command, kept))
            for i, (instance, command) in enumerate(zip(fresh, commands, strict=True)):
                self._wait_ready(desired, instance, command.readiness_path)
                self._progress(desired.id, f"{i + 1} of {count} new instances ready")
        except (InferenceError, KeyboardInterrupt) as stopped:
            # who interrupts waits: an instance that has not served may be killed sooner
            hurried = isinstance(stopped, Interrupted | KeyboardInterrupt)
            self._end(desired.id, {i.name for i in fresh}, stop_wait_s=0.5 if hurried else 5)
            raise
        return fresh

    def _reserve(
        self, desired: DesiredResource, count: int, *, socket: bool
    ) -> tuple[Instance, ...]:
        """Write new instances down, each with a port (or a socket) and GPUs of its own."""
        self._store.sockets_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with machine_lock():
            everywhere = [i for store in stores(self._store.root) for i in store.all_instances()]
            self._refuse_over_quota(desired)
            ports = instance_ports(self._store.root, count, {i.port for i in everywhere})
            each = gpus_per_instance(desired.spec)
            gpus = self._gpus(desired, everywhere, each * count)
            there = self._store.instances(desired.id.name)
            numbers = self._free_numbers(desired, there, count)
            fresh = tuple(
                Instance(
                    name=f"{desired.id.name.replace('/', '.')}.{desired.generation}.{number}",
                    generation=desired.generation,
                    port=port,
                    gpus=gpus[i * each : (i + 1) * each],
                    socket=socket,
                )
                for i, (number, port) in enumerate(zip(numbers, ports, strict=True))
            )
            self._store.save_instances(desired.id.name, (*there, *fresh))
        return fresh

    def _gpus(
        self, desired: DesiredResource, everywhere: list[Instance], wanted: int
    ) -> tuple[str, ...]:
        if not wanted:
            return ()
        mine = {i.name for i in self._store.instances(desired.id.name)}
        holders = {uuid: i.name for i in everywhere for uuid in i.gpus}
        try:
            return hand_out(wanted, self._devices, holders, str(desired.id))
        except OutOfCapacity:
            # With no GPU to spare a new generation starts on those of the old, which ends soon:
            # both fit or the new one fails its readiness, and the old one goes on.
            others = {uuid: name for uuid, name in holders.items() if name not in mine}
            return hand_out(wanted, self._devices, others, str(desired.id))

    def _refuse_over_quota(self, desired: DesiredResource) -> None:
        records = self._store.records()
        quotas = [r.properties["quota"] for r in records if r.id.kind == Kind.WORKSPACE]
        others = [
            (DeploymentSpec.model_validate(self._store.blueprint(r.id.name)))
            for r in records
            if r.id.kind == Kind.DEPLOYMENT and r.id != desired.id
        ]
        taken = total(size_of(spec) for spec in (*others, desired.spec))
        exceeded = quota_fault(taken, quotas[0]) if quotas else None
        if exceeded:
            field, reason = exceeded
            remedy = f"raise quota.{field}, or scale another deployment in"
            raise OutOfCapacity("start", str(desired.id), reason, remedy)

    @staticmethod
    def _free_numbers(
        desired: DesiredResource, there: tuple[Instance, ...], count: int
    ) -> list[int]:
        used = {i.name.rsplit(".", 1)[1] for i in there if i.generation == desired.generation}
        free = (number for number in range(len(used) + count) if str(number) not in used)
        return [next(free) for _ in range(count)]

    def _trees(self, instance: Instance, kept: Mapping[str, Path]) -> dict[str, Path]:
        """Return where an instance finds its content, by `code` and `model`."""
        return {name: self._store.running(instance.name) / name for name in kept}

    def _program(
        self,
        desired: DesiredResource,
        instance: Instance,
        command: InstanceCommand,
        kept: Mapping[str, Path],
    ) -> Program:
        environment = {k: v.get_secret_value() for k, v in command.environment.items()}
        # An instance without GPUs sees none: sharing must be asked for.
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(instance.gpus)
        timeout_ms = desired.spec.request_settings.request_timeout_ms
        return Program(
            name=instance.name,
            argv=command.argv,
            environment=environment,
            directory=command.directory,
            content={str(self._trees(instance, kept)[name]): str(kept[name]) for name in kept},
            log=str(self._store.log_path(desired.id.name, instance.name)),
            stop_wait_s=timeout_ms // 1000 + 5,
        )

    def _wait_ready(self, desired: DesiredResource, instance: Instance, path: str) -> None:
        probe, started = desired.spec.readiness_probe, time.monotonic()
        limit_s = _start_limit_s(desired.spec)
        backend = self._backend(instance)
        url = f"http://{backend.host}:{backend.port}{path}"
        transport = unix_socket(backend.socket) if backend.socket else None
        first_pid = 0
        with loopback_client(timeout_s=probe.timeout, transport=transport) as client:
            while True:
                refuse_when_stopped("start", str(desired.id))
                answers = _answers(client, url)
                process = self._runtime.supervisor.process(instance.name)
                state = process.state if process else "gone"
                pid = process.pid if process else 0
                if answers and listens(pid, backend):
                    return
                restarted = bool(first_pid and pid and pid != first_pid)
                first_pid = first_pid or pid
                if restarted or state in ("BACKOFF", "FATAL", "EXITED", "gone"):
                    raise self._not_ready(
                        desired, instance, "its process ended before it was ready"
                    )
                if time.monotonic() > started + limit_s:
                    waited = f"GET {path} did not answer 200 to 399 within {limit_s} s"
                    raise self._not_ready(desired, instance, waited)
                time.sleep(READY_POLL_S)

    def _not_ready(self, desired: DesiredResource, instance: Instance, reason: str) -> NotReady:
        log = self._store.log_path(desired.id.name, instance.name)
        environment = environment_of(self._store, desired.spec.environment)
        secrets = instance_secrets(self._store, desired, environment)
        last = without_secrets(last_lines(log, LOG_LINES), secrets)
        shown = "\n".join(f"    {line[:300]}" for line in last.splitlines())
        return NotReady(
            "start",
            str(desired.id),
            f"instance {instance.name}: {reason}",
            f"fix the cause and run this again; the last lines of its log, {log}:\n"
            f"{shown or '    (none)'}",
        )

    # -- admit ------------------------------------------------------------------------------------

    def _admit(self, desired: DesiredResource, serving: tuple[Instance, ...]) -> None:
        """Let the router send requests to `serving` alone; undone when it refuses."""
        names = {i.name for i in serving}
        spec: DeploymentSpec = desired.spec
        with self._store.lock():
            old_record = self._store.record(desired.id)
            old_instances = self._store.instances(desired.id.name)
            now = tuple(i.model_copy(update={"admitted": i.name in names}) for i in old_instances)
            record = record_of(desired, old_record, self._actor, datetime.now(UTC))
            try:
                with put_back_on_failure(self._store, desired.id):
                    self._store.save_instances(desired.id.name, now)
                    # before the record: who counts a quota in this moment reads each blueprint
                    self._store.save_blueprint(desired.id.name, clear_spec(spec))
                    self._store.save_placeholders(desired.id, desired.placeholders)
                    self._store.save_record(record)
                    self._runtime.converge()
            except InferenceError:
                self._end(desired.id, names - {i.name for i in old_instances if i.admitted})
                raise
        self._runtime.router.wait_healthy({desired.id.name: len(serving)})
        self._progress(desired.id, f"{counted(len(serving), 'instance')} admitted by the router")

    # -- drain and stop ---------------------------------------------------------------------------

    def _retire(self, resource: ResourceId, spec: DeploymentSpec) -> None:
        recorded = self._store.record(resource) is not None  # without it none is to serve
        there = self._store.instances(resource.name)
        stale = [i for i in there if not (recorded and i.admitted)]
        if not stale:
            return
        timeout_s = spec.request_settings.request_timeout_ms / 1000
        wait_until_unconnected([self._backend(i) for i in stale], timeout_s + DRAIN_SLACK_S)
        self._end(resource, {i.name for i in stale}, stop_wait_s=timeout_s + 10)
        prune(self._store)
        self._progress(resource, f"{counted(len(stale), 'old instance')} drained and stopped")

    def _end(self, resource: ResourceId, names: set[str], stop_wait_s: float = 30.0) -> None:
        """Stop instances, all at once, and cross them out."""
        self._runtime.supervisor.remove(*names, stop_wait_s=stop_wait_s)
        there = self._store.instances(resource.name)
        for instance in there:
            if instance.name in names:
                clear(self._store.running(instance.name))
                if instance.socket:  # a killed server leaves it
                    Path(self._backend(instance).socket).unlink(missing_ok=True)
        self._store.save_instances(resource.name, tuple(i for i in there if i.name not in names))

    def _backend(self, instance: Instance) -> Backend:
        return backend_of(self._store, instance)


def _start_limit_s(spec: DeploymentSpec) -> int:
    return spec.readiness_probe.initial_delay + spec.start_timeout_s


def counted(count: int, noun: str) -> str:
    """Write a number of things: `1 instance`, `2 instances`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def clear_spec(spec: DeploymentSpec) -> dict[str, object]:
    """Dump a spec with its secrets in clear, for a 0600 file."""
    plain = spec.model_dump(mode="json")
    secrets = spec.environment_variables
    plain["environment_variables"] = {k: v.get_secret_value() for k, v in secrets.items()}
    return plain


def wait_until_unconnected(backends: Collection[Backend], timeout_s: float) -> None:
    """Wait until no connection to these backends is left, at most `timeout_s`.

    The router closes its connections to an instance once their requests have ended, so this is
    the moment at which nothing is in flight; no stat of the router tells it per instance.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and connected(backends):
        time.sleep(0.05)


def _answers(client: httpx.Client, url: str) -> bool:
    """Whether a readiness route says ready: 200 to 399, as on Kubernetes and in the router."""
    try:
        answer = client.get(url)  # where it sends to is not asked
        return answer.is_success or answer.is_redirect
    except httpx.TransportError:
        return False
