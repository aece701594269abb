"""What every resource of this SDK shares: its owner's label and its secrets.

Goes in: typed arguments. Comes out: a registered dynamic resource; checking is the provider's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

SECRET_FIELDS = ("environment_variables", "credentials", "primary_key", "secondary_key")
"""Encrypted in the stack's state, whether the program said so or not."""


class InferenceResource(Resource):
    """Base of the resources; `stack` is the owner's label they carry."""

    stack: pulumi.Output[str]
    """Owner's label: what carries another one is not touched."""

    def __init__(
        self,
        provider: ResourceProvider,
        resource_name: str,
        *,
        fields: Mapping[str, Any],
        outputs: Sequence[str],
        stack: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        written = {name: value for name, value in fields.items() if value is not None}
        for name in SECRET_FIELDS:
            if name in written:
                written[name] = pulumi.Output.secret(written[name])
        owner = pulumi.get_project() if stack is None else stack
        props = {**dict.fromkeys(outputs), **written, "stack": owner}
        secret = [name for name in SECRET_FIELDS if name in props]
        hidden = pulumi.ResourceOptions(additional_secret_outputs=secret)
        super().__init__(provider, resource_name, props, pulumi.ResourceOptions.merge(hidden, opts))
