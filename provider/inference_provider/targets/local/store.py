"""The state folder of the local target: records, journal, keys, instances, locks.

Goes in and comes out: the models of `observed.py` and Instance. Files that hold keys or secrets
are 0600 in folders of 0700; each is written beside and renamed, so a reader or a crash never sees
half of one. Processes are other modules' work.

    <root>/environments/                 virtual environments, by content hash, for all workspaces
    <root>/workspaces/<workspace>/
        workspace.json                   router's address, chosen once
        records/  journal.jsonl          what was applied last, by whom
        keys/  blueprints/  placeholders/  instances/   secrets in clear, 0600
        assets/  running/  logs/  router/  supervisor/
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import platformdirs
from filelock import FileLock, Timeout
from pydantic import SecretStr, TypeAdapter, ValidationError

from inference_provider.errors import Busy, OutOfCapacity, TargetError
from inference_provider.observed import Actor, Frozen, JournalEntry, Kind, Record, ResourceId
from inference_provider.secret_text import Secrets

T = TypeVar("T")

LOCK_WAIT_S = 120.0
"""Longest wait for another process that changes the same thing; a rollout may take this long."""
NOTE_WAIT_S = 1.0
"""Longest wait for a holder that has its lock to write who it is."""


class Instance(Frozen):
    """One process of a deployment."""

    name: str
    """Program name in supervisord: `<endpoint>.<deployment>.<generation>.<number>`."""
    generation: str
    port: int
    admitted: bool = False
    """Whether the router sends it requests; false while it starts and while it drains."""
    gpus: tuple[str, ...] = ()
    """UUIDs of the GPUs that are its own."""
    socket: bool = False
    """Whether it listens on a Unix socket, which `port` names, and not on the port."""


_INSTANCES = TypeAdapter(tuple[Instance, ...])
_SECRETS = TypeAdapter(Secrets)


class _Keys(Frozen):
    """An endpoint's keys as they are kept."""

    primary: SecretStr
    secondary: SecretStr


class RouterAddress(Frozen):
    """Where a workspace's router listens; chosen once, so that URLs stay."""

    host: str
    port: int
    metrics_port: int
    """Chosen again when another process has taken it: no scoring URL has it."""


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all.

    Raises:
        OutOfCapacity: The disk is full.
    """
    make_folder(path.parent)
    # Two threads may write the same file: each has a name of its own until the rename.
    beside = path.with_name(f".{path.name}.{os.getpid()}.{id(text):x}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise no_space(fault, path) from fault


def make_folder(path: Path) -> None:
    """Make a folder of mode 0700 unless it is there; the same errors as `write_private`."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        raise no_space(fault, path) from fault


def no_space(fault: OSError, path: Path) -> Exception:
    """Turn what stopped a write into a sentence; a full or read-only disk into one that helps."""
    if fault.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        remedy = "make it writable for this user, or name another folder in INFERENCE_STATE_DIR"
        return TargetError("write", str(path), f"{fault.strerror}", remedy)
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfCapacity(
            "write", path.name, f"no space left under {path.parent}", "free some and run it again"
        )
    return TargetError("write", str(path), fault.strerror or type(fault).__name__)


