"""GPUs of this machine, as its driver knows them.

They are found through NVML. The instances' files say who has which, so there is no separate ledger
that could disagree with them.
"""

import ctypes
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from inference_provider.gpus import Gpu
from inference_provider.targets.samples import GpuUse


def discover_gpus() -> tuple[Gpu, ...]:
    """Return each GPU, or its MIG slices instead; nothing without a driver."""
    with _driver() as driver:
        if driver is None:
            return ()
        count = driver.nvmlDeviceGetCount()
        return tuple(gpu for i in range(count) for gpu in _devices_of(i))


def gpus_in_use(
    uuids: Collection[str], opened: Callable[[], AbstractContextManager[Any]] | None = None
) -> dict[str, GpuUse]:
    """Return how busy some GPUs are, by UUID; nothing without a driver.

    Args:
        uuids: Which.
        opened: Opens NVML; None for this machine's.
    """
    with (opened or _driver)() as driver:
        return {uuid: _use_of(driver, uuid) for uuid in uuids} if driver else {}


@contextmanager
def _driver() -> Iterator[Any]:
    """Yield NVML while it is open; None without a driver."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")  # pynvml loads this library
    except OSError:
        yield None
        return
    import pynvml  # noqa: PLC0415 - it takes 15 ms, and few machines have a driver

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _use_of(driver: Any, uuid: str) -> GpuUse:
    busy = memory = None
    with suppress(driver.NVMLError):  # gone
        handle = driver.nvmlDeviceGetHandleByUUID(uuid)
        with suppress(driver.NVMLError):  # no slice is asked this
            busy = float(driver.nvmlDeviceGetUtilizationRates(handle).gpu)
        with suppress(driver.NVMLError):
            found = driver.nvmlDeviceGetMemoryInfo(handle)
            memory = 100 * found.used / found.total
    return GpuUse(busy, memory)


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
