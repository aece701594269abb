"""What targets of tests can do, and what tests declare on them."""

from tests.stacks import deployment, stack

from inference_provider.gpus import Ledger
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.local.capabilities import local_capabilities
from inference_provider.targets.local.machine import Fit

RULE = {"endpoint": "iris", "deployment": "blue", "max_instances": 2}
ROLLOUT = {
    "steps": [{"share": 10, "bake_minutes": 10}],
    "alarms": [{"metric": "ErrorRate", "above": 2}],
}
GPU_STEP = {
    "metric": "GpuUtilizationPercentage",
    "operator": "greater_than",
    "threshold": 80,
    "change": 1,
}
LOCAL = local_capabilities(Ledger, lambda: Fit("user 'ann' may not have one here", ("ask root",)))
DOCKER = {"workspaces": [{"target": "docker"}]}


def on_docker(**fields):
    return deployment(**fields).model_copy(update={"workspaces": stack(**DOCKER).workspaces})


def docker():
    return docker_capabilities(lambda _base: Ledger(), lambda _image: "", lambda *_asked: True)
