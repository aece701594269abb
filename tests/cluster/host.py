"""Starts a cluster for a command, and ends it: `with_cluster.sh COMMAND…`.

    with_cluster.sh COMMAND…        run it with a cluster of its own, or with the one that is up
    with_cluster.sh --up            start one that stays, and print the path of its KUBECONFIG
    with_cluster.sh --down          end it
    with_cluster.sh --load NAME TAR load an image from a root file system, or from `docker save`
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.cluster import images, places, settings, supplies
from tests.cluster.places import Places, say

BASE_IMAGE = "debian-python:12"
_CGROUPS = Path("/sys/fs/cgroup")
_LIMIT_S = 120.0


def main(arguments: list[str]) -> int:
    at = places.ours()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    match arguments:
        case ["--up"]:
            return _up(at)
        case ["--down"]:
            with _alone(at):
                end(at)
            return 0
        case ["--load", name, file]:
            load(at, name, Path(file))
            return 0
        case []:
            say("give a command, --up, --down, or --load NAME TAR")
            return 2
    return _run(at, arguments)


def _up(at: Places) -> int:
    try:
        with _alone(at):
            start(at)
    except supplies.Missing as reason:
        say(str(reason))
        return 1
    print(at.kubeconfig)
    return 0


def _run(at: Places, command: list[str]) -> int:
    given = os.environ.get("INFERENCE_TEST_KUBECONFIG")
    if given:
        return _call(command, given)
    try:
        with _alone(at):
            if running(at):
                return _call(command, str(at.kubeconfig))
            try:
                start(at)
                return _call(command, str(at.kubeconfig))
            finally:
                end(at)
    except supplies.Missing as reason:
        say(str(reason))
    return _call(command, None)


def _call(command: list[str], kubeconfig: str | None) -> int:
    told = {"KUBECONFIG": kubeconfig, "INFERENCE_TEST_KUBECONFIG": kubeconfig} if kubeconfig else {}
    with subprocess.Popen(command, env={**os.environ, **told}) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()  # of Ctrl-C it knows itself, and may still end in order
            raise


def load(at: Places, name: str, file: Path) -> None:
    """Load an image from the tar of a root file system, or from an archive of an image."""
    with tarfile.open(file) as given:
        first = given.next()
        archive = first is not None and first.name in {"manifest.json", "oci-layout", "blobs", "index.json"}
        archive = archive or _saved(file)
    if archive:
        images.load_archive(at, file)
    else:
        images.load_image(at, name, file)


def _saved(file: Path) -> bool:
    with tarfile.open(file) as given:
        return any(one.name == "manifest.json" for one in given)


@contextlib.contextmanager
def _alone(at: Places) -> Iterator[None]:
    """Keep a second call from starting or ending the cluster meanwhile."""
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


def start(at: Places) -> None:
    """Start a cluster, if none runs, and wait until its node is ready."""
    if running(at):
        return
    supplies.supply(at)
    base = _base()
    end(at)
    cgroup = f"/{places.NETWORK}"
    for root in _hierarchies():
        (root / places.NETWORK).mkdir(exist_ok=True)
    settings.write(at, cgroup)
    for command in _LINKING:
        subprocess.run(command.split(), check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(places.SOURCE.parent.parent)}
    with at.log("inside").open("w") as log:
        process = subprocess.Popen(
            [
                *("nsenter", f"--net=/run/netns/{places.NETWORK}"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *(sys.executable, "-m", "tests.cluster.inside", str(at.folder)),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    at.pid.write_text(f"{process.pid} {_started(process.pid)}")
    try:
        _await(at, "its container runtime", lambda: at.socket.exists() and images.names(at) is not None)
        _images(at, base)
        _await(at, "its node", lambda: _ready(at))
    except BaseException:
        end(at)
        raise


def _base() -> Path:
    made = subprocess.run(
        [str(places.SOURCE.parent / "base_image.sh")], stdout=subprocess.PIPE, text=True, check=False
    )
    if made.returncode:
        raise supplies.Missing("the base image cannot be made")
    return Path(made.stdout.strip())


def _images(at: Places, base: Path) -> None:
    there = images.names(at)
    for name, load_it in (
        (settings.PAUSE_IMAGE, lambda: images.load_program(at, settings.PAUSE_IMAGE, at.programs / "pause")),
        (f"docker.io/library/{BASE_IMAGE}", lambda: images.load_image(at, BASE_IMAGE, base, command=["python3"])),
    ):
        if name not in there:
            load_it()


def _ready(at: Places) -> bool:
    config = json.loads(at.kubeconfig.read_text())
    token = config["users"][0]["user"]["token"]
    try:
        with httpx.Client(
            base_url=places.API,
            verify=str(at.run / "ca.crt"),
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        ) as api:
            node = api.get(f"/api/v1/nodes/{places.NODE}").raise_for_status().json()
            # without it no pod of the namespace is admitted
            api.get("/api/v1/namespaces/default/serviceaccounts/default").raise_for_status()
    except httpx.HTTPError:
        return False
    states = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
    return states.get("Ready") == "True"


def _await(at: Places, what: str, found) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while not _quiet(found):
        late = time.monotonic() > until_s
        if late or not running(at):
            raise supplies.Missing(f"the cluster does not start, {what} is not ready: {_ended(at)}")
        time.sleep(0.2)


def _quiet(found) -> bool:
    try:
        return found()
    except subprocess.CalledProcessError:
        return False


def _ended(at: Places) -> str:
    try:
        last = (at.run / "ended").read_text().splitlines()[-1]
    except OSError:
        return f"see {at.run}/log"
    text = at.log(last.split()[0]).read_text()[-600:]
    return f"{last}: {text}"


def end(at: Places) -> None:
    """End the cluster with all that it runs, and take its network and files away."""
    if pid := running(at):
        # the first process in its namespaces; unshare ends when the kernel has ended all others
        for first in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(first), signal.SIGKILL)
        while running(at):
            time.sleep(0.05)
    _remove_cgroups()
    for command in _UNLINKING:
        subprocess.run(command.split(), check=False, capture_output=True)
    if at.run.exists():
        shutil.rmtree(at.run)


def _hierarchies() -> list[Path]:
    """List the roots of the machine's control groups, one for each controller in version 1."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    return [one for one in sorted(_CGROUPS.iterdir()) if (one / "cgroup.procs").exists()]


