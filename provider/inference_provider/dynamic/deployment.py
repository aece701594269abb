"""Deployment as a dynamic resource.

Stacks store this module's path and the class's name: never rename either.
"""

from inference_provider.dynamic.base import KindProvider
from inference_provider.observed import Kind


class DeploymentProvider(KindProvider):
    """Runs a model behind an endpoint."""

    kind = Kind.DEPLOYMENT
