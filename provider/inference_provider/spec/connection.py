"""Connection: a named set of credentials."""

from typing import Annotated

from pydantic import SecretStr

from inference_provider.spec.base import REPLACES, SECURITY, ResourceName, SpecModel


class ConnectionSpec(SpecModel):
    """A named set of credentials in the workspace's secret store."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ResourceName, REPLACES]
    category: Annotated[str, REPLACES] = "CustomKeys"
    """Kind of service behind it, by Azure ML's names: `CustomKeys`, `AzureOpenAI`, …"""
    target: Annotated[str, SECURITY] = ""
    """URL of the service, where there is one."""
    credentials: Annotated[dict[str, SecretStr], SECURITY] = {}
    """Named secrets."""