def _remove_cgroups() -> None:
    until_s = time.monotonic() + 20
    for root in _hierarchies():
        for folder, _, _ in os.walk(root / places.NETWORK, topdown=False):
            while True:
                try:
                    os.rmdir(folder)
                    break
                except OSError:
                    if time.monotonic() > until_s:
                        say(f"cannot remove {folder}")
                        break
                    time.sleep(0.05)


_ACCEPT = [f"FORWARD -{way} {places.LINK} -j ACCEPT" for way in "io"]
_MASKED = [
    f"POSTROUTING -t nat -s {source} ! -o {places.LINK} -j MASQUERADE"
    for source in (places.PODS, f"{places.LINK_THERE}/32")
]
_RULES = [*_ACCEPT, *_MASKED]

_LINKING = [
    f"ip netns add {places.NETWORK}",
    f"ip link add {places.LINK} type veth peer name machine netns {places.NETWORK}",
    f"ip addr add {places.LINK_HERE}/30 dev {places.LINK}",
    f"ip link set {places.LINK} up",
    f"ip -n {places.NETWORK} addr add {places.LINK_THERE}/30 dev machine",
    f"ip -n {places.NETWORK} link set machine up",
    f"ip -n {places.NETWORK} link set lo up",
    f"ip -n {places.NETWORK} route add default via {places.LINK_HERE}",
    # with its address before anything starts: the API listens there
    f"ip -n {places.NETWORK} link add pods type bridge",
    f"ip -n {places.NETWORK} addr add {places.NODE_ADDRESS}/16 dev pods",
    f"ip -n {places.NETWORK} link set pods up",
    f"ip route add {places.PODS} via {places.LINK_THERE}",
    f"ip route add {places.SERVICES} via {places.LINK_THERE}",
    "sysctl -qw net.ipv4.ip_forward=1",
    *(f"iptables -w -I {rule}" for rule in _RULES),
]
_UNLINKING = [
    *(f"iptables -w -D {rule}" for rule in _RULES),
    f"ip link del {places.LINK}",
    f"ip netns del {places.NETWORK}",
]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
