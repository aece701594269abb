"""How busy GPUs are, by an NVML that answers as a test says."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from inference_provider.targets.local.gpus import gpus_in_use
from inference_provider.targets.samples import GpuUse


class Nvml:
    """Two GPUs: a whole one, and a slice, which is not asked how busy it is."""

    class NVMLError(Exception):
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid not in ("GPU-a", "MIG-b"):
            raise self.NVMLError
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle == "MIG-b":
            raise self.NVMLError
        return SimpleNamespace(gpu=37)

    def nvmlDeviceGetMemoryInfo(self, _handle):
        return SimpleNamespace(used=20, total=80)


@pytest.mark.parametrize(
    ("uuid", "use"),
    [
        pytest.param("GPU-a", GpuUse(busy=37.0, memory=25.0), id="a GPU"),
        pytest.param("MIG-b", GpuUse(busy=None, memory=25.0), id="a slice"),
        pytest.param("GPU-gone", GpuUse(), id="one that is gone"),
    ],
)
def test_what_the_driver_does_not_say_is_unknown(uuid, use):
    assert gpus_in_use([uuid], lambda: nullcontext(Nvml())) == {uuid: use}


def test_without_a_driver_nothing_is_known():
    assert gpus_in_use(["GPU-a"], lambda: nullcontext(None)) == {}
