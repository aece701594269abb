"""What the parts of a cluster read when they start. JSON is YAML, so all but one is JSON."""

import json
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.cluster import places
from tests.cluster.places import Places

_USERS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("controllers", "system:masters"),
    "scheduler": ("scheduler", "system:masters"),
    "network": ("network", "system:masters"),
    "node": (f"system:node:{places.NODE}", "system:nodes"),
}
"""Who uses the API: the name of a KUBECONFIG, its user, and the group that says what it may do."""
PAUSE_IMAGE = "inference.test/pause:1"

_CONTAINERD = """\
version = 2
root = "{root}"
state = "{run}/containerd"
oom_score = 0
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true # without CAP_SYS_RESOURCE runc would die
  disable_apparmor = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{run}/registries"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{run}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
"""


def write(at: Places) -> None:
    """Write all of it into a new run folder."""
    (at.run / "log").mkdir(parents=True)
    (at.run / "cni").mkdir()
    _keys(at.run)
    _tokens(at)
    _json(at.run / "kubelet.json", _kubelet(at))
    _json(at.run / "cni" / "10-pods.conflist", _network(at))
    runc = shutil.which("runc", path=at.surroundings()["PATH"])
    text = _CONTAINERD.format(
        root=at.containerd,
        run=at.run,
        socket=at.socket,
        pause=PAUSE_IMAGE,
        plugins=at.debian / "usr/lib/cni",
        runc=runc,
    )
    (at.run / "containerd.toml").write_text(text)


def _tokens(at: Places) -> None:
    rows = []
    for name, (user, group) in _USERS.items():
        token = secrets.token_hex(16)
        rows.append(f'{token},{user},{user},"{group}"\n')
        file = at.kubeconfig if name == "admin" else at.run / f"{name}.kubeconfig"
        _private(file, json.dumps(_kubeconfig(at, user, token), indent=1))
    _private(at.run / "tokens.csv", "".join(rows))


def _keys(run: Path) -> None:
    """Make the key of service accounts, an authority, and a certificate of it for the API."""
    names = "kubernetes kubernetes.default kubernetes.default.svc localhost"
    first = places.SERVICES.replace("0.0/16", "0.1")
    alternatives = [f"DNS:{name}" for name in names.split()]
    alternatives += [f"IP:{address}" for address in (places.NODE_ADDRESS, first, "127.0.0.1")]
    (run / "api.ext").write_text(f"subjectAltName={','.join(alternatives)}\n")
    for command in (
        "genrsa -out accounts.key 2048",
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=inference-cluster"
        " -keyout ca.key -out ca.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=kubernetes -keyout api.key -out api.csr",
        "x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30"
        " -extfile api.ext -out api.crt",
    ):
        subprocess.run(["openssl", *command.split()], cwd=run, check=True, capture_output=True)


def _kubeconfig(at: Places, user: str, token: str) -> dict:
    cluster = {"server": places.API, "certificate-authority": str(at.run / "ca.crt")}
    context = {"cluster": places.NETWORK, "user": user}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": places.NETWORK, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": places.NETWORK, "context": context}],
        "current-context": places.NETWORK,
    }


def _kubelet(at: Places) -> dict:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{at.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{places.NETWORK}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [places.DNS_ADDRESS],
        "clusterDomain": places.DOMAIN,
        "resolvConf": _resolver(),
        "podLogsDir": str(at.run / "log" / "pods"),
        # the disk is this machine's: what it lacks is no reason to remove images
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%"},
    }


def _resolver() -> str:
    """Return which name servers pods may ask: one that listens on loopback is none of theirs."""
    behind = Path("/run/systemd/resolve/resolv.conf")
    return str(behind) if behind.exists() else "/etc/resolv.conf"


def _network(at: Places) -> dict:
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(at.run / "addresses"),
            "ranges": [[{"subnet": places.PODS, "gateway": places.NODE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _json(file: Path, given: dict) -> None:
    file.write_text(json.dumps(given, indent=1))


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)
