"""Where a cluster of the tests has its files, and which addresses are its own."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

NODE = "inference-node"
NETWORK = "inference-cluster"
"""Name of its network namespace, and of what it has in the machine's control groups."""
LINK = "inf-cluster"
"""Interface of this machine that leads to it."""
LINK_HERE, LINK_THERE = "10.219.0.1", "10.219.0.2"
PODS = "10.217.0.0/16"
NODE_ADDRESS = "10.217.0.1"
SERVICES = "10.218.0.0/16"
DNS_ADDRESS = "10.218.0.10"
DOMAIN = "cluster.local"
API = f"https://{NODE_ADDRESS}:6443"

SOURCE = Path(__file__).parent


@dataclass(frozen=True)
class Places:
    """What is kept from one cluster to the next, and `run`, which is not."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / "bin"

    def source(self, name: str) -> Path:
        """Return the source of what tests install, not there unless it was built."""
        return self.folder / name

    @property
    def debian(self) -> Path:
        return self.folder / "debian"

    @property
    def containerd(self) -> Path:
        return self.folder / "containerd"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        return self.run / "kubeconfig"

    @property
    def pid(self) -> Path:
        return self.run / "pid"

    def log(self, name: str) -> Path:
        return self.run / "log" / f"{name}.log"

    def surroundings(self) -> dict[str, str]:
        """Return the environment of programs that were unpacked here and not installed."""
        found = [str(self.programs)]
        found += [str(self.debian / part) for part in ("usr/sbin", "usr/bin", "sbin", "bin")]
        libraries = sorted({str(one.parent) for one in self.debian.glob("**/lib*.so*")})
        given = {**os.environ, "PATH": ":".join([*found, os.environ["PATH"]])}
        return {**given, "LD_LIBRARY_PATH": ":".join(libraries)} if libraries else given


def ours() -> Places:
    folder = os.environ.get("INFERENCE_TEST_CLUSTER", "/var/tmp/inference-cluster-tests")
    return Places(Path(folder))


def say(text: str) -> None:
    print(f"with_cluster.sh: {text}", file=sys.stderr, flush=True)
