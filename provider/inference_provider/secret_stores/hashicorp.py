"""Credentials in a HashiCorp Vault: the secret store `vault` of a workspace."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_provider.errors import SecretNotRead
from inference_provider.secret_stores.vault import POD_TOKEN, Address, Vault, place_of, value_of

_REMEDY = "write it there, or correct stored_credentials"


class VaultSecrets:
    """Reads the newest version of secrets of one Vault."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        home: Path | None = None,
        pod_token: Path = POD_TOKEN,
    ) -> None:
        url = settings["address"].rstrip("/")
        address = Address(url, url, "the address of secret_store")
        self._mount = settings.get("mount") or "secret"
        self._folder = settings.get("path") or ""
        namespace = settings.get("namespace") or ""
        self._vault = Vault(
            address, environment, namespace=namespace, home=home, pod_token=pod_token
        )

    def values(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return the value of each credential, which is at `PATH#KEY`.

        Raises:
            SecretNotRead: One of them cannot be read.
        """
        wanted = {name: self._parts(place) for name, place in places.items()}
        found = self._vault.secrets(self._mount, [path for path, _ in wanted.values()])
        return {name: self._value(found[path], path, key) for name, (path, key) in wanted.items()}

    def _parts(self, place: str) -> tuple[str, str]:
        path, _, key = place.partition("#")
        return f"{self._folder}/{path}" if self._folder else path, key

    def _value(self, secret: Mapping[str, Any], path: str, key: str) -> str:
        place = place_of(self._mount, path)
        if value := value_of(secret, key, place, _REMEDY):
            return value
        raise SecretNotRead(f"{place}: key '{key}' is empty", _REMEDY)
