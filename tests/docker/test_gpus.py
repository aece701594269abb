"""GPUs on a real Docker Engine that has none: which containers get which ids, and who holds them.

The Engine has a hook in its PATH that does what NVIDIA's does up to the devices themselves.
"""

import io
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from docker.types import DeviceRequest

from inference_provider.apply import refuse_unsupported
from inference_provider.errors import CapabilityMissing, OutOfCapacity
from inference_provider.gpus import Gpu
from inference_provider.plan import plan
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.gpus import HostGpus, inventory
from tests.conformance.labs import DockerLab, together
from tests.docker_host import BASE_IMAGE, FAKE_GPUS, run_in

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not FAKE_GPUS, reason="the Engine has no hook that stands for NVIDIA's"),
]
SMI = """\
#!/bin/sh
if [ "$1" = -L ]; then
  echo "GPU 0: Tesla T4 (UUID: GPU-aa)"
  echo "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)"
  echo "  MIG 1g.5gb      Device  0: (UUID: MIG-cc)"
else
  echo "0, GPU-aa, Tesla T4, [N/A]"
  echo "1, GPU-bb, NVIDIA A100-SXM4-40GB, Enabled"
fi
"""


def whole(count, **more) -> dict[str, Any]:
    return {"resources": {"limits": {"gpu": count}}, **more}


@pytest.fixture
def lab(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"gpu{time.time_ns() % 10**9}")
    made.apply(*made.desired[:4])
    yield made
    made.close()


@pytest.fixture
def another(host):
    """Start a container of somebody else, with these settings of its host."""
    made: list[str] = []

    def start(name, environment=None, **settings):
        config = host.api.create_host_config(network_mode="none", init=True, **settings)
        created = host.api.create_container(
            BASE_IMAGE, ["sleep", "600"], name=name, environment=environment, host_config=config
        )
        made.append(created["Id"])
        host.api.start(created["Id"])

    yield start
    for one in made:
        host.remove(one)


@pytest.fixture
def with_smi(host, images):
    """An image whose `nvidia-smi` says that there are two GPUs, one of them partitioned."""
    dockerfile = f"FROM {BASE_IMAGE}\nCOPY nvidia-smi /usr/bin/\n".encode()
    context = packed({"Dockerfile": dockerfile, "nvidia-smi": SMI.encode()}, 0o755)
    tag = f"inference-test-smi:{time.time_ns()}"
    said = host.api.build(
        fileobj=io.BytesIO(context), custom_context=True, tag=tag, rm=True, decode=True
    )
    assert [part["error"] for part in said if "error" in part] == []
    yield tag
    host.api.remove_image(tag)


def variables(lab, name) -> dict[str, str]:
    status, said = run_in(lab.platform.host, name, "env")
    assert status == 0
    return dict(line.split("=", 1) for line in said.splitlines())


def test_an_instance_is_told_its_gpus_and_one_without_any_that_it_has_none(lab):
    lab.apply(lab.deployment(**whole(2)), lab.deployment("green"))
    [blue], [green] = lab.instances(), lab.instances("iris/green")
    [request] = lab.platform.host.container(blue)["HostConfig"]["DeviceRequests"]
    assert (request["DeviceIDs"], request["Capabilities"]) == (["GPU-0", "GPU-1"], [["gpu"]])
    assert variables(lab, blue)["NVIDIA_VISIBLE_DEVICES"] == "GPU-0,GPU-1"
    assert variables(lab, green)["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_a_deployment_cannot_take_gpus_by_a_variable(lab):
    lab.apply(lab.deployment(environment_variables={"NVIDIA_VISIBLE_DEVICES": "all"}))
    [blue] = lab.instances()
    assert variables(lab, blue)["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_what_containers_of_others_hold_is_not_handed_out_and_named_in_a_plan(lab, another):
    another(f"{lab.workspace}.notebook", device_requests=[
        DeviceRequest(device_ids=["1", "GPU-2"], capabilities=[["gpu"]])
    ])  # fmt: skip
    asked = lab.deployment(**whole(3))
    with pytest.raises(OutOfCapacity) as caught:
        lab.apply(asked)
    assert str(caught.value) == (
        f"hand GPUs to Deployment '{lab.workspace}/iris/blue': 3 wanted, 2 of 4 free"
        f" (GPU-0 Tesla T4: free, GPU-1 Tesla T4: {lab.workspace}.notebook,"
        f" GPU-2 Tesla T4: {lab.workspace}.notebook, GPU-3 Tesla T4: free); ask for fewer, or scale"
        " another deployment in"
    )
    found = plan((asked,), lab.target.observe([lab.workspace]), "demo")
    with pytest.raises(CapabilityMissing) as refused:
        refuse_unsupported(found, lab.target)
    assert (
        f"Deployment '{lab.workspace}/iris/blue' on target 'docker': resources.limits.gpu: 3"
        " together, and the host has 4, 2 of them held already (GPU-0 Tesla T4: free,"
    ) in str(refused.value)
    lab.apply(lab.deployment(**whole(2)))
    [blue] = lab.instances()
    assert variables(lab, blue)["NVIDIA_VISIBLE_DEVICES"] == "GPU-0,GPU-3"


def test_a_container_with_all_gpus_leaves_none_until_it_ends(lab, another, host):
    name = f"{lab.workspace}.all"
    another(name, device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])])
    with pytest.raises(OutOfCapacity, match="1 wanted, 0 of 4 free"):
        lab.apply(lab.deployment(**whole(1)))
    host.api.stop(name, timeout=1)
    lab.apply(lab.deployment(**whole(1)))


