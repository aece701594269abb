"""Stands in for Docker hosts: each place is a state folder of its own in Pulumi's plugin."""

import os
import sys
from pathlib import Path

if "pulumi.dynamic" in sys.orig_argv:
    from inference_provider.dynamic.base import open_targets_with
    from inference_provider.spec.target import Home, kind_of
    from inference_provider.targets.local.target import LocalTarget

    class Elsewhere(LocalTarget):
        leads_to = ""

        def home(self):
            seen = not (Path(os.environ["INFERENCE_STATE_DIR"]) / "no-home").exists()
            is_docker = seen and self.capabilities.name == "docker"
            ids = {"engine": self.leads_to} if is_docker else {}
            return Home(ids, f"Docker host {self.leads_to}" if is_docker else "")

    def open_target(place):
        root = Path(os.environ["INFERENCE_STATE_DIR"])
        switch = root / "docker-leads-to"
        leads_to = getattr(place, "context", None) or kind_of(place)
        if place == "docker" and switch.exists():
            leads_to = switch.read_text()
        target = Elsewhere.open(root / leads_to)
        target.leads_to = leads_to
        target.local.capabilities = target.capabilities.model_copy(update={"name": kind_of(place)})
        return target

    open_targets_with(open_target)
