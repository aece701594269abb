"""The local target: a workspace is a folder with one supervisord in it.

apply, delete and observe of the protocol, one method a kind; the work is done in `rollout.py`
(instances), `removal.py` (deletions), `runtime.py` (supervisord and router), `assets.py` (content),
`store.py` (files).
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from inference_provider.compare import compare
from inference_provider.desired import DesiredResource
from inference_provider.errors import (
    CapabilityMissing,
    InferenceError,
    OutOfCapacity,
    TargetError,
)
from inference_provider.observed import (
    Actor,
    Claim,
    JournalEntry,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
    ResourceId,
)
from inference_provider.ownership import (
    is_superseded,
    owned_by_another,
    record_of,
    refuse_others,
    without_older,
)
from inference_provider.plan import TargetCapabilities, refusals
from inference_provider.serving.environments import build_environment
from inference_provider.spec import DeploymentSpec
from inference_provider.targets.base import KEPT, Progress, silent
from inference_provider.targets.local import assets, observe
from inference_provider.targets.local.addresses import address_fault, choose_address
from inference_provider.targets.local.first_up import delete_unrecorded, first_up, unrecorded
from inference_provider.targets.local.gpus import discover_gpus
from inference_provider.targets.local.logs import read_logs
from inference_provider.targets.local.machine import machine_lock
from inference_provider.targets.local.removal import Removal
from inference_provider.targets.local.rollout import Rollout
from inference_provider.targets.local.runtime import Runtime
from inference_provider.targets.local.store import (
    Store,
    state_folder,
    stores,
)
from inference_provider.targets.local.undo import put_back_on_failure


class LocalTarget:
    """Runs workspaces as processes of this machine."""

    def __init__(
        self, state_dir: Path, gpus: Callable[[], tuple[str, ...]] = discover_gpus
    ) -> None:
        self._root = state_dir
        self._gpus = gpus()
        self._runtimes: dict[str, Runtime] = {}
        self.capabilities = TargetCapabilities(
            name="local",
            gpu_count=len(self._gpus),
            address_fault=address_fault,
            process_bytes=min(os.sysconf("SC_ARG_MAX"), 6 * 2**20),
        )

    @classmethod
    def open(cls, state_dir: Path | None = None) -> "LocalTarget":
        """Open the state folder: the argument, `$INFERENCE_STATE_DIR`, or the user's own."""
        folder = (state_dir or state_folder()).resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            reason, remedy = fault.strerror or str(fault), "set INFERENCE_STATE_DIR to another"
            raise TargetError("make", "the state folder", reason, remedy, str(folder)) from fault
        return cls(folder)

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of the workspaces of this machine."""
        written = [store.workspace for store in stores(self._root)]
        return tuple(sorted({*written, *unrecorded(self._root)}))

    @contextmanager
    def hold(self, workspaces: Iterable[str], actor: Actor) -> Iterator[None]:
        with ExitStack() as stack:
            for name in sorted(set(workspaces)):
                stack.enter_context(Store(self._root, name).hold(actor))
            yield

    def _runtime(self, workspace: str) -> Runtime:
        if workspace not in self._runtimes:
            self._runtimes.setdefault(workspace, Runtime(Store(self._root, workspace)))
        return self._runtimes[workspace]

    # -- observe --------------------------------------------------------------------------------

    def observe(self, workspaces: Iterable[str]) -> ObservedState:
        resources: dict[str, ObservedResource] = {}
        journal: list[JournalEntry] = []
        for name in workspaces:
            runtime = self._runtime(name)
            if not runtime.store.exists:
                continue
            sight = observe.look(runtime)
            for record in runtime.store.records():
                resources[record.id.address] = observe.observed(runtime, record, sight)
            journal.extend(runtime.store.journal())
        return ObservedState(resources=resources, journal=tuple(journal))

    def observe_one(self, resource: ResourceId) -> ObservedResource:
        runtime = self._runtime(resource.workspace)
        try:
            record = runtime.store.record(resource) if runtime.store.exists else None
        except OSError as fault:
            return ObservedResource(
                id=resource, presence=Presence.UNKNOWN, reason=fault.strerror or "unreadable"
            )
        if record is None:
            return ObservedResource(id=resource, presence=Presence.ABSENT)
        # a file tells all of a model, an environment or an endpoint
        sight = observe.look(runtime) if resource.kind in observe.RUNNING else observe.Sight()
        return observe.observed(runtime, record, sight)

    def holds(self, kind: Kind, workspace: str, pinned: str) -> bool:
        return assets.holds(self._runtime(workspace).store, kind, pinned)

    def record(self, resource: ResourceId) -> Record | None:
        store = self._runtime(resource.workspace).store
        return store.record(resource) if store.exists else None

    # -- apply ----------------------------------------------------------------------------------

    def apply(
        self, desired: DesiredResource, actor: Actor, progress: Progress = silent
    ) -> ObservedResource:
        refused = refusals([desired], self.capabilities)
        if refused:
            raise CapabilityMissing("apply", str(desired.id), "; ".join(map(str, refused)))
        runtime = self._runtime(desired.id.workspace)
        if desired.id.kind != Kind.WORKSPACE:
            _ = runtime.address  # refuses a workspace that is not there
        before = self.record(desired.id)
        refuse_others("update", desired, before)
        {
            Kind.WORKSPACE: self._apply_workspace,
            Kind.MODEL: self._apply_model,
            Kind.ENVIRONMENT: self._apply_environment,
            Kind.ENDPOINT: self._apply_endpoint,
            Kind.DEPLOYMENT: self._apply_deployment,
            Kind.TRAFFIC: self._apply_traffic,
        }[desired.id.kind](runtime, desired, actor, progress)
        self._journal(runtime, desired, before, actor)
        return self.observe_one(desired.id)

    def _journal(
        self, runtime: Runtime, desired: DesiredResource, before: Record | None, actor: Actor
    ) -> None:
        old, new = before.properties if before else {}, desired.properties
        changes = compare(desired.id.kind, old, new, desired.placeholders) if before else ()
        fields = tuple(change.path for change in changes)
        self._note(runtime, desired.id, actor, "update" if before else "create", fields)

    @staticmethod
    def _note(
        runtime: Runtime,
        resource: ResourceId,
        actor: Actor,
        action: str,
        fields: tuple[str, ...] = (),
    ) -> None:
        entry = JournalEntry(
            time=datetime.now(UTC), actor=actor, action=action, id=resource, fields=fields
        )
        with suppress(OutOfCapacity):  # what is done is done, and a deletion frees some
            runtime.store.append_journal(entry)

    def _save(self, runtime: Runtime, desired: DesiredResource, actor: Actor) -> None:
        runtime.store.save_placeholders(desired.id, desired.placeholders)
        before = runtime.store.record(desired.id)
        runtime.store.save_record(record_of(desired, before, actor, datetime.now(UTC)))

    def _save_and_converge(self, runtime: Runtime, desired: DesiredResource, actor: Actor) -> None:
        """Record a change and let the router serve it; undone when the router refuses."""
        with runtime.store.lock(), put_back_on_failure(runtime.store, desired.id):
            self._save(runtime, desired, actor)
            runtime.converge()

    def _apply_workspace(
        self, runtime: Runtime, desired: DesiredResource, actor: Actor, progress: Progress
    ) -> None:
        with first_up(runtime, desired.spec) as is_first:
            if is_first:
                self._save_and_converge(runtime, desired, actor)
        if not is_first:
            self._change_workspace(runtime, desired, actor)
        progress(desired.id, f"router ready on port {runtime.address.port}")

    def _change_workspace(self, runtime: Runtime, desired: DesiredResource, actor: Actor) -> None:
        store, spec = runtime.store, desired.spec
        before = store.address()
        if before is None:  # its file was lost, or moved away
            with machine_lock():
                chosen = choose_address(self._root, spec.bind_address, spec.router_port)
                store.save_address(chosen)
        elif before.host != spec.bind_address:
            store.save_address(before.model_copy(update={"host": spec.bind_address}))
        try:
            runtime.ensure_up()
            self._save_and_converge(runtime, desired, actor)
        except InferenceError:
            if before:
                store.save_address(before)  # every later change would meet the same refusal
            else:
                store.drop_address()
            raise

    def _apply_model(
        self, runtime: Runtime, desired: DesiredResource, actor: Actor, progress: Progress
    ) -> None:
        assets.keep_model(runtime.store, desired.spec, desired.base_dir)
        self._save(runtime, desired, actor)
        progress(desired.id, "kept")

    def _apply_environment(
        self, runtime: Runtime, desired: DesiredResource, actor: Actor, progress: Progress
    ) -> None:
        build_environment(
            desired.spec,
            runtime.store.environments,
            lambda text: progress(desired.id, text),
            desired.placeholders,
        )
        assets.keep_environment(runtime.store, desired.spec)
        self._save(runtime, desired, actor)
        progress(desired.id, "built")

    def _apply_endpoint(
        self, runtime: Runtime, desired: DesiredResource, actor: Actor, progress: Progress
    ) -> None:
        runtime.ensure_up()
        if runtime.store.keys(desired.id.name) is None:
            runtime.store.save_keys(desired.id.name, (_new_key(), _new_key()))
        self._save_and_converge(runtime, desired, actor)
        progress(desired.id, "served")

    def _apply_deployment(
        self, runtime: Runtime, desired: DesiredResource, actor: Actor, progress: Progress
    ) -> None:
        endpoint = ResourceId(
            kind=Kind.ENDPOINT, workspace=desired.id.workspace, name=desired.spec.endpoint
        )
        if runtime.store.record(endpoint) is None:
            raise TargetError(
                "create", str(desired.id), f"{endpoint} is not there", "declare it first"
            )
        assets.keep_code(runtime.store, desired.spec, desired.base_dir)
        runtime.ensure_up()
        Rollout(runtime, self._gpus, progress, actor).run(desired)

    def _apply_traffic(
        self, runtime: Runtime, desired: DesiredResource, actor: Actor, progress: Progress
    ) -> None:
        shares = {**desired.spec.traffic, **desired.spec.mirror_traffic}
        for name, share in shares.items():
            deployment = ResourceId(
                kind=Kind.DEPLOYMENT,
                workspace=desired.id.workspace,
                name=f"{desired.id.name}/{name}",
            )
            if share and runtime.store.record(deployment) is None:
                raise TargetError(
                    "split",
                    str(desired.id),
                    f"{deployment} is not there",
                    "create it first (in a Pulumi program: name it in depends_on)",
                )
        runtime.ensure_up()
        self._save_and_converge(runtime, desired, actor)
        split = observe.split_text(desired.spec.traffic, desired.spec.mirror_traffic)
        progress(desired.id, split)

    # -- delete ---------------------------------------------------------------------------------

    def delete(
        self,
        resource: ResourceId,
        owner: str,
        actor: Actor,
        progress: Progress = silent,
        incarnation: str | None = None,
    ) -> None:
        runtime, record = self._runtime(resource.workspace), self.record(resource)
        if record is None:
            if resource.kind == Kind.WORKSPACE:
                delete_unrecorded(runtime)
            return
        if incarnation is not None and is_superseded(record, incarnation):
            claim = without_older(record, incarnation)
            if claim:
                self.transfer(resource, record.owner, actor, claim)
            progress(resource, KEPT)
            return
        if record.owner != owner:
            raise owned_by_another("delete", resource, record, owner)
        Removal(runtime, Rollout(runtime, self._gpus, progress, actor)).run(record)
        if resource.kind != Kind.WORKSPACE:  # whose journal went with its folder
            self._note(runtime, resource, actor, "delete")
        progress(resource, "deleted")

    # -- operations -----------------------------------------------------------------------------

    def transfer(
        self, resource: ResourceId, owner: str, actor: Actor, claim: Claim | None = None
    ) -> None:
        store = self._runtime(resource.workspace).store
        with store.lock():
            record = self.record(resource)
            if record is None:
                return
            store.save_record(record.model_copy(update={"owner": owner, "claim": claim}))
        self._note(self._runtime(resource.workspace), resource, actor, "transfer")

    def rotate_key(self, endpoint: ResourceId, which: str, actor: Actor) -> ObservedResource:
        runtime = self._runtime(endpoint.workspace)
        self._keys(runtime, endpoint)  # refuses an endpoint that is not there, before a start
        runtime.ensure_up()
        with runtime.store.lock():
            keys = self._keys(runtime, endpoint)
            fresh = (_new_key(), keys[1]) if which == "primary" else (keys[0], _new_key())
            runtime.store.save_keys(endpoint.name, fresh)
            try:
                runtime.converge()
            except InferenceError:
                runtime.store.save_keys(endpoint.name, keys)
                raise
        self._note(runtime, endpoint, actor, f"rotate {which} key")
        return self.observe_one(endpoint)

    @staticmethod
    def _keys(runtime: Runtime, endpoint: ResourceId) -> tuple[SecretStr, SecretStr]:
        keys = runtime.store.keys(endpoint.name)
        if keys is None:
            raise TargetError("rotate the key of", str(endpoint), "it is not there", "declare it")
        return keys

    def start(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        """Bring back all that is recorded, after a stop, a crash or a reboot."""
        runtime = self._runtime(workspace)
        runtime.ensure_up()
        self._note(runtime, _workspace_id(workspace), actor, "start")
        progress(_workspace_id(workspace), "router up")
        rollout = Rollout(runtime, self._gpus, progress, actor)
        for record in runtime.store.records():
            blueprint: dict[str, Any] | None = runtime.store.blueprint(record.id.name)
            if record.id.kind == Kind.DEPLOYMENT and blueprint:
                spec = DeploymentSpec.model_validate(blueprint)
                desired = DesiredResource(id=record.id, spec=spec, owner=record.owner)
                secrets = runtime.store.placeholders(record.id)
                rollout.run(desired.model_copy(update={"placeholders": secrets}))

    def stop(self, workspace: str, actor: Actor, progress: Progress = silent) -> None:
        runtime = self._runtime(workspace)
        _ = runtime.address
        runtime.shut_down()
        self._note(runtime, _workspace_id(workspace), actor, "stop")
        progress(_workspace_id(workspace), "stopped")

    def _log_folder(self, deployment: ResourceId) -> Path:
        return self._runtime(deployment.workspace).store.log_path(deployment.name, "any").parent

    def has_logs(self, deployment: ResourceId) -> bool:
        return any(self._log_folder(deployment).glob("*.log"))

    def logs(
        self, deployment: ResourceId, *, lines: int = 100, follow: bool = False
    ) -> Iterator[str]:
        folder = self._log_folder(deployment)
        return read_logs(folder, str(deployment), lines=lines, follow=follow)


def _workspace_id(name: str) -> ResourceId:
    return ResourceId(kind=Kind.WORKSPACE, workspace=name, name=name)


def _new_key() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(32))
