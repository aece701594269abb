"""Starts a cluster and ends it: one process whose namespaces hold all others."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import httpx

from tests.cluster import cgroups, dns, images, kernel, network, places, settings, supplies
from tests.cluster.api import Api
from tests.cluster.places import Places, say
from tests.cluster.supplies import Missing

BASE_IMAGE = "debian-python:12"
_LIMIT_S = 120.0
_inputs: list[IO[bytes]] = []
"""Closed when this process ends, also when it is killed."""
_INSIDE = (
    *("nsenter", f"--net=/run/netns/{places.NETWORK}"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *(sys.executable, "-m", "tests.cluster.inside"),
)


@contextlib.contextmanager
def alone(at: Places) -> Iterator[None]:
    """Keep a second call from starting or ending the cluster meanwhile.

    Raises:
        Missing: This machine may have none.
    """
    supplies.check_machine()
    at.folder.mkdir(parents=True, exist_ok=True)
    with (at.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def running(at: Places) -> int:
    """Return the process id of the cluster's first process; 0 if there is none."""
    try:
        pid, started = at.pid.read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if _started(pid) == started else 0


def _started(pid: str | int) -> str:
    """Return when a process started, in the kernel's count; nothing of one that ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else rest[18]


def start(at: Places, *, stays: bool) -> None:
    """Start a cluster, if none runs, and wait until pods can run in it.

    Args:
        at: Where it has its files.
        stays: Whether it outlives this process.

    Raises:
        Missing: This machine cannot have one.
    """
    if running(at):
        return
    supplies.supply(at)
    base = _base()
    end(at)  # what is left of one that was killed
    try:
        cgroups.make()
        settings.write(at)
        kernel.keep(at)
        network.link()
    except subprocess.CalledProcessError as fault:
        said = fault.stderr.decode().strip()
        raise Missing(f"the machine forbids it: {' '.join(fault.cmd)}: {said}") from fault
    except OSError as fault:
        raise Missing(f"the machine forbids it: {fault}") from fault
    _enter(at, stays=stays)
    _await(at, "its container runtime", lambda: _answers(at))
    _load(at, base)
    _await(at, "its node", lambda: _ready(at))
    try:
        with Api(at.kubeconfig) as api:
            dns.install(api)
    except (TimeoutError, RuntimeError, httpx.HTTPError) as fault:
        raise Missing(f"the cluster runs no pod: {fault}") from fault


def _base() -> Path:
    script = str(places.SOURCE.parent / "base_image.sh")
    made = subprocess.run([script], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        raise Missing("the base image cannot be made")
    return Path(made.stdout.strip())


def _enter(at: Places, *, stays: bool) -> None:
    with at.log("inside").open("w") as log:
        process = subprocess.Popen(
            [*_INSIDE, str(at.folder), *([] if stays else ["--until-end-of-input"])],
            env={**os.environ, "PYTHONPATH": str(places.SOURCE.parent.parent)},
            stdin=subprocess.DEVNULL if stays else subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is not meant for it
        )
    at.pid.write_text(f"{process.pid} {_started(process.pid)}")
    if process.stdin:
        _inputs.append(process.stdin)


def _answers(at: Places) -> bool:
    try:
        images.names(at)
    except subprocess.CalledProcessError:
        return False
    return True


def _load(at: Places, base: Path) -> None:
    """Load the images of every cluster that it does not have from before."""
    there = images.names(at)
    if settings.PAUSE_IMAGE not in there:
        images.load_program(at, settings.PAUSE_IMAGE, at.programs / "pause")
    if dns.IMAGE not in there:
        images.load_program(at, dns.IMAGE, at.programs / "coredns")
    if f"docker.io/library/{BASE_IMAGE}" not in there:
        say(f"loading {BASE_IMAGE}")
        images.load_image(at, BASE_IMAGE, base, command=["python3"])


def _ready(at: Places) -> bool:
    try:
        with Api(at.kubeconfig) as api:
            api.until_ready(f"/api/v1/nodes/{places.NODE}", limit_s=0)
            # without it no pod of the namespace is admitted
            api.get("/api/v1/namespaces/default/serviceaccounts/default")
    except (httpx.HTTPError, RuntimeError, TimeoutError):
        return False
    return True


def _await(at: Places, what: str, found: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while not found():
        if time.monotonic() > until_s or not running(at):
            raise Missing(f"the cluster does not start, {what} is not ready: {_why(at)}")
        time.sleep(0.2)


def _why(at: Places) -> str:
    """Say what ended last, and its last words."""
    try:
        last = (at.run / "ended").read_text().splitlines()[-1]
        name = last.split()[0]
    except OSError:
        last, name = "its first process", "inside"
    return f"{last}: {at.log(name).read_text()[-600:]}"


def end(at: Places) -> None:
    """End the cluster with all that it runs, and take its network and files away."""
    if pid := running(at):
        # the first in its namespaces; its parent ends when the kernel has ended all others
        for first in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(first), signal.SIGKILL)
        while running(at):
            time.sleep(0.05)
    cgroups.remove()
    network.unlink()
    kernel.put_back(at)
    if at.run.exists():
        shutil.rmtree(at.run)
