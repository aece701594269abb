"""Settings of a workspace's secret store -> what reads it."""

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from inference_provider.errors import SecretNotRead

if TYPE_CHECKING:
    from inference_provider.secret_stores.azure import AzureSecrets
    from inference_provider.secret_stores.environment import EnvironmentSecrets
    from inference_provider.secret_stores.hashicorp import VaultSecrets

_NEEDS = {"azure_key_vault": ("azure.keyvault", "azure-key-vault")}
"""Kind -> the package that it needs, and the extra that brings it."""


def open_store(
    settings: Mapping[str, Any],
) -> "AzureSecrets | EnvironmentSecrets | VaultSecrets":
    """Return what reads a secret store.

    Raises:
        SecretNotRead: A package is missing that it needs.
    """
    kind = settings["kind"]
    if fault := store_fault(kind):
        raise SecretNotRead(*fault, silent=True)
    if kind == "environment":
        from inference_provider.secret_stores.environment import (  # noqa: PLC0415
            EnvironmentSecrets,
        )

        return EnvironmentSecrets(os.environ)
    if kind == "vault":
        from inference_provider.secret_stores.hashicorp import VaultSecrets  # noqa: PLC0415

        return VaultSecrets(settings, os.environ)
    from inference_provider.secret_stores.azure import AzureSecrets  # noqa: PLC0415

    return AzureSecrets(settings)


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def store_fault(kind: str, is_there: Callable[[str], bool] = _is_there) -> tuple[str, str] | None:
    """Return reason and remedy where a package is missing that a kind of store needs."""
    package, extra = _NEEDS.get(kind, ("", ""))
    if not package or is_there(package):
        return None
    reason = f"reading from {kind} needs a package that is not installed"
    return reason, f"run: pip install 'pulumi-inference[{extra}]'"
