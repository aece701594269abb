"""Which GPUs a Docker host has and who holds them, from what `nvidia-smi` and the Engine say."""

from contextlib import contextmanager
from typing import Any

import pytest
import requests
from docker.errors import APIError

from inference_provider.gpus import Gpu
from inference_provider.targets.docker.gpus import gpus_in, held_ids, inventory

SAID = """\
0, GPU-5d5ba0d6-d33d, Tesla T4, [N/A]
1, GPU-9e3d8d2b-8a77, NVIDIA A100-SXM4-40GB, Enabled
2, GPU-1c22ae71-0b64, NVIDIA A100-SXM4-40GB, Disabled
3, GPU-7f0a1f0e-5b1d, NVIDIA A100-SXM4-40GB, Enabled
GPU 0: Tesla T4 (UUID: GPU-5d5ba0d6-d33d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9e3d8d2b-8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-1c22ae71-0b64)
GPU 3: NVIDIA A100-SXM4-40GB (UUID: GPU-7f0a1f0e-5b1d)
"""


def test_a_partitioned_gpu_is_its_slices_and_none_where_it_has_none():
    a100, parent = "NVIDIA A100-SXM4-40GB", "GPU-9e3d8d2b-8a77"
    assert gpus_in(SAID) == (
        Gpu("GPU-5d5ba0d6-d33d", "0", "Tesla T4"),
        Gpu("GPU-1c22ae71-0b64", "2", a100),
        Gpu("MIG-c6d4f1ef-42e4", "1:0", a100, "1g.5gb", parent),
        Gpu("MIG-cba663e8-9bed", "1:1", a100, "3g.20gb", parent),
    )


def test_what_else_is_said_is_no_gpu():
    assert gpus_in("sh: 1: nvidia-smi: not found\n") == ()
    assert gpus_in("a, b, c, d\n") == ()


def container(env=(), **config):
    return {"HostConfig": config, "Config": {"Env": [*env]}}


def asks(**request):
    whole = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]], **request}
    return container(DeviceRequests=[whole])


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        pytest.param(container(DeviceRequests=None, Devices=None), set(), id="none"),
        pytest.param(asks(Count=-1), {"all"}, id="all"),
        pytest.param(asks(Count=2), {"0", "1"}, id="the first ones"),
        pytest.param(asks(DeviceIDs=["1", "GPU-a"]), {"1", "GPU-a"}, id="chosen"),
        pytest.param(asks(Count=-1, Capabilities=[["tpu"]]), set(), id="no GPUs"),
        pytest.param(
            asks(Driver="cdi", DeviceIDs=["nvidia.com/gpu=0", "x.com/y=1"], Capabilities=None),
            {"0"},
            id="by CDI",
        ),
        pytest.param(
            container(["NVIDIA_VISIBLE_DEVICES=0,GPU-b"], Runtime="nvidia"),
            {"0", "GPU-b"},
            id="by a variable of NVIDIA's runtime",
        ),
        pytest.param(
            container(["NVIDIA_VISIBLE_DEVICES=all"], Runtime="runc"),
            set(),
            id="of another runtime",
        ),
        pytest.param(
            container(Devices=[{"PathOnHost": "/dev/nvidia3"}, {"PathOnHost": "/dev/nvidiactl"}]),
            {"3"},
            id="by device file",
        ),
        pytest.param(None, set(), id="gone"),
    ],
)  # fmt: skip
def test_a_container_of_others_holds_what_it_asked_for(there, expected):
    assert held_ids(there) - {""} == expected


class Host:
    """Answers as an Engine without NVIDIA's runtime; its clock says 1000."""

    def __init__(self, *containers):
        self.there = {one["Id"]: one for one in containers}

    @contextmanager
    def asked(self, operation, resource):
        yield self

    def create_host_config(self, **given):
        return given

    def create_container(self, image, command, labels, **given):
        self.there["new"] = probe("new", 1000)
        return {"Id": "new"}

    def start(self, container):
        raise APIError("refused", requests.Response(), "could not select device driver")

    def has_image(self, name):
        return True

    def containers(self, filters):
        assert filters == {"label": "inference.role=probe"}
        return [*self.there.values()]

    def remove(self, container):
        del self.there[container]


def probe(id_, created_s, **labels):
    return {"Id": id_, "Created": created_s, "Labels": {"inference.role": "probe", **labels}}


def test_what_a_killed_client_asked_with_is_removed_by_the_next_one_that_asks():
    others = {"inference.workspace": "lab"}
    host: Any = Host(probe("killed", 699), probe("asks now", 701), probe("another", 1, **others))
    found = inventory(host, lambda _base: "base")(None)
    assert found.nothing == "its Docker Engine has no NVIDIA runtime"
    assert [*host.there] == ["asks now", "another"]
