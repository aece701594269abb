"""The SDK's own plugin process over a memory target: stands in for `python -m pulumi.dynamic`."""

import runpy

from inference_provider.dynamic.base import open_targets_with
from inference_provider.targets.memory import MemoryTarget

memory = MemoryTarget()
open_targets_with(lambda: memory)
runpy.run_module("pulumi.dynamic", run_name="__main__")
