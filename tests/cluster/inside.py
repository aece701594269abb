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
from pathlib import Path

from tests.cluster.places import NODE, NODE_ADDRESS, PODS, SERVICES, Places

_FAST = (
    "--leader-elect=false",
    # with the defaults 1,000 pods would take two minutes
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
)
_PARTS = {
    "etcd": (
        "--data-dir={run}/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--logger=zap",
        "--log-level=warn",
    ),
    "containerd": ("--config={run}/containerd.toml",),
    "kube-apiserver": (
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={NODE_ADDRESS}",
        "--secure-port=6443",
        "--tls-cert-file={run}/api.crt",
        "--tls-private-key-file={run}/api.key",
        "--token-auth-file={run}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        # by these metrics-server knows that the API asks
        "--requestheader-client-ca-file={run}/ca.crt",
        "--requestheader-allowed-names=kubernetes",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--proxy-client-cert-file={run}/api.crt",
        "--proxy-client-key-file={run}/api.key",
        f"--service-cluster-ip-range={SERVICES}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file={run}/accounts.key",
        "--service-account-signing-key-file={run}/accounts.key",
        # the node's name is known to no name server
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        # nodes with GPUs may keep all others away, as those of a cloud do
        "--enable-admission-plugins=NodeRestriction,ExtendedResourceToleration",
        # else a watch from version 0, as kwok begins all of its own, is refused with this etcd
        "--feature-gates=WatchList=false",
    ),
    "kube-controller-manager": (
        "--kubeconfig={run}/controllers.kubeconfig",
        *_FAST,
        "--root-ca-file={run}/ca.crt",
        "--service-account-private-key-file={run}/accounts.key",
        "--concurrent-deployment-syncs=50",
        "--concurrent-replicaset-syncs=50",
    ),
    "kube-scheduler": ("--kubeconfig={run}/scheduler.kubeconfig", *_FAST),
    "kubelet": (
        "--config={run}/kubelet.json",
        "--kubeconfig={run}/node.kubeconfig",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
        "--root-dir={run}/kubelet",
    ),
    "kube-proxy": (
        "--kubeconfig={run}/network.kubeconfig",
        f"--hostname-override={NODE}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={PODS}",
        # limits of the whole machine
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ),
    "kube-router": (
        "--kubeconfig={run}/network.kubeconfig",
        f"--hostname-override={NODE}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--run-loadbalancer=false",
        "--enable-cni=false",
        f"--service-cluster-ip-range={SERVICES}",
    ),
}
"""What a cluster consists of with its arguments, in the order of the start."""

_HIDDEN = ("/run/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers")
"""Folders whose place cannot be set: what is written there is seen in the cluster alone."""
_PAUSE_S = 1.0


class Running:
    """The parts that run, by process id."""

    def __init__(self, at: Places) -> None:
        self._at = at
        self._environment = at.surroundings()
        self._lock = threading.Lock()
        self._names: dict[int, str] = {}

    def start(self, name: str) -> None:
        arguments = [one.format(run=self._at.run) for one in _PARTS[name]]
        with self._lock, self._at.log(name).open("ab") as log:
            process = subprocess.Popen(
                [name, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._names[process.pid] = name

    def ended(self, pid: int, status: int) -> None:
        """Start again what ended; other processes are orphans of containers."""
        with self._lock:
            name = self._names.pop(pid, None)
        if name is not None:
            # kube-router does once, when the kubelet has not yet made its node
            with (self._at.run / "ended").open("a") as told:
                told.write(f"{name} ended with {os.waitstatus_to_exitcode(status)}\n")
            threading.Timer(_PAUSE_S, self.start, [name]).start()


def main() -> None:
    at = Places(Path(sys.argv[1]))
    for folder in _HIDDEN:
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    if "--until-end-of-input" in sys.argv:
        threading.Thread(target=_end_with_input, daemon=True).start()
    running = Running(at)
    for name in _PARTS:
        running.start(name)
        if name == "kube-apiserver":
            _await_api(at)
    while True:
        running.ended(*os.wait())


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # and the kernel ends all others


def _await_api(at: Places) -> None:
    trusted = ssl.create_default_context(cafile=str(at.run / "ca.crt"))
    while True:
        try:
            with urllib.request.urlopen("https://127.0.0.1:6443/readyz", context=trusted):
                return
        except OSError:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
