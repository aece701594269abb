"""What GPUs of instances on a Docker host do, as `nvidia-smi` in each of them says it."""

from typing import Any, cast

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.meter import HostPlace, use_in
from inference_provider.targets.docker.ruled_router import RuledRouter
from inference_provider.targets.samples import GpuUse


@pytest.mark.parametrize(
    ("said", "use"),
    [
        pytest.param("37, 20480, 81920\n", GpuUse(busy=37.0, memory=25.0), id="a GPU"),
        pytest.param("[N/A], 20480, 81920\n", GpuUse(memory=25.0), id="one that tells less"),
        pytest.param("37, [N/A], [N/A]\n", GpuUse(busy=37.0), id="one without its memory"),
        pytest.param("No devices were found\n", GpuUse(), id="one that is gone"),
        pytest.param("nothing within 10 s", GpuUse(), id="a driver that hangs"),
        pytest.param("", GpuUse(), id="no answer"),
    ],
)
def test_what_a_driver_does_not_say_is_not_known(said, use):
    assert use_in(said) == use


class Host(DockerHost):
    """Has instances whose `nvidia-smi` says as many percent as the number of the GPU."""

    def __init__(self, *held: str) -> None:
        self.held = held
        self.asked_of: list[tuple[str, str]] = []

    def containers(self, filters):
        return [
            {
                "Id": f"c{number}", "Names": [f"/i{number}"], "Image": "a", "ImageID": "a",
                "State": "running", "HostConfig": {"NetworkMode": "inference.lab"},
                "Labels": {**names.labels("lab", names.INSTANCE), names.NAME: f"i{number}"}
                | ({names.GPUS: uuids} if uuids else {}),
            }
            for number, uuids in enumerate(self.held)
        ]  # fmt: skip

    def ask(self, command, line, limit_s, *, again=False):
        program, id_, *_ = command.words
        assert program == "nvidia-smi"
        self.asked_of.append((command.container, id_))
        if id_ == "--id=GPU-9":
            raise TargetUnreachable("run", "a command", "it has ended", "")
        return f"{id_[-1]}, 1, 4\n".encode()


def gpus(host: DockerHost, *instances: str):
    return HostPlace(host, "lab", cast("Any", RuledRouter)).gpus(instances)


def test_each_instance_is_asked_for_the_gpus_that_it_holds():
    host = Host("GPU-1,GPU-2", "GPU-3", "")
    assert gpus(host, "i0", "i1", "i2") == {
        "i0": [GpuUse(1.0, 25.0), GpuUse(2.0, 25.0)],
        "i1": [GpuUse(3.0, 25.0)],
    }
    assert sorted(host.asked_of) == [
        *(("c0", "--id=GPU-1"), ("c0", "--id=GPU-2")),
        ("c1", "--id=GPU-3"),
    ]


def test_nothing_is_known_of_a_slice_nor_of_an_instance_that_ends():
    host = Host("MIG-1", "GPU-9")
    assert gpus(host, "i0", "i1", "gone") == {"i0": [], "i1": [GpuUse()]}
    assert host.asked_of == [("c1", "--id=GPU-9")]


def test_instances_without_gpus_are_not_asked():
    host = Host("", "")
    assert gpus(host, "i0", "i1") == {}
    assert host.asked_of == []
