"""Secrets of a HashiCorp Vault, by its key-value engine of version 2.

Goes in: `<mount>/<path>#<key>`, and Vault's own variables: VAULT_ADDR, VAULT_TOKEN (else the file
`~/.vault-token`), VAULT_NAMESPACE and VAULT_CACERT. Comes out: the value, or why there is none.
"""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_provider.files.reading import VALUE_MIB, Unreadable, read_text

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0
_FORM = "write ${vault:MOUNT/PATH#KEY}"
_TOKEN_FILE = ".vault-token"
_REASONS = {
    400: ("Vault refused the request", _FORM),
    403: ("Vault refused the token", "use one whose policy may read this path"),
    404: ("not in Vault", "correct the mount and the path, or write the secret there"),
    503: ("Vault is sealed", "unseal it"),
}


class NotRead(Exception):
    """Why a secret cannot be read, and what to do. Never quotes an answer of Vault."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Vault:
    """Reads secrets, each once."""

    def __init__(self, environment: Mapping[str, str], home: Path | None = None) -> None:
        self._environment = environment
        self._home = home or Path.home()
        self._read: dict[str, Mapping[str, Any]] = {}

    def value(self, asked: str) -> str:
        """Return the value of `<mount>/<path>#<key>`.

        Raises:
            NotRead: It cannot be read.
        """
        place, _, key = asked.partition("#")
        mount, _, path = place.strip("/").partition("/")
        # what `..` leads to would be of another mount than the one that is written
        if not (mount and path and key) or {".", ".."} & {*place.split("/")} or "?" in place:
            raise NotRead("not a place in Vault", _FORM)
        if place not in self._read:
            self._read[place] = self._secret(mount, path)
        found = self._read[place].get(key)
        if found is None:
            names = ", ".join(f"'{name}'" for name in sorted(self._read[place])) or "none"
            raise NotRead(f"no key '{key}' at {mount}/{path} in Vault; it has {names}", "write one")
        return found if isinstance(found, str) else json.dumps(found)

    def _secret(self, mount: str, path: str) -> Mapping[str, Any]:
        import httpx  # noqa: PLC0415 - only who names Vault pays for it

        address = self._environment.get("VAULT_ADDR", "").rstrip("/")
        if not address:
            raise NotRead("VAULT_ADDR is not set", "set it to the URL of Vault")
        try:
            # neither a proxy nor a password of .netrc: the token is for Vault alone
            with httpx.Client(verify=self._verify(), timeout=TIMEOUT_S, trust_env=False) as client:
                answer = client.get(f"{address}/v1/{mount}/data/{path}", headers=self._headers())
        except (httpx.TransportError, httpx.InvalidURL, OSError) as fault:
            reason = f"Vault at VAULT_ADDR does not answer: {type(fault).__name__}"
            raise NotRead(reason, "check VAULT_ADDR and VAULT_CACERT") from None
        return _data_of(answer)

    def _headers(self) -> dict[str, str]:
        token = self._environment.get("VAULT_TOKEN", "") or self._token_in_file()
        if not token:
            raise NotRead("there is no token for Vault", "set VAULT_TOKEN, or run `vault login`")
        namespace = self._environment.get("VAULT_NAMESPACE")
        more = {"X-Vault-Namespace": namespace} if namespace else {}
        return {"X-Vault-Token": token, "X-Vault-Request": "true", **more}

    def _token_in_file(self) -> str:
        try:
            return read_text(self._home / _TOKEN_FILE, _TOKEN_FILE, VALUE_MIB).strip()
        except Unreadable:
            return ""

    def _verify(self) -> "ssl.SSLContext | bool":
        own = self._environment.get("VAULT_CACERT")
        return ssl.create_default_context(cafile=own) if own else True


def _data_of(answer: "httpx.Response") -> Mapping[str, Any]:
    """Return the data of a secret's newest version. Raises NotRead."""
    if answer.status_code != 200:
        other = f"Vault answered {answer.status_code}", "look at its audit log"
        raise NotRead(*_REASONS.get(answer.status_code, other))
    try:
        data = answer.json()["data"]["data"]
    except (ValueError, KeyError, TypeError):
        data = None
    if not isinstance(data, dict):
        reason = "Vault's answer is none of a key-value engine of version 2"
        raise NotRead(reason, "name a mount of version 2")
    return data
