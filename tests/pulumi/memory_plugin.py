"""The SDK's own plugin process over a memory target: stands in for `python -m pulumi.dynamic`.

In it are a workspace `default`, an environment, an endpoint `front` and its deployment `red`, of
another stack.
"""

import runpy
import sys
from pathlib import Path

from inference_provider.desired import DesiredResource, identify
from inference_provider.dynamic.base import open_targets_with
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EndpointSpec
from inference_provider.targets.memory import MemoryTarget

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.memory import ANN, with_environment, with_workspace

NONE = "0" * 64
PIN = f"plain:1@sha256:{NONE}"
memory = with_environment(with_workspace(MemoryTarget()), NONE)
for kind, spec in (
    (Kind.ENDPOINT, EndpointSpec(name="front")),
    (Kind.DEPLOYMENT, DeploymentSpec(endpoint="front", name="red", environment=PIN)),
):
    memory.apply(DesiredResource(id=identify(kind, spec), spec=spec, owner="base"), ANN)
open_targets_with(lambda _place: memory)
runpy.run_module("pulumi.dynamic", run_name="__main__")
