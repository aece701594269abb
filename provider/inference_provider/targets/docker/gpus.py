"""The GPUs of a Docker host, and which of its containers hold them.

No call of the Engine says which GPUs there are, so `nvidia-smi` is asked, in a container that gets
all of them. Who holds one is read from all containers of the host, those of others too.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from inference_provider.errors import Busy
from inference_provider.gpus import Gpu, Holder, Ledger, hand_out
from inference_provider.spec.quota import gpus_of
from inference_provider.spec.resources import Resources
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.library import errors
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.records import make_empty_image
from inference_provider.workspace.ports import Unit

VISIBLE = "NVIDIA_VISIBLE_DEVICES"
"""Variable that tells NVIDIA's runtime which GPUs a container gets."""
_QUERY = "nvidia-smi --query-gpu=index,uuid,name,mig.mode.current --format=csv,noheader"
_ASK = f"{_QUERY} && nvidia-smi -L"
_ASK_S = 60
_NO_DRIVER = "could not select device driver"
_HOLDING = ("running", "restarting", "paused")
_LOOKS_ONLY = (names.PROBE, names.ROUTER)
"""What gets GPUs for a second to list them, or as any image may by the variable of its base."""
_LOCKS = "host.gpus"
"""Stands where locks name a workspace; no workspace has a dot in its name."""
_CDI = "nvidia.com/gpu="
_GPU_LINE = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_SLICE_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)")

Inventory = Callable[[str | None], Ledger]
"""Says which GPUs the host has, held by nobody; may run a container on a base image."""


class HostGpus:
    """The GPUs of one host."""

    def __init__(self, host: DockerHost, inventory: Inventory) -> None:
        self._host = host
        self._inventory = inventory
        self._locks = HostLocks(host, _LOCKS)
        self._known: Ledger | None = None

    def ledger(self, base_image: str | None = None) -> Ledger:
        """Return who holds which GPU now; what there is, is asked once."""
        if self._known is None:
            self._known = self._inventory(base_image)
        return self._with_holders(self._known) if self._known.gpus else self._known

    def _with_holders(self, found: Ledger) -> Ledger:
        for container in self._host.containers({}):
            labels = container["Labels"] or {}
            if names.is_instance(container):
                place = f"{labels.get(names.WORKSPACE)}/{labels.get(names.DEPLOYMENT)}"
                holder = Holder(names.of(container), place, labels.get(names.GPU_SHARE, ""))
                ids = frozenset(labels.get(names.GPUS, "").split(","))
            elif container["State"] in _HOLDING and labels.get(names.ROLE) not in _LOOKS_ONLY:
                holder = Holder(container["Names"][0].removeprefix("/"))
                ids = held_ids(self._host.container(container["Id"]))
            else:
                continue
            found = found.held_by(holder, [gpu.uuid for gpu in found.gpus if gpu.is_in(ids)])
        return found

    @contextmanager
    def handing_out(
        self, unit: Unit, count: int, leaving: Collection[str]
    ) -> Iterator[list[tuple[str, ...]]]:
        """Yield the UUIDs that each new instance gets; nobody else on the host gets any meanwhile.

        They are taken once its container, with the labels that say so, is there.

        Raises:
            OutOfCapacity: Too few are free; the message lists who has which.
            Busy: Another client has been handing some out for too long.
        """
        asked, resource = gpus_of(unit.spec), str(unit.id)
        if asked is None:
            yield [()] * count
            return
        make_empty_image(self._host)
        with ExitStack() as held:
            try:
                held.enter_context(self._locks.lock("all"))
            except Busy as busy:
                raise Busy("hand GPUs to", resource, busy.reason, busy.remedy) from busy
            yield hand_out(asked, count, self.ledger(), resource, leaving, unit.gpus)


def gpu_labels(resources: Resources, uuids: Collection[str]) -> dict[str, str]:
    """Return the labels of a container that has GPUs, by which the ledger finds them."""
    if not uuids:
        return {}
    shared = {names.GPU_SHARE: resources.gpu_share} if resources.gpu_share else {}
    return {names.GPUS: ",".join(uuids), **shared}


def device_requests(uuids: Collection[str]) -> list[Any]:
    """Return what a container with these GPUs asks the Engine for."""
    from docker.types import DeviceRequest  # noqa: PLC0415 - only this target needs it

    return [DeviceRequest(device_ids=[*uuids], capabilities=[["gpu"]])] if uuids else []


def visible(uuids: Collection[str]) -> str:
    """Return what a container sees: without GPUs none, even by NVIDIA's runtime as the default."""
    return ",".join(uuids) or "void"


