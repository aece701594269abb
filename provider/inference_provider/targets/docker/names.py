"""What everything on a Docker host is called, and the labels by which it is found. Pure.

Names tell a person what a container is; labels say only what never changes, because Docker cannot
change a label. A resource's name has no dot, so the parts of a name cannot be confused.
"""

import itertools
from collections.abc import Collection, Mapping
from typing import Any

PREFIX = "inference"
WORKSPACE, ROLE = "inference.workspace", "inference.role"
DEPLOYMENT, GENERATION = "inference.deployment", "inference.generation"
ADDRESS, PORT = "inference.address", "inference.port"
GPUS, GPU_SHARE = "inference.gpus", "inference.gpu-share"
NAME, LIMITS = "inference.name", "inference.limits"
PROXY = "inference.proxy"
"""Of an instance that knows a forward proxy: where that is, `172.18.0.1:20080`."""
LIVENESS = "inference.liveness"
"""Of an instance that is ended when it hangs: its liveness probe."""
MADE_OF = "inference.made-of"
"""Id of the image that a container was made of."""
IMAGE = "inference.image"
"""Of images alone: a container has the labels of its image too."""
OWNER, SINCE, HOLDER = "inference.owner", "inference.since", "inference.holder"
TAKING = "inference.taking"
RECORDS, ROUTER, INSTANCE, LOCK = "records", "router", "instance", "lock"
CONTENT, NETWORK, PROBE = "content", "network", "probe"
AUTOSCALER, WEB = "autoscaler", "web"
SOCKET = "inference.socket"
"""Of the autoscaler: where its Engine's socket is on the host."""
SENDS_LOGS = "inference.sends-logs"
"""Of the autoscaler: `yes` where it can read what instances print."""
RUN = "inference.run"
"""Of a lock that the autoscaler holds: its container, and when that was started."""
WEB_RUN = "inference.web-run"
"""The same of what serves the workspace over HTTP; older releases would take it for ended."""
GIVEN = "inference.given"
"""Of what serves the workspace over HTTP: the arguments that it was started with."""
ROLE_VARIABLE = "INFERENCE_ROLE"
"""Set in the containers that have the Engine's socket: which one it is."""
CLOSED = ".closed"
EMPTY = "inference-empty:1"
"""Image without a file: a container of it holds a volume or a lock, and is never started."""
_IMAGES = ("inference-environment:", "inference-folder:", "inference-runtime:")


def records(workspace: str) -> str:
    """Return the name of the container that holds the records' volume, and of that volume."""
    return f"{PREFIX}.{workspace}.records"


def workspace_of(name: str) -> str:
    """Return the workspace that something of this name belongs to."""
    return name.split(".")[1]


def of(listed: Mapping[str, Any]) -> str:
    """Return the name that a container was made with, whatever a person calls it now.

    Args:
        listed: The container as the Engine lists it.
    """
    given = (listed["Labels"] or {}).get(NAME) if is_as_labelled(listed) else None
    return str(given or listed["Names"][0]).removeprefix("/")


def router(workspace: str, state: str = "") -> str:
    """Return the name of the router's container, or of one that comes or goes: `next`, `old`."""
    return f"{PREFIX}.{workspace}.router{state and '.'}{state}"


def autoscaler(workspace: str) -> str:
    """Return the name of the container that keeps autoscale rules, and of its volume."""
    return f"{PREFIX}.{workspace}.{AUTOSCALER}"


def web(workspace: str) -> str:
    """Return the name of the container that serves a workspace over HTTP, and of its volume."""
    return f"{PREFIX}.{workspace}.{WEB}"


def router_volume(workspace: str, taken: Collection[str]) -> str:
    """Return the name of a volume for a new router's files, which no other one has."""
    first = router(workspace)
    numbered = (f"{first}.{number}" for number in itertools.count(1))
    return next(name for name in itertools.chain([first], numbered) if name not in taken)


def network(workspace: str, *, closed: bool) -> str:
    """Return the name of the network of the instances with a way out, or of those without."""
    return f"{PREFIX}.{workspace}{CLOSED if closed else ''}"


def instance(workspace: str, deployment: str, generation: str, number: int) -> str:
    """Return the name of one instance: `inference.lab.iris.blue.5efdeb203621.0`."""
    return f"{PREFIX}.{workspace}.{deployment.replace('/', '.')}.{generation}.{number}"


def is_as_labelled(listed: Mapping[str, Any]) -> bool:
    """Whether a container is what its labels say, and did not inherit them.

    An image that `docker commit` makes has all labels of the container, and so has what a person
    makes of it. A container of an older release does not say of which image it was made; but its
    image was named by its id.

    Args:
        listed: The container as the Engine lists it.
    """
    made_of = (listed["Labels"] or {}).get(MADE_OF, listed["Image"])
    return bool(made_of == listed["ImageID"])


def is_instance(listed: Mapping[str, Any]) -> bool:
    """Whether a container is an instance, not one that a person made of an image of one.

    Args:
        listed: The container as the Engine lists it.
    """
    labels = listed["Labels"] or {}
    workspace, made_in = labels.get(WORKSPACE, ""), listed["HostConfig"]["NetworkMode"]
    ours = [network(workspace, closed=closed) for closed in (False, True)]
    return labels.get(ROLE) == INSTANCE and made_in in ours and is_as_labelled(listed)


def is_connected(listed: Mapping[str, Any]) -> bool:
    """Whether an instance is in a network, at the address that it was made with.

    Args:
        listed: The container as the Engine lists it.
    """
    there = listed["NetworkSettings"]["Networks"].values()
    return any(one["IPAddress"] == listed["Labels"][ADDRESS] for one in there)


def is_router(listed: Mapping[str, Any]) -> bool:
    """Whether a container is a router, as above; a person's copy of one has a network of its own.

    Args:
        listed: The container as the Engine lists it.
    """
    is_in_host = listed["HostConfig"]["NetworkMode"] == "host"
    is_one = (listed["Labels"] or {}).get(ROLE) == ROUTER
    return is_one and is_in_host and is_as_labelled(listed)


def is_image(name: str) -> bool:
    """Whether an image was given this name here, or in the registry of a workspace."""
    return name.rpartition("/")[2].startswith(_IMAGES)


def lock(workspace: str, name: str) -> str:
    """Return the name of the container that stands for a held lock."""
    return f"{PREFIX}.{workspace}.lock.{name}"


def content(workspace: str, kind: str, digest: str, number: int = 0) -> str:
    """Return the name of the volume that holds a model or code, by the hash of its content."""
    return f"{PREFIX}.{workspace}.{kind}.{digest[:32]}" + (f".{number}" if number else "")


def kind_and_digest(volume: str) -> tuple[str, str]:
    """Return what a volume of content holds: `model` or `code`, and its shortened hash."""
    kind, digest = volume.split(".")[2:4]
    return kind, digest


def labels(workspace: str, role: str, **more: str) -> dict[str, str]:
    """Return the labels of something of a workspace."""
    return {WORKSPACE: workspace, ROLE: role, **more}


def selecting(workspace: str, role: str) -> Mapping[str, list[str]]:
    """Return the filter that finds everything of one role in a workspace."""
    return {"label": [f"{WORKSPACE}={workspace}", f"{ROLE}={role}"]}
