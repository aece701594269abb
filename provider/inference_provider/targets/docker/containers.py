"""What all containers of a workspace have in common. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from inference_provider.workspace.endings import Endings

_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def hardened() -> dict[str, Any]:
    """Return the host configuration of a container that restarts, and may do nothing else."""
    return {
        "restart_policy": {"Name": "unless-stopped"},
        "init": True,  # a first process without a handler ignores SIGTERM
        "read_only": True,
        "tmpfs": {"/tmp": ""},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "log_config": _LOG,
    }


def endings_of(container: Mapping[str, Any] | None) -> Endings:
    """Return how often a container ended by itself.

    The Engine counts restarts and keeps only the time of the last one, so all of them are taken to
    be of that minute: too many for one that ends once a week, never too few for one that keeps
    dying.
    """
    count = int(container["RestartCount"]) if container else 0
    if not container or not count:
        return Endings()
    started = datetime.fromisoformat(container["State"]["StartedAt"][:19] + "+00:00")
    return Endings(total=count, minutes={int(started.timestamp() // 60): count})
