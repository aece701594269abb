"""Stands in for a Docker host: `docker` is a state folder of its own in Pulumi's plugin."""

import os
import sys
from pathlib import Path

if "pulumi.dynamic" in sys.orig_argv:
    from inference_provider.dynamic.base import open_targets_with
    from inference_provider.spec.target import kind_of
    from inference_provider.targets.local.target import LocalTarget

    def open_target(place):
        folder = Path(os.environ["INFERENCE_STATE_DIR"], kind_of(place))
        target = LocalTarget.open(folder)
        target.local.capabilities = target.capabilities.model_copy(update={"name": kind_of(place)})
        return target

    open_targets_with(open_target)