@contextmanager
def file_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock against threads and other processes.

    Raises:
        Busy: Somebody else has held it for LOCK_WAIT_S.
    """
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=LOCK_WAIT_S)
    except Timeout as late:
        raise Busy(
            "change",
            what,
            f"another process has held {path.name} for {LOCK_WAIT_S:.0f} s",
            "wait for it to end, or end it, and run this again",
        ) from late
    except OSError as fault:
        raise no_space(fault, path) from fault
    try:
        yield
    finally:
        lock.release()


class Store:
    """One workspace's folder."""

    def __init__(self, root: Path, workspace: str) -> None:
        self.root = root
        self.workspace = workspace
        self.folder = root / "workspaces" / workspace
        self.environments = root / "environments"
        self.router_folder = self.folder / "router"
        self.supervisor_folder = self.folder / "supervisor"
        self.sockets_folder = self.folder / "sockets"

    @property
    def exists(self) -> bool:
        return (self.folder / "workspace.json").is_file()

    # -- locks ---------------------------------------------------------------------------------

    def lock(self, name: str = "state") -> AbstractContextManager[None]:
        """Hold one named lock of the workspace, against threads and other processes."""
        return file_lock(self.folder / "locks" / f"{name}.lock", f"workspace '{self.workspace}'")

    @contextmanager
    def hold(self, actor: Actor) -> Iterator[None]:
        """Keep a second `up`, `down`, `split`, `start` or `stop` out, telling it who is here."""
        folder = self.root / "holders"
        note = folder / f"{self.workspace}.json"
        lock = FileLock(folder / f"{self.workspace}.lock", thread_local=False)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire(timeout=0)
        except Timeout as held:
            raise self._held_by(note) from held
        except OSError as fault:
            raise no_space(fault, note) from fault
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            with suppress(OutOfCapacity):  # a `down` on a full disk is what frees some
                who = {"who": str(actor), "pid": os.getpid(), "since": since}
                write_private(note, json.dumps(who))
            yield
        finally:
            note.unlink(missing_ok=True)
            lock.release()

    def _held_by(self, note: Path) -> Busy:
        deadline_s = time.monotonic() + NOTE_WAIT_S
        while not (holder := _read(note, json.loads) or {}) and time.monotonic() < deadline_s:
            time.sleep(0.01)  # who holds it has the lock and writes its note now
        return Busy(
            "change",
            f"workspace '{self.workspace}'",
            f"{holder.get('who', 'somebody')} is changing it since {holder.get('since', 'now')}"
            f" (process {holder.get('pid', 'unknown')})",
            "wait for that to end and run this again",
        )

    # -- records -------------------------------------------------------------------------------

    def _record_path(self, resource: ResourceId) -> Path:
        return self.folder / "records" / f"{resource.kind.value}.{_file_name(resource.name)}.json"

    def files_of(self, resource: ResourceId) -> tuple[Path, ...]:
        """Return where a record lies, and what is written with it; not all need be there."""
        name = f"{_file_name(resource.name)}.json"
        own = [self.folder / kept / name for kept in ("blueprints", "instances")]
        of_deployment = own if resource.kind == Kind.DEPLOYMENT else []
        return (self._record_path(resource), self._placeholders_path(resource), *of_deployment)

    def record(self, resource: ResourceId) -> Record | None:
        return _read(self._record_path(resource), Record.model_validate_json)

    def records(self) -> list[Record]:
        found = sorted((self.folder / "records").glob("*.json"))
        records = (_read(path, Record.model_validate_json) for path in found)
        return [record for record in records if record]

    def save_record(self, record: Record) -> None:
        write_private(self._record_path(record.id), record.model_dump_json(indent=1))

    def drop_record(self, resource: ResourceId) -> None:
        self._record_path(resource).unlink(missing_ok=True)
        self._placeholders_path(resource).unlink(missing_ok=True)

    @contextmanager
    def without_record(self, resource: ResourceId) -> Iterator[None]:
        """Drop a record; it comes back when the block raises, on a full disk too."""
        path = self._record_path(resource)
        aside = path.with_name(f"{path.name}.gone")
        with suppress(FileNotFoundError):
            path.rename(aside)
        try:
            yield
        except BaseException:
            with suppress(FileNotFoundError):
                aside.rename(path)
            raise
        self._placeholders_path(resource).unlink(missing_ok=True)
        aside.unlink(missing_ok=True)

    # -- journal -------------------------------------------------------------------------------

    def append_journal(self, entry: JournalEntry) -> None:
        path = self.folder / "journal.jsonl"
        line = entry.model_dump_json() + "\n"
        try:
            with open(path, "ab+", buffering=0, opener=_open_private) as file:
                size = os.fstat(file.fileno()).st_size
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    line = "\n" + line  # a full disk cut the last one
                file.write(line.encode())
        except OSError as fault:
            raise no_space(fault, path) from fault

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return all entries, oldest first; what a full disk left half is not one."""
        entries = []
        for line in _read(self.folder / "journal.jsonl", bytes.splitlines) or ():
            with suppress(ValidationError):
                entries.append(JournalEntry.model_validate_json(line))
        return tuple(entries)

    # -- secrets -------------------------------------------------------------------------------

    def _placeholders_path(self, resource: ResourceId) -> Path:
        return self.folder / "placeholders" / self._record_path(resource).name

    def placeholders(self, resource: ResourceId) -> Secrets:
        """Return what placeholders stood for in a resource when it was applied last."""
        return _read(self._placeholders_path(resource), _SECRETS.validate_json) or ()

    def save_placeholders(self, resource: ResourceId, placeholders: Secrets) -> None:
        path = self._placeholders_path(resource)
        if placeholders:
            write_private(path, json.dumps([one.get_secret_value() for one in placeholders]))
        else:
            path.unlink(missing_ok=True)

    def keys(self, endpoint: str) -> tuple[SecretStr, SecretStr] | None:
        """Return primary and secondary key; None when the endpoint has none yet."""
        found = _read(self.folder / "keys" / f"{endpoint}.json", _Keys.model_validate_json)
        return (found.primary, found.secondary) if found else None

    def save_keys(self, endpoint: str, keys: tuple[SecretStr, SecretStr]) -> None:
        values = [key.get_secret_value() for key in keys]
        text = json.dumps({"primary": values[0], "secondary": values[1]})
        write_private(self.folder / "keys" / f"{endpoint}.json", text)

    def drop_keys(self, endpoint: str) -> None:
        (self.folder / "keys" / f"{endpoint}.json").unlink(missing_ok=True)

    def blueprint(self, deployment: str) -> dict[str, Any] | None:
        """Return a deployment's resolved spec with its secrets; what an instance starts from."""
        path = self.folder / "blueprints" / f"{_file_name(deployment)}.json"
        found: dict[str, Any] | None = _read(path, json.loads)
        return found

    def save_blueprint(self, deployment: str, spec: dict[str, Any]) -> None:
        path = self.folder / "blueprints" / f"{_file_name(deployment)}.json"
        write_private(path, json.dumps(spec))

    # -- instances and addresses ---------------------------------------------------------------

    def instances(self, deployment: str) -> tuple[Instance, ...]:
        path = self.folder / "instances" / f"{_file_name(deployment)}.json"
        return _read(path, _INSTANCES.validate_json) or ()

    def all_instances(self) -> list[Instance]:
        found = sorted((self.folder / "instances").glob("*.json"))
        return [i for path in found for i in _read(path, _INSTANCES.validate_json) or ()]

    def save_instances(self, deployment: str, instances: tuple[Instance, ...]) -> None:
        path = self.folder / "instances" / f"{_file_name(deployment)}.json"
        if instances:
            write_private(path, json.dumps([instance.model_dump() for instance in instances]))
        else:  # on a full disk the last ones can still be crossed out
            path.unlink(missing_ok=True)

    def address(self) -> RouterAddress | None:
        return _read(self.folder / "workspace.json", RouterAddress.model_validate_json)

    def save_address(self, address: RouterAddress) -> None:
        write_private(self.folder / "workspace.json", address.model_dump_json())

    def drop_address(self) -> None:
        (self.folder / "workspace.json").unlink(missing_ok=True)

    def log_path(self, deployment: str, instance: str) -> Path:
        return self.folder / "logs" / deployment / f"{instance}.log"

    def running(self, instance: str) -> Path:
        """Return the folder of the trees of content that one instance works in."""
        return self.folder / "running" / instance

    def forget_deployment(self, deployment: str) -> None:
        """Remove what a deleted deployment leaves beside its record, its logs too."""
        (self.folder / "instances" / f"{_file_name(deployment)}.json").unlink(missing_ok=True)
        (self.folder / "blueprints" / f"{_file_name(deployment)}.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "logs" / deployment, ignore_errors=True)

    def remove(self) -> None:
        """Remove the whole workspace folder.

        Raises:
            TargetError: Something of it cannot be removed.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.exists:
            raise TargetError(
                "remove", f"workspace '{self.workspace}'", "some of its files cannot be removed",
                "look who owns them, and run this again", str(self.folder),
            )  # fmt: skip


def state_folder() -> Path:
    """Return `$INFERENCE_STATE_DIR`, or the user's own folder."""
    chosen = os.environ.get("INFERENCE_STATE_DIR")
    return Path(chosen) if chosen else platformdirs.user_state_path("pulumi-inference")


def stores(root: Path) -> list[Store]:
    """Return every workspace of a state folder."""
    found = sorted((root / "workspaces").glob("*/workspace.json"))
    return [Store(root, path.parent.name) for path in found]


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _file_name(name: str) -> str:
    return quote(name, safe="")


def _read(path: Path, parse: Callable[[bytes], T]) -> T | None:
    """Return what a file holds; None where there is no file, or an empty one.

    Raises:
        TargetError: It holds something else.
    """
    try:
        content = path.read_bytes()
        return parse(content) if content else None
    except FileNotFoundError:
        return None
    except ValueError:
        raise spoilt(path) from None


def spoilt(path: Path) -> TargetError:
    """Say that one of our files holds something else. Never says what: it may be a key."""
    return TargetError(
        "read",
        str(path),
        "file is corrupt",
        "restore it, or move it away and run `inferctl up` to recreate it",
    )
