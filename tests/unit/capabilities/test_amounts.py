"""Amounts that a target refuses: processors, GPUs, and variables of a process."""

from tests.stacks import deployment
from tests.unit.capabilities.offers import docker, on_docker

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.gpus import Gpu, Ledger
from inference_provider.refusals import refusals
from inference_provider.targets.local.capabilities import local_capabilities

T4, A100 = Gpu("GPU-a", "0", "Tesla T4"), Gpu("GPU-b", "1", "NVIDIA A100-SXM4-80GB")


def test_an_amount_that_a_docker_engine_cannot_enforce_is_refused():
    able = docker()
    asked = on_docker(resources={"limits": {"cpu": "5m"}})
    assert [str(refusal) for refusal in refusals(resolve(asked), able)] == [
        "Deployment 'default/iris/blue' on target 'docker': resources.limits.cpu: 5m, and a Docker"
        " Engine limits to 10m or more; ask for at least 10m"
    ]
    assert refusals(resolve(on_docker(resources={"limits": {"cpu": "10m"}})), able) == ()


def test_a_request_for_gpus_that_differs_from_the_limit_is_refused():
    able = local_capabilities(lambda: Ledger((T4, A100)))
    asked = deployment(resources={"requests": {"gpu": 1}, "limits": {"gpu": 2}})
    assert [str(refusal) for refusal in refusals(resolve(asked), able)] == [
        "Deployment 'default/iris/blue' on target 'local': resources.requests.gpu: 1, and the limit"
        " is 2; an instance gets whole GPUs of its own; leave it out"
    ]
    same = deployment(resources={"requests": {"gpu": 2}, "limits": {"gpu": 2}})
    assert refusals(resolve(same), able) == ()


def test_variables_that_together_are_more_than_a_process_takes_are_refused():
    large = {f"V{i}": "x" * 100_000 for i in range(10)}
    able = TargetCapabilities(name="local", process_bytes=2**20)
    [refusal] = refusals(resolve(deployment(environment_variables=large)), able)
    assert str(refusal) == (
        "Deployment 'default/iris/blue' on target 'local': environment_variables: 1,000,120 bytes"
        " together, the limit is 983,040; put large values into files of the code"
    )
    able = TargetCapabilities(name="local", process_bytes=2 * 2**20)
    assert refusals(resolve(deployment(environment_variables=large)), able) == ()
