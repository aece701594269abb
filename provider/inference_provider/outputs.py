"""observed -> what a person or a program gets back. Pure; secrets only when asked for."""

from typing import Any

from inference_provider.observed import ObservedResource, ObservedState, Presence
from inference_provider.secret_text import HIDDEN


def outputs(observed: ObservedState, *, show_secrets: bool = False) -> dict[str, dict[str, str]]:
    """Return outputs by resource address; secrets as `[secret]` unless asked for."""
    return {
        address: resource_outputs(resource, show_secrets=show_secrets)
        for address, resource in sorted(observed.resources.items())
        if resource.presence == Presence.PRESENT and (resource.outputs or resource.secret_outputs)
    }


def resource_outputs(resource: ObservedResource, *, show_secrets: bool) -> dict[str, Any]:
    """Return one resource's outputs, secrets in clear text only with `show_secrets`."""
    secrets = {
        name: value.get_secret_value() if show_secrets else HIDDEN
        for name, value in resource.secret_outputs.items()
    }
    return {**resource.outputs, **secrets}