def held_ids(container: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the ids of GPUs that a container of others has: indices, UUIDs, `all`."""
    if container is None:  # it ended meanwhile
        return frozenset()
    config, found = container["HostConfig"], set[str]()
    for request in config.get("DeviceRequests") or ():
        found |= _requested(request)
    for device in config.get("Devices") or ():
        number = re.fullmatch(r"/dev/nvidia(\d+)", device["PathOnHost"])
        found |= {number[1]} if number else set()
    if config.get("Runtime") == "nvidia":
        variables = dict(one.partition("=")[::2] for one in container["Config"]["Env"] or ())
        found |= {*variables.get(VISIBLE, "").split(",")}
    return frozenset(found)


def _requested(request: Mapping[str, Any]) -> set[str]:
    ids = request.get("DeviceIDs") or ()
    if request.get("Driver") == "cdi":
        return {one.removeprefix(_CDI) for one in ids if one.startswith(_CDI)}
    if not any("gpu" in one for one in request.get("Capabilities") or ()):
        return set()
    count = request.get("Count") or 0
    return {*ids} or ({"all"} if count < 0 else set(map(str, range(count))))


def inventory(host: DockerHost, image: Callable[[str | None], str]) -> Inventory:
    """Return what finds out which GPUs a host has.

    Args:
        host: Where.
        image: Gets an image with a shell and a C library, which `nvidia-smi` needs; at worst it is
            pulled.
    """

    def found(base_image: str | None) -> Ledger:
        make_empty_image(host)
        # an image that starts nothing tells whether there is a driver, and no other is pulled
        if _NO_DRIVER in _asked(host, names.EMPTY)[1]:
            reason = "its Docker Engine has no NVIDIA runtime"
            return Ledger(nothing=reason, remedy="install the NVIDIA Container Toolkit there")
        status, said = _asked(host, image(base_image))
        gpus = gpus_in(said) if status == 0 else ()
        if gpus:
            return Ledger(gpus)
        reason = f"nvidia-smi in a container with all GPUs says: {_last_line(said)}"
        return Ledger(nothing=reason, remedy="check the driver and the NVIDIA Container Toolkit")

    return found


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["nothing"])[-1][:300]


def _asked(host: DockerHost, image: str) -> tuple[int, str]:
    """Run `nvidia-smi` with all GPUs; return its exit status, and what it or the Engine said."""
    from docker.types import DeviceRequest  # noqa: PLC0415 - only this target needs it

    every = DeviceRequest(count=-1, capabilities=[["gpu", "utility"]])
    with host.asked("look for the GPUs of", str(host)) as api:
        made = api.create_container(
            image,
            ["-c", _ASK],
            entrypoint=["sh"],
            labels={names.ROLE: names.PROBE},
            host_config=api.create_host_config(network_mode="none", device_requests=[every]),
        )["Id"]
        try:
            _sweep(host)
            api.start(made)
            status = api.wait(made, timeout=_ASK_S)["StatusCode"]
            return int(status), api.logs(made).decode(errors="replace")
        except errors().APIError as refused:
            return 1, str(refused.explanation or refused)
        finally:
            host.remove(made)


def _sweep(host: DockerHost) -> None:
    """Remove what clients that were killed left of such containers, by the host's own clock.

    A container that was just made tells the time.
    """
    found = host.containers({"label": f"{names.ROLE}={names.PROBE}"})
    now_s = max((one["Created"] for one in found), default=0)
    for one in found:
        old = now_s - one["Created"] > 5 * _ASK_S  # no client starts and waits that long
        if old and names.WORKSPACE not in one["Labels"]:
            host.remove(one["Id"])


def gpus_in(said: str) -> tuple[Gpu, ...]:
    """Return the GPUs that `nvidia-smi` lists, or the slices of those that are partitioned."""
    whole: dict[str, tuple[Gpu, bool]] = {}
    slices: list[Gpu] = []
    parent = Gpu("")
    for line in said.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        listed, part = _GPU_LINE.match(line), _SLICE_LINE.match(line)
        if listed:
            parent = whole.get(listed[2], (Gpu(""), False))[0]
        elif part:
            number = f"{parent.number}:{part[2]}"
            slices.append(Gpu(part[3], number, parent.product, part[1], parent.uuid))
        elif len(cells) == 4 and cells[1].startswith("GPU-"):
            whole[cells[1]] = Gpu(cells[1], cells[0], cells[2]), cells[3] == "Enabled"
    return (*(gpu for gpu, partitioned in whole.values() if not partitioned), *slices)
