"""A Docker Engine of a test's own, which it may stop and fill: beside the one of the others.

It has its own network namespace, because two Engines on one would write over each other's rules. A
thread reaches what listens there after `enter`.
"""

import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.host import DockerHost
from tests.docker.load import Load

_NEW_NET = 0x40000000
START_LIMIT_S = 30.0


class OwnEngine:
    """One Engine; `close` leaves nothing of it."""

    def __init__(self, *options: str, disk_mib: int = 0) -> None:
        """Start it, with more options of dockerd, on a disk of that size if one is given."""
        self.folder = Path(tempfile.mkdtemp(prefix="inf-", dir="/var/tmp"))
        self.place = DockerPlace(kind="docker", host=f"unix://{self.folder}/docker.sock")
        self._namespace = self.folder.name
        self._process: subprocess.Popen | None = None
        self.disk = self.folder / "data"
        self.disk.mkdir()
        if disk_mib:
            _run("mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "tmpfs", str(self.disk))
        _run("ip", "netns", "add", self._namespace)
        _run("ip", "-n", self._namespace, "link", "set", "lo", "up")
        self.start(*options)

    def start(self, *options: str) -> None:
        """Start dockerd, and wait until it answers."""
        (self.folder / "pid").unlink(missing_ok=True)
        files = [("--data-root", "data"), ("--exec-root", "exec"), ("-p", "pid")]
        own = [part for option, name in files for part in (option, str(self.folder / name))]
        # not `ip netns exec`: it hides mounts, and a restarted Engine must find those of before
        inside = ["nsenter", f"--net=/run/netns/{self._namespace}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*inside, "dockerd", *own, "-H", str(self.place.host), *options],
                stdout=log,
                stderr=log,
            )
        until_s = time.monotonic() + START_LIMIT_S
        while not self._answers():
            tail = (self.folder / "log").read_text()[-2000:]
            assert self._process.poll() is None, f"dockerd ended: {tail}"
            assert time.monotonic() < until_s, f"dockerd does not answer: {tail}"
            time.sleep(0.1)

    def _answers(self) -> bool:
        host = f"unix://{self.folder}/docker.sock"
        asked = ["docker", "-H", host, "version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        """End dockerd as a restart of its service does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def enter(self) -> None:
        """Move this thread into the Engine's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{self._namespace}") as namespace:
            assert libc.setns(namespace.fileno(), _NEW_NET) == 0, os.strerror(ctypes.get_errno())

    def within(self, call: Callable):
        """Return what a call returns that is made in the Engine's network."""
        with ThreadPoolExecutor(1, initializer=self.enter) as pool:
            return pool.submit(call).result()

    def load(self, lab, requests: int) -> Load:
        """Return a load on a lab of this Engine."""
        return Load(lab, requests, enter=self.enter)

    def take(self, other: DockerHost, images: Sequence[str]) -> None:
        """Copy images from another host, which can build what needs a network."""
        asked = ["docker", "-H", other.url, "save", *images]
        given = ["docker", "-H", str(self.place.host), "load"]
        with subprocess.Popen(asked, stdout=subprocess.PIPE) as saved:
            subprocess.run(given, stdin=saved.stdout, check=True, capture_output=True)

    def close(self) -> None:
        """End the Engine with all that it runs, and remove its files."""
        try:
            host = DockerHost(self.place)
            for container in host.containers({}):
                host.remove(container["Id"])
            host.close()
        finally:
            self.stop()
            for mounted in self._mounts():
                _run("umount", "-l", mounted)
            _run("ip", "netns", "del", self._namespace)
            _run("rm", "-rf", "--one-file-system", str(self.folder))

    def _mounts(self) -> list[str]:
        """Return what is mounted in its folder, the innermost first."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        places = [line.split()[4] for line in lines]
        return sorted((one for one in places if one.startswith(f"{self.folder}/")), reverse=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
