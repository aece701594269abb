"""`${vault:MOUNT/PATH#KEY}` -> a secret of the HashiCorp Vault at VAULT_ADDR, or why none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_provider.errors import SecretNotRead
from inference_provider.secret_stores.vault import Address, Vault, place_of, value_of

_FORM = "write ${vault:MOUNT/PATH#KEY}"


class VaultValues:
    """Reads secrets, each once."""

    def __init__(self, environment: Mapping[str, str], home: Path | None = None) -> None:
        self._url = environment.get("VAULT_ADDR", "")
        # the URL itself may have a password
        self._vault = Vault(Address(self._url, "VAULT_ADDR", "VAULT_ADDR"), environment, home=home)
        self._read: dict[str, Mapping[str, Any]] = {}

    def value(self, asked: str) -> str:
        """Return the value of `<mount>/<path>#<key>`.

        Raises:
            SecretNotRead: It cannot be read.
        """
        place, _, key = asked.partition("#")
        mount, _, path = place.strip("/").partition("/")
        # what `..` leads to would be of another mount than the one that is written
        if not (mount and path and key) or {".", ".."} & {*place.split("/")} or "?" in place:
            raise SecretNotRead("not a place in Vault", _FORM)
        if not self._url:
            raise SecretNotRead("VAULT_ADDR is not set", "set it to the URL of Vault")
        if place not in self._read:
            self._read[place] = self._vault.secrets(mount, [path])[path]
        remedy = "write it there, or correct the key"
        return value_of(self._read[place], key, place_of(mount, path), remedy)
