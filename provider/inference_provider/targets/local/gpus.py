"""GPUs of this machine, as its driver knows them.

They are found through NVML. The instances' files say who has which, so there is no separate ledger
that could disagree with them.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

from inference_provider.gpus import Gpu


def discover_gpus() -> tuple[Gpu, ...]:
    """Return each GPU, or its MIG slices instead; nothing without a driver."""
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
        return tuple(gpu for i in range(count) for gpu in _devices_of(i))
    finally:
        pynvml.nvmlShutdown()


def _devices_of(index: int) -> Iterator[Gpu]:
    import pynvml  # noqa: PLC0415 - as above

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid, product = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)
    try:
        mig_on = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:
        mig_on = False  # a GPU without MIG answers NOT_SUPPORTED
    if not mig_on:
        yield Gpu(uuid, str(index), product)
        return
    for i in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part: Any = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, i)
        except pynvml.NVMLError:
            continue  # an empty slot
        profile = pynvml.nvmlDeviceGetName(part).rpartition(" MIG ")[2]
        yield Gpu(pynvml.nvmlDeviceGetUUID(part), f"{index}:{i}", product, profile, uuid)
