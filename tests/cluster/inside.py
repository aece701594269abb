"""The first process of a cluster's namespaces: starts its parts, and again what ended.

When it ends, the kernel ends all others, and what they mounted is gone.
"""

import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import places, settings
from tests.cluster.places import Places

_HIDDEN = ("/run/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers")
"""Folders whose place cannot be set: what is written there is seen in the cluster alone."""
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Part:
    """One program with its arguments."""

    name: str
    arguments: tuple[str, ...]


def parts(at: Places) -> list[Part]:
    """List what a cluster consists of, in the order of their start."""
    run = at.run
    scheduler, controllers, network = (
        f"--kubeconfig={settings.user_file(at, user)}"
        for user in ("scheduler", "controllers", "network")
    )
    node_user = settings.user_file(at, f"system:node:{places.NODE}")
    # with the defaults 1,000 pods would take two minutes
    fast = ("--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000")
    return [
        Part(
            "etcd",
            (
                f"--data-dir={run}/etcd",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--logger=zap",
                "--log-level=warn",
            ),
        ),
        Part("containerd", (f"--config={run}/containerd.toml",)),
        Part(
            "kube-apiserver",
            (
                "--etcd-servers=http://127.0.0.1:2379",
                f"--advertise-address={places.NODE_ADDRESS}",
                "--secure-port=6443",
                f"--tls-cert-file={run}/api.crt",
                f"--tls-private-key-file={run}/api.key",
                f"--token-auth-file={run}/tokens.csv",
                "--authorization-mode=Node,RBAC",
                # as what the API passes requests on to knows it, as metrics-server
                f"--requestheader-client-ca-file={run}/ca.crt",
                "--requestheader-allowed-names=kubernetes",
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                f"--proxy-client-cert-file={run}/api.crt",
                f"--proxy-client-key-file={run}/api.key",
                f"--service-cluster-ip-range={places.SERVICES}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={run}/accounts.key",
                f"--service-account-signing-key-file={run}/accounts.key",
                # the node's name is known to no name server
                "--kubelet-preferred-address-types=InternalIP",
                "--allow-privileged=true",
                # nodes with GPUs may keep all others away, as those of a cloud do
                "--enable-admission-plugins=NodeRestriction,ExtendedResourceToleration",
            ),
        ),
        Part(
            "kube-controller-manager",
            (
                controllers,
                *fast,
                f"--root-ca-file={run}/ca.crt",
                f"--service-account-private-key-file={run}/accounts.key",
                "--concurrent-deployment-syncs=50",
                "--concurrent-replicaset-syncs=50",
            ),
        ),
        Part("kube-scheduler", (scheduler, *fast)),
        Part(
            "kubelet",
            (
                f"--config={run}/kubelet.json",
                f"--kubeconfig={node_user}",
                f"--hostname-override={places.NODE}",
                f"--node-ip={places.NODE_ADDRESS}",
                f"--root-dir={run}/kubelet",
            ),
        ),
        Part(
            "kube-proxy",
            (
                network,
                f"--hostname-override={places.NODE}",
                "--proxy-mode=iptables",
                f"--cluster-cidr={places.PODS}",
                # limits of the whole machine
                "--conntrack-max-per-core=0",
                "--conntrack-min=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
            ),
        ),
        Part(
            "kube-router",
            (
                network,
                f"--hostname-override={places.NODE}",
                "--run-firewall=true",
                "--run-router=false",
                "--run-service-proxy=false",
                "--run-loadbalancer=false",
                "--enable-cni=false",
                f"--service-cluster-ip-range={places.SERVICES}",
            ),
        ),
    ]


class Running:
    """The parts that run, by process id."""

    def __init__(self, at: Places) -> None:
        self._at = at
        self._environment = at.surroundings()
        self._lock = threading.Lock()
        self._parts: dict[int, Part] = {}

    def start(self, part: Part) -> None:
        with self._lock, self._at.log(part.name).open("ab") as log:
            process = subprocess.Popen(
                [part.name, *part.arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._parts[process.pid] = part
            (self._at.run / f"{part.name}.pid").write_text(f"{process.pid}\n")

    def ended(self, pid: int, status: int) -> None:
        """Start again what ended; other processes are orphans of containers."""
        with self._lock:
            part = self._parts.pop(pid, None)
        if part is not None:
            with (self._at.run / "ended").open("a") as told:
                told.write(f"{part.name} ended with {os.waitstatus_to_exitcode(status)}\n")
            threading.Timer(_PAUSE_S, self.start, [part]).start()


def _await_api(at: Places) -> None:
    trusted = ssl.create_default_context(cafile=str(at.run / "ca.crt"))
    while True:
        try:
            with urllib.request.urlopen("https://127.0.0.1:6443/readyz", context=trusted):
                return
        except OSError:
            time.sleep(0.1)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # and the kernel ends all others


def main() -> None:
    at = Places(Path(sys.argv[1]))
    for folder in _HIDDEN:
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    if "--until-end-of-input" in sys.argv:
        threading.Thread(target=_end_with_input, daemon=True).start()
    running = Running(at)
    for part in parts(at):
        running.start(part)
        if part.name == "kube-apiserver":
            _await_api(at)
    while True:
        running.ended(*os.wait())


if __name__ == "__main__":
    main()
