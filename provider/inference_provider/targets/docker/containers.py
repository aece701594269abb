"""What all containers of a workspace have in common, and what a person did to one. Pure."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from inference_provider.targets.docker import names
from inference_provider.workspace.endings import Endings

RESTART = "unless-stopped"
_SHARED_MEMORY = "2g"
"""Where nothing else is asked for: Azure ML's own default. Docker's 64 MiB are too few for servers
that pass tensors in `/dev/shm`. What is used of it counts as memory of the container."""
_LOG = {
    "Type": "json-file",
    "Config": {"max-size": "10m", "max-file": "3", "compress": "false"},
}
"""Files that `log_sources.py` reads, whatever the Engine does of its own."""


def hardened() -> dict[str, Any]:
    """Return the host configuration of a container that restarts, and may do nothing else."""
    return {
        "restart_policy": {"Name": RESTART},
        "init": True,  # a first process without a handler ignores SIGTERM
        "read_only": True,
        "tmpfs": {"/tmp": ""},
        "shm_size": _SHARED_MEMORY,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "log_config": _LOG,
    }


def is_running(container: Mapping[str, Any] | None) -> bool:
    """Whether a container runs and is not paused."""
    state = container["State"] if container is not None else {"Running": False, "Paused": False}
    return bool(state["Running"]) and not state["Paused"]


def ailment(container: Mapping[str, Any] | None) -> str:
    """Say that Docker calls a container unhealthy; else empty.

    One that was paused, by `docker commit` too, is called so until it is asked again.
    """
    found = (container or {}).get("State", {}).get("Health") or {}
    unhealthy = found.get("Status") == "unhealthy" and found["FailingStreak"]
    return "its HEALTHCHECK fails, so Docker calls it unhealthy" if unhealthy else ""


def endings_of(container: Mapping[str, Any] | None) -> Endings:
    """Return how often a container ended by itself.

    The Engine counts restarts and keeps only the time of the last one, so all of them are taken to
    be of that minute: too many for one that ends once a week, never too few for one that keeps
    dying.
    """
    count = int(container["RestartCount"]) if container else 0
    if not container or not count:
        return Endings()
    started = datetime.fromisoformat(container["State"]["StartedAt"])
    return Endings(total=count, minutes={int(started.timestamp() // 60): count})


# -- what a person did to one ----------------------------------------------------------------------

_LIMITS = {
    "Memory": ("memory limit", "mem_limit", 2**20, " MiB"),
    "MemorySwap": ("limit of memory and swap", "memswap_limit", 2**20, " MiB"),
    "NanoCpus": ("cpu limit", "nano_cpus", 10**9, ""),
    "CpuQuota": ("cpu quota", "", 1, ""),
    "CpuShares": ("cpu shares", "", 1, ""),
    "CpusetCpus": ("cpus", "", 0, ""),
    "MemoryReservation": ("memory reservation", "", 2**20, " MiB"),
    "PidsLimit": ("limit of processes", "", 1, ""),
}
"""What `docker update` changes: what it is called in a sentence and by us, and its unit."""


def altered(container: Mapping[str, Any] | None, network: str | None = None) -> str:
    """Say in what a container differs from the one that was made; empty when in nothing.

    Args:
        container: What the Engine says of it.
        network: Name of the network that it must be in; None for the one that it was made in.
    """
    return ", ".join(_alterations(container, network)) if container else ""


def _alterations(container: Mapping[str, Any], network: str | None) -> Iterator[str]:
    labels, set_ = container["Config"]["Labels"], container["HostConfig"]
    called, given = container["Name"].removeprefix("/"), labels.get(names.NAME)
    if given and called != given:
        yield f"renamed to '{called}'"
    restart = set_["RestartPolicy"]["Name"]
    if restart != RESTART:
        yield f"restart policy '{restart or 'no'}', made with '{RESTART}'"
    if names.LIMITS in labels:
        yield from _limits_changed(set_, json.loads(labels[names.LIMITS]))
    yield from _moved(container, network or set_["NetworkMode"], labels.get(names.ADDRESS))


def _limits_changed(set_: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[str]:
    for key, (said, ours, size, unit) in _LIMITS.items():
        now, before = set_.get(key) or None, made.get(ours) or None
        if now not in (before, -1):
            shown = [
                f"{one / size:g}{unit}" if size and one else one or "none" for one in (now, before)
            ]
            yield f"{said} {shown[0]}, made with {shown[1]}"
            return


def _moved(container: Mapping[str, Any], network: str, address: str | None) -> Iterator[str]:
    there = container["NetworkSettings"]["Networks"]
    if there.keys() != {network}:
        found = ", ".join(f"'{name}'" for name in sorted(there)) or "no network"
        yield f"in {found}, not in network '{network}'"
    elif address and ((there[network] or {}).get("IPAMConfig") or {}).get("IPv4Address") != address:
        yield f"no longer at its address {address}"
