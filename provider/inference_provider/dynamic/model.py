"""Model as a dynamic resource.

Stacks store this module's path and the class's name: never rename either.
"""

from inference_provider.dynamic.base import KindProvider
from inference_provider.observed import Kind


class ModelProvider(KindProvider):
    """Keeps a folder of weights, by its content."""

    kind = Kind.MODEL
