"""GPUs of this machine and who has them.

GPUs are found through NVML; a MIG slice counts as one device. The instances' files say who has
which, so there is no separate ledger that could disagree with them.
"""

import ctypes
from collections.abc import Iterable, Mapping

from inference_provider.errors import OutOfCapacity


def discover_gpus() -> tuple[str, ...]:
    """Return the UUID of each GPU, or of its MIG slices; nothing without a driver."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")  # pynvml loads this library
    except OSError:
        return ()
    import pynvml  # noqa: PLC0415 - it takes 15 ms, and few machines have a driver

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        count = pynvml.nvmlDeviceGetCount()
        return tuple(uuid for i in range(count) for uuid in _devices_of(i))
    finally:
        pynvml.nvmlShutdown()


def _devices_of(index: int) -> list[str]:
    import pynvml  # noqa: PLC0415 - as above

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    try:
        mig_on = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:
        mig_on = False  # a GPU without MIG answers NOT_SUPPORTED
    if not mig_on:
        return [pynvml.nvmlDeviceGetUUID(handle)]
    slices = []
    for i in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            slices.append(
                pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, i))
            )
        except pynvml.NVMLError:
            continue  # an empty slot
    return slices


def hand_out(
    wanted: int, devices: Iterable[str], holders: Mapping[str, str], resource: str
) -> tuple[str, ...]:
    """Return `wanted` free GPUs.

    Args:
        wanted: How many.
        devices: UUIDs of all GPUs.
        holders: UUID -> name of the instance that has it.
        resource: Who asks, for the message.

    Raises:
        OutOfCapacity: Fewer are free; the message lists who has which.
    """
    every = list(devices)
    free = [uuid for uuid in every if uuid not in holders]
    if wanted <= len(free):
        return tuple(free[:wanted])
    ledger = ", ".join(f"{uuid}: {holders.get(uuid, 'free')}" for uuid in every) or "no GPU"
    raise OutOfCapacity(
        "hand GPUs to",
        resource,
        f"{wanted} wanted, {len(free)} of {len(every)} free ({ledger})",
        "ask for fewer, or scale another deployment in",
    )
