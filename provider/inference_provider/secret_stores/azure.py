"""Credentials that are secrets of an Azure Key Vault, by Azure's own libraries."""

from collections.abc import Mapping
from typing import Any

from inference_provider.errors import SecretNotRead

TIMEOUT_S = 10
_NO_IDENTITY = (
    "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give this"
    " machine a managed identity"
)


class AzureSecrets:
    """Reads secrets of one Key Vault, as whoever Azure's libraries find."""

    def __init__(self, settings: Mapping[str, Any], **transport: Any) -> None:
        """Open it; `transport` is what azure-core takes besides: whom to trust, how to connect."""
        self._url = settings["url"].rstrip("/")
        self._transport = transport
        self._client: Any = None

    def values(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return the value of each credential, which is the secret `NAME` or `NAME/VERSION`.

        Raises:
            SecretNotRead: One of them cannot be read.
        """
        return {name: self._secret(place) for name, place in places.items()}

    def _secret(self, place: str) -> str:
        from azure.core.exceptions import (  # noqa: PLC0415 - of an extra
            AzureError,
            ClientAuthenticationError,
            HttpResponseError,
        )

        name, _, version = place.partition("/")
        try:
            value = self._opened().get_secret(name, version or None).value
        except ClientAuthenticationError as fault:
            raise _denied(fault, place) from None
        except HttpResponseError as fault:
            raise _refusal(fault.status_code or 0, place) from None
        except (AzureError, ValueError, OSError) as fault:
            reason = f"the Key Vault at {self._url} does not answer: {type(fault).__name__}"
            remedy = "check the vault's URL and the network"
            raise SecretNotRead(reason, remedy, silent=True) from None
        if not value:
            raise SecretNotRead(f"secret '{place}' of the Key Vault is empty", "set it there")
        return str(value)

    def _opened(self) -> Any:
        if self._client is None:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - of an extra
            from azure.keyvault.secrets import SecretClient  # noqa: PLC0415

            settings: dict[str, Any] = {
                "connection_timeout": TIMEOUT_S,
                "read_timeout": TIMEOUT_S,
                "retry_total": 1,
                "permit_redirects": False,  # or another vault would say what the secret is
            }
            identity = DefaultAzureCredential(exclude_interactive_browser_credential=True)
            self._client = SecretClient(self._url, identity, **settings, **self._transport)
        return self._client


def _denied(fault: Any, place: str) -> SecretNotRead:
    if fault.response is None:
        return SecretNotRead("there is no identity for the Key Vault", _NO_IDENTITY, silent=True)
    return _refusal(int(fault.status_code), place)


def _refusal(status: int, place: str) -> SecretNotRead:
    if status == 404:
        remedy = "set it there, or correct its name"
        return SecretNotRead(f"the Key Vault has no secret '{place}'", remedy)
    if status in (401, 403):
        reason = f"the Key Vault denies secret '{place}'"
        remedy = "give whoever runs this the role 'Key Vault Secrets User' there, or enable it"
        return SecretNotRead(reason, remedy, silent=True)
    if 300 <= status < 400:
        reason = f"secret '{place}': the Key Vault redirects elsewhere ({status})"
        return SecretNotRead(reason, "name the vault's own URL", silent=True)
    reason = f"secret '{place}': the Key Vault answered {status}"
    return SecretNotRead(reason, "look at its log", silent=True)