def test_another_client_hands_out_what_is_left(lab):
    lab.apply(lab.deployment(**whole(3)))
    other = DockerLab.open(lab.folder)
    ledger = other.gpus.ledger()
    [blue] = lab.instances()
    assert [holder.name for holder in ledger.holders["GPU-2"]] == [blue]
    assert "GPU-3" not in ledger.holders
    assert lab.platform.host.container(blue)["Config"]["Labels"][names.GPUS] == "GPU-0,GPU-1,GPU-2"


def test_of_two_workspaces_at_once_no_gpu_is_given_to_both(lab, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    other = DockerLab(DockerLab.open(folder), folder, f"{lab.workspace}x")
    try:
        other.apply(*other.desired[:4])
        raised = together(
            lambda: lab.apply(lab.deployment(**whole(3))),
            lambda: other.apply(other.deployment(**whole(3))),
        )
        assert sorted(type(fault).__name__ for fault in raised) == ["NoneType", "OutOfCapacity"]
    finally:
        other.close()


def test_nobody_else_on_the_host_gets_gpus_while_some_are_handed_out(lab):
    asked = lab.deployment(**whole(1))
    unit: Any = SimpleNamespace(id=asked.id, spec=asked.spec, gpus=())
    with DockerLab.open(lab.folder).gpus.handing_out(unit, 1, ()) as given:
        assert given == [("GPU-0",)]
        thread = threading.Thread(target=lambda: lab.apply(asked))
        thread.start()
        time.sleep(2)
        assert lab.instances() == {}
    thread.join()
    assert len(lab.instances()) == 1


def test_gpus_of_a_product_are_given_by_name(lab):
    typed = {"resources": {"limits": {"gpu": 1}, "gpu_product": "T4"}}
    lab.apply(lab.deployment(**typed))
    with pytest.raises(CapabilityMissing, match="1 of product 'H100' for all instances, and the"):
        lab.apply(lab.deployment("green", resources={"limits": {"gpu": 1}, "gpu_product": "H100"}))


def test_what_the_host_has_is_asked_of_nvidia_smi(host, with_smi):
    assert inventory(host, lambda _base: with_smi)(None).gpus == (
        Gpu("GPU-aa", "0", "Tesla T4"),
        Gpu("MIG-cc", "1:0", "NVIDIA A100-SXM4-40GB", "1g.5gb", "GPU-bb"),
    )


def test_a_host_whose_containers_have_no_nvidia_smi_has_no_gpu_and_says_why(host):
    found = HostGpus(host, inventory(host, lambda _base: BASE_IMAGE)).ledger()
    assert found.gpus == ()
    assert "nvidia-smi in a container with all GPUs says: " in found.nothing
    assert "not found" in found.nothing


def test_nothing_of_the_question_stays(host):
    HostGpus(host, inventory(host, lambda _base: BASE_IMAGE)).ledger()
    assert host.containers({"label": f"{names.ROLE}={names.PROBE}"}) == []
