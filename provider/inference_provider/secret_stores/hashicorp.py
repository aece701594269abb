"""Credentials in the key-value engine, version 2, of a HashiCorp Vault, by its library hvac.

Who asks proves that by variables of their own, in this order: VAULT_TOKEN; VAULT_ROLE_ID and
VAULT_SECRET_ID (AppRole); VAULT_KUBERNETES_ROLE, with the token of a pod's service account; the
file `~/.vault-token`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_provider.errors import SecretNotRead

if TYPE_CHECKING:
    import hvac
    import requests

TIMEOUT_S = 10
_POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_HOST = re.compile(r"https?://([A-Za-z0-9.:-]{1,260}|\[[0-9a-f:]{2,45}\](?::\d{1,5})?)(?:/|$)")
_WAYS = (
    "set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_KUBERNETES_ROLE in a pod, or"
    " run `vault login`"
)


class VaultSecrets:
    """Reads the newest version of secrets of one Vault, as one who logs in once."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        home: Path | None = None,
        pod_token: Path = _POD_TOKEN,
    ) -> None:
        self._address = settings["address"].rstrip("/")
        self._mount = settings.get("mount") or "secret"
        self._folder = settings.get("path") or ""
        self._namespace = settings.get("namespace")
        self._environment = environment
        self._home = home or Path.home()
        self._pod_token = pod_token
        self._client: hvac.Client | None = None

    def values(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return the value of each credential, which is at `PATH#KEY`.

        Raises:
            SecretNotRead: One of them cannot be read.
        """
        wanted = {name: place.partition("#")[::2] for name, place in places.items()}
        found = {path: self._secret(path) for path in sorted({path for path, _ in wanted.values()})}
        return {name: self._key(found[path], path, key) for name, (path, key) in wanted.items()}

    def _key(self, secret: Mapping[str, Any], path: str, key: str) -> str:
        value = secret.get(key)
        if value in (None, ""):
            names = ", ".join(f"'{name}'" for name in sorted(secret)) or "none"
            reason = f"{self._at(path)} has no key '{key}'; it has {names}"
            raise SecretNotRead(reason, "write it there, or correct stored_credentials")
        return value if isinstance(value, str) else json.dumps(value)

    def _at(self, path: str) -> str:
        return f"Vault's {self._mount}/{self._below(path)}"

    def _below(self, path: str) -> str:
        return f"{self._folder}/{path}" if self._folder else path

    def _secret(self, path: str) -> Mapping[str, Any]:
        from hvac.exceptions import Forbidden  # noqa: PLC0415 - of an extra

        with self._asked(self._at(path)):
            try:
                found = self._read(path)
            except Forbidden:
                if self._given():
                    raise
                self._client = None  # a token that was issued may have ended meanwhile
                found = self._read(path)
        return found

    def _read(self, path: str) -> Mapping[str, Any]:
        answer = self._logged_in().secrets.kv.v2.read_secret_version(
            self._below(path), mount_point=self._mount, raise_on_deleted_version=True
        )
        data = answer["data"]["data"]
        if not isinstance(data, dict):
            raise TypeError
        return data

    # -- who asks --------------------------------------------------------------------------------

    def _logged_in(self) -> "hvac.Client":
        if self._client is None:
            client = self._opened()
            client.token = self._given()
            if not client.token:
                self._log_in(client)
            self._client = client
        return self._client

    def _opened(self) -> "hvac.Client":
        import hvac  # noqa: PLC0415 - of an extra
        import requests  # noqa: PLC0415 - hvac brings it

        session = requests.Session()
        session.trust_env = False  # neither a proxy nor .netrc: the token is for Vault alone
        session.verify = self._environment.get("VAULT_CACERT") or True
        session.hooks["response"] = [self._refuse_what_is_no_answer]
        return hvac.Client(
            url=self._address,
            token="",  # or it reads the process's own variables
            verify=session.verify,
            timeout=TIMEOUT_S,
            session=session,
            allow_redirects=False,
            namespace=self._namespace or self._environment.get("VAULT_NAMESPACE"),
        )

    def _refuse_what_is_no_answer(self, answer: "requests.Response", **_how: object) -> None:
        """Raise where a standby or a proxy answers in place of Vault: nothing is known then."""
        if 300 <= answer.status_code < 400:
            answer.close()
            found = _HOST.match(answer.headers.get("location", ""))
            reason = f"Vault at {self._address} redirects to {found[1] if found else 'elsewhere'}"
            remedy = "set the address of secret_store to the one that is active"
            raise SecretNotRead(reason, remedy, silent=True)
        if answer.status_code == 200 and not _is_object(answer):
            answer.close()
            reason = f"what is at {self._address} does not answer as Vault does"
            raise SecretNotRead(reason, "check the address of secret_store", silent=True)

    def _given(self) -> str:
        """Return a token that somebody has; empty where one must be asked for."""
        if token := self._environment.get("VAULT_TOKEN", "").strip():
            return token
        if self._environment.get("VAULT_ROLE_ID") or self._environment.get("VAULT_KUBERNETES_ROLE"):
            return ""
        return _text(self._home / ".vault-token")

    def _log_in(self, client: "hvac.Client") -> None:
        """Ask for a token. Raises SecretNotRead where nothing says as whom."""
        from hvac.exceptions import (  # noqa: PLC0415 - of an extra
            Forbidden,
            InvalidPath,
            InvalidRequest,
            Unauthorized,
        )

        environment, method = self._environment, "approle"
        try:
            if role := environment.get("VAULT_ROLE_ID"):
                client.auth.approle.login(role, environment.get("VAULT_SECRET_ID"))
            elif role := environment.get("VAULT_KUBERNETES_ROLE"):
                method = "kubernetes"
                client.auth.kubernetes.login(role, _text(self._pod_token))
            else:
                raise SecretNotRead("there is no token for Vault", _WAYS, silent=True)
        except (Forbidden, InvalidRequest, Unauthorized):
            reason = f"Vault refuses the login by {method}"
            raise SecretNotRead(reason, "check the role and what proves it", silent=True) from None
        except InvalidPath:
            reason = f"Vault at {self._address} takes no login by {method}"
            remedy = f"enable {method} there, or set VAULT_TOKEN"
            raise SecretNotRead(reason, remedy, silent=True) from None

    @contextmanager
    def _asked(self, place: str) -> Iterator[None]:
        """Say what goes wrong in our words: theirs quote what Vault said."""
        from hvac import exceptions  # noqa: PLC0415 - of an extra
        from requests.exceptions import RequestException  # noqa: PLC0415 - hvac brings it

        try:
            yield
        except exceptions.Forbidden:
            reason = f"{place}: Vault denies the token"
            remedy = "use one whose policy may read it"
            raise SecretNotRead(reason, remedy, silent=True) from None
        except exceptions.InvalidPath:
            remedy = "write the secret there, or correct mount, path or stored_credentials"
            raise SecretNotRead(f"{place} is not there", remedy) from None
        except exceptions.VaultDown:
            raise SecretNotRead("Vault is sealed", "unseal it", silent=True) from None
        except exceptions.VaultError as fault:
            reason = f"{place}: Vault answered with {type(fault).__name__}"
            raise SecretNotRead(reason, "look at its audit log", silent=True) from None
        except (KeyError, TypeError):
            reason = f"{place} is in no key-value engine of version 2"
            raise SecretNotRead(reason, "name the mount of one in secret_store") from None
        except (RequestException, OSError, ValueError) as fault:
            reason = f"Vault at {self._address} does not answer: {type(fault).__name__}"
            remedy = "check the address of secret_store, VAULT_CACERT and the network"
            raise SecretNotRead(reason, remedy, silent=True) from None


def _is_object(answer: "requests.Response") -> bool:
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
