"""What a cluster is made of, and how it gets here: Debian's packages and Go's modules.

Nothing is installed: packages are unpacked, programs are built, into a folder that is kept.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.cluster import places
from tests.cluster.places import Places, say

VERSION = "v1.34.4"

_PACKAGES = {
    "etcd": ("etcd-server",),
    "containerd": ("containerd", "libseccomp2"),
    "runc": ("runc", "libseccomp2"),
    "conntrack": ("conntrack", "libnetfilter-conntrack3", "libnfnetlink0", "libmnl0"),
    "ipset": ("ipset", "libipset13", "libmnl0"),
}
"""Program, and what has it where it is not installed."""
_PLUGINS = "containernetworking-plugins"

_OURS = (
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubelet",
    "./pause",
)
"""Built by go.mod beside this module."""
_MODULES = {
    "kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@v2.1.0",
    "coredns": "github.com/coredns/coredns@v1.15.0",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok@v0.7.0",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0",
}
"""Built each by the go.mod of its own."""


class Source(NamedTuple):
    """A module that is built in a copy of it, which has what is applied to install it too."""

    module: str
    programs: Mapping[str, str]
    """Where the source of each is."""
    minutes: int
    """How long that takes one core; so it is built only where INFERENCE_TEST_<NAME> asks for it."""


SOURCES = {
    "keda": Source(
        "github.com/kedacore/keda/v2@v2.18.1",
        {"keda": "./cmd/operator", "keda-adapter": "./cmd/adapter"},
        7,
    ),
    "lws": Source("sigs.k8s.io/lws@v0.9.0", {"lws": "./cmd"}, 4),
}


def version(program: str) -> str:
    """Return the version of one of the modules."""
    found = SOURCES[program].module if program in SOURCES else _MODULES[program]
    return found.rpartition("@")[2]


_BEGAN_S = time.monotonic()
_LIMIT_S = float(os.environ.get("INFERENCE_TEST_CLUSTER_BUILD_S", "0"))
"""Longest time that all builds may take together; no limit when 0."""


class Missing(Exception):
    """This machine cannot have a cluster; says in a sentence why."""


@dataclass(frozen=True)
class Build:
    """Programs built by one command, and the inputs that say when they are built again."""

    names: tuple[str, ...]
    command: tuple[str, ...]
    inputs: str
    folder: Path = places.SOURCE


def check_machine() -> None:
    """Raise Missing unless this machine is one that may have a cluster."""
    _need(os.geteuid() == 0, "starting a cluster takes root")
    for program in ("unshare", "nsenter", "ip", "iptables", "openssl"):
        _need(shutil.which(program), f"starting a cluster takes the program {program}")


def supply(at: Places) -> None:
    """Make sure that all programs are there."""
    _unpack(at)
    build_programs(at)
    for name in SOURCES:
        if os.environ.get(asks_for(name)):
            try:
                supply_source(at, name)
            except Missing as reason:
                say(f"without {name}: {reason}")


def build_programs(at: Places) -> None:
    """Build what is built of Go's modules, unless it is there."""
    at.programs.mkdir(parents=True, exist_ok=True)
    for build in _builds(at):
        _build(at, build)


def asks_for(name: str) -> str:
    """Return the variable by which somebody has one of the sources built."""
    return f"INFERENCE_TEST_{name.upper()}"


def has_source(at: Places, name: str) -> bool:
    """Whether one of the sources was built, of the version that is named here."""
    builds = _of_source(at, name)
    return all(
        _stamp(at, one).exists() and _stamp(at, one).read_text() == _wanted(one) for one in builds
    )


def supply_source(at: Places, name: str) -> None:
    """Build one in a copy of its module: Go installs none that replaces others."""
    if has_source(at, name):
        return
    _need(shutil.which("go"), f"Go is not installed, which builds {name}")
    asked = ["go", "mod", "download", "-json", SOURCES[name].module]
    done = subprocess.run(asked, cwd="/", capture_output=True, text=True, check=False)
    _need(done.returncode == 0, f"{' '.join(asked)} failed: {_last_line(done.stderr)}")
    copy = at.source(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(json.loads(done.stdout)["Dir"], copy, copy_function=shutil.copyfile)
    subprocess.run(["chmod", "-R", "u+w", str(copy)], check=True)
    for build in _of_source(at, name):
        _build(at, build)


def _of_source(at: Places, name: str) -> list[Build]:
    command = ("go", "build", "-mod=mod", "-trimpath", "-ldflags=-s -w")
    of = SOURCES[name]
    return [
        Build(
            (program,),
            (*command, "-o", str(at.programs / program), source),
            of.module,
            at.source(name),
        )
        for program, source in of.programs.items()
    ]


def _need(found: object, reason: str) -> None:
    if not found:
        raise Missing(reason)


def _unpack(at: Places) -> None:
    path = at.surroundings()["PATH"]
    wanted = [
        one
        for program, given in _PACKAGES.items()
        if not shutil.which(program, path=path)
        for one in given
    ]
    if not (at.debian / "usr/lib/cni/bridge").exists():
        wanted.append(_PLUGINS)
    if not wanted:
        return
    _need(
        shutil.which("apt-get"), f"nothing has the packages {' '.join(wanted)}: there is no apt-get"
    )
    archives = at.folder / "packages"
    archives.mkdir(exist_ok=True)
    say(f"unpacking {' '.join(wanted)}")
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "download", "-qq", *sorted(set(wanted))],
    ):
        done = subprocess.run(command, cwd=archives, capture_output=True, text=True, check=False)
        _need(done.returncode == 0, f"{' '.join(command)} failed: {_last_line(done.stderr)}")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(archive), str(at.debian)], check=True)


def _builds(at: Places) -> list[Build]:
    locked = "".join((places.SOURCE / name).read_text() for name in ("go.mod", "go.sum"))
    version = f"-X k8s.io/component-base/version.gitVersion={VERSION}"
    own = Build(
        tuple(Path(one).name for one in _OURS),
        ("go", "build", "-trimpath", f"-ldflags=-s -w {version}", "-o", f"{at.programs}/", *_OURS),
        locked,
    )
    others = [
        Build((name,), ("go", "install", "-trimpath", "-ldflags=-s -w", module), module)
        for name, module in _MODULES.items()
    ]
    return [own, *others]


def _build(at: Places, build: Build) -> None:
    stamp, wanted = _stamp(at, build), _wanted(build)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _need(shutil.which("go"), "Go is not installed, which builds Kubernetes")
    say(f"building {' '.join(build.names)}; the first time takes minutes")
    try:
        done = subprocess.run(
            ["nice", "-n", "5", *build.command],
            cwd=build.folder,
            # what runs in a pod finds no C library
            env={**os.environ, "CGO_ENABLED": "0", "GOBIN": str(at.programs)},
            capture_output=True,
            text=True,
            timeout=_BEGAN_S + _LIMIT_S - time.monotonic() if _LIMIT_S else None,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"Kubernetes was not built within {_LIMIT_S:.0f} s") from None
    _need(done.returncode == 0, f"{' '.join(build.command)} failed: {_last_line(done.stderr)}")
    stamp.write_text(wanted)


def _stamp(at: Places, build: Build) -> Path:
    return (at.programs / build.names[0]).with_suffix(".built-from")


def _wanted(build: Build) -> str:
    return hashlib.sha256("\n".join([*build.command, build.inputs]).encode()).hexdigest()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
