"""RouterTable -> the files that a router reads. Pure."""

from inference_provider.router.render import RenderedRouter, render
from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry, RouterTable

__all__ = [
    "Backend",
    "DeploymentEntry",
    "EndpointEntry",
    "RenderedRouter",
    "RouterTable",
    "render",
]
