"""The key-value engine, version 2, of a HashiCorp Vault: what is at a path, or why it is not read.

Who asks proves that by variables of their own, in this order: VAULT_TOKEN; VAULT_ROLE_ID and
VAULT_SECRET_ID (AppRole); VAULT_KUBERNETES_ROLE, with the token of a pod's service account; the
file `~/.vault-token`. VAULT_CACERT and VAULT_NAMESPACE count too. What Vault says is never quoted.
"""

import json
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from inference_provider.errors import SecretNotRead

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0
POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_HOST = re.compile(r"https?://([A-Za-z0-9.:-]{1,260}|\[[0-9a-f:]{2,45}\](?::\d{1,5})?)(?:/|$)")
_WAYS = (
    "set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_KUBERNETES_ROLE in a pod, or"
    " run `vault login`"
)
Secret = Mapping[str, Any]


class Address(NamedTuple):
    """Where a Vault is."""

    url: str
    name: str
    """What a message calls it: the URL, unless that may have a password."""
    setting: str
    """Where a person wrote it."""


class Vault:
    """Reads secrets of one Vault, as one who logs in once."""

    def __init__(
        self,
        address: Address,
        environment: Mapping[str, str],
        *,
        namespace: str = "",
        home: Path | None = None,
        pod_token: Path = POD_TOKEN,
    ) -> None:
        self._address = address
        self._environment = environment
        self._namespace = namespace or environment.get("VAULT_NAMESPACE", "")
        self._home = home or Path.home()
        self._pod_token = pod_token
        self._token = ""

    def secrets(self, mount: str, paths: Iterable[str]) -> dict[str, Secret]:
        """Return the newest version of secrets, by their paths, each of which is asked for once.

        Raises:
            SecretNotRead: One of them cannot be read.
        """
        with self._opened() as client:
            return {path: self._secret(client, mount, path) for path in sorted({*paths})}

    def _secret(self, client: "httpx.Client", mount: str, path: str) -> Secret:
        asked = f"{quote(mount)}/data/{quote(path)}"
        answer = self._ask(client, "GET", asked, self._logged_in(client))
        if answer.status_code == 403 and not self._given():
            self._token = ""  # one that was issued may have ended meanwhile
            answer = self._ask(client, "GET", asked, self._logged_in(client))
        return _data_of(answer, place_of(mount, path))

    @contextmanager
    def _opened(self) -> Iterator["httpx.Client"]:
        import httpx  # noqa: PLC0415 - only who names a Vault pays for it

        own = self._environment.get("VAULT_CACERT")
        trusted = _trusted(own) if own else True
        try:
            # neither a proxy nor a password of .netrc: the token is for Vault alone
            with httpx.Client(verify=trusted, timeout=TIMEOUT_S, trust_env=False) as client:
                yield client
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            reason = f"{self._address.setting} is not a URL"
            remedy = "write it like https://vault.example.org:8200"
            raise SecretNotRead(reason, remedy, silent=True) from None
        except (httpx.HTTPError, OSError, ValueError) as fault:
            reason = f"Vault at {self._address.name} does not answer: {type(fault).__name__}"
            remedy = f"check {self._address.setting}, VAULT_CACERT and the network"
            raise SecretNotRead(reason, remedy, silent=True) from None

    def _ask(
        self, client: "httpx.Client", method: str, path: str, token: str = "", **more: Any
    ) -> "httpx.Response":
        headers = {"X-Vault-Request": "true"}
        headers |= {"X-Vault-Token": token} if token else {}
        headers |= {"X-Vault-Namespace": self._namespace} if self._namespace else {}
        url = f"{self._address.url.rstrip('/')}/v1/{path}"
        answer = client.request(method, url, headers=headers, **more)
        self._refuse_what_is_no_answer(answer)
        return answer

    def _refuse_what_is_no_answer(self, answer: "httpx.Response") -> None:
        """Raise where a standby or a proxy answers in place of Vault: nothing is known then."""
        name, setting = self._address.name, self._address.setting
        if 300 <= answer.status_code < 400:
            found = _HOST.match(answer.headers.get("location", ""))
            reason = f"Vault at {name} redirects to {found[1] if found else 'elsewhere'}"
            raise SecretNotRead(reason, f"set {setting} to the one that is active", silent=True)
        if answer.status_code == 200 and not isinstance(_json_of(answer), dict):
            reason = f"what is at {name} does not answer as Vault does"
            raise SecretNotRead(reason, f"check {setting}", silent=True)

    # -- who asks --------------------------------------------------------------------------------

    def _logged_in(self, client: "httpx.Client") -> str:
        if not self._token:
            self._token = self._given() or self._log_in(client)
        return self._token

    def _given(self) -> str:
        """Return a token that somebody has; empty where one must be asked for."""
        if token := self._environment.get("VAULT_TOKEN", "").strip():
            return token
        if self._environment.get("VAULT_ROLE_ID") or self._environment.get("VAULT_KUBERNETES_ROLE"):
            return ""
        return _text(self._home / ".vault-token")

    def _log_in(self, client: "httpx.Client") -> str:
        """Ask for a token. Raises SecretNotRead where nothing says as whom."""
        method, proof = self._proof()
        answer = self._ask(client, "POST", f"auth/{method}/login", json=proof)
        if answer.status_code == 200:
            return str(_of(_json_of(answer), "auth", "client_token") or "")
        if answer.status_code in (400, 401, 403):
            reason = f"Vault refuses the login by {method}"
            raise SecretNotRead(reason, "check the role and what proves it", silent=True)
        if answer.status_code == 404:
            reason = f"Vault at {self._address.name} takes no login by {method}"
            remedy = f"enable {method} there, or set VAULT_TOKEN"
            raise SecretNotRead(reason, remedy, silent=True)
        raise _not_said(answer, f"the login by {method}")

    def _proof(self) -> tuple[str, dict[str, str]]:
        environment = self._environment
        if role := environment.get("VAULT_ROLE_ID"):
            return "approle", {"role_id": role, "secret_id": environment.get("VAULT_SECRET_ID", "")}
        if role := environment.get("VAULT_KUBERNETES_ROLE"):
            return "kubernetes", {"role": role, "jwt": _text(self._pod_token)}
        raise SecretNotRead("there is no token for Vault", _WAYS, silent=True)


def place_of(mount: str, path: str) -> str:
    """Return what a message calls a place."""
    return f"Vault's {mount}/{path}"


def value_of(secret: Secret, key: str, place: str, remedy: str) -> str:
    """Return a value of a secret as text. Raises SecretNotRead where the secret has none."""
    value = secret.get(key)
    if value is None:
        names = ", ".join(f"'{name}'" for name in sorted(secret)) or "none"
        raise SecretNotRead(f"{place} has no key '{key}'; it has {names}", remedy)
    return value if isinstance(value, str) else json.dumps(value)


def _data_of(answer: "httpx.Response", place: str) -> Secret:
    if answer.status_code == 403:
        remedy = "use one whose policy may read it"
        raise SecretNotRead(f"{place}: Vault denies the token", remedy, silent=True)
    if answer.status_code == 404:
        remedy = "write the secret there, or correct the mount and the path"
        raise SecretNotRead(f"{place} is not there", remedy)
    if answer.status_code != 200:
        raise _not_said(answer, place)
    data = _of(_json_of(answer), "data", "data")
    if not isinstance(data, dict):
        reason = f"{place} is in no key-value engine of version 2"
        raise SecretNotRead(reason, "name the mount of one")
    return data


def _not_said(answer: "httpx.Response", place: str) -> SecretNotRead:
    if answer.status_code == 503:
        return SecretNotRead("Vault is sealed", "unseal it", silent=True)
    reason = f"{place}: Vault answered {answer.status_code}"
    return SecretNotRead(reason, "look at its audit log", silent=True)


def _of(found: Any, *names: str) -> Any:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _json_of(answer: "httpx.Response") -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _trusted(file: str) -> ssl.SSLContext:
    """Trust the certificates in a file alone. Raises SecretNotRead where that is not possible."""
    try:
        return ssl.create_default_context(cafile=file)
    except FileNotFoundError:
        reason = "VAULT_CACERT: no such file"
    except (OSError, ValueError):  # one that holds something else too
        reason = "VAULT_CACERT: no certificate can be read from it"
    remedy = "set it to the file of who signed Vault's certificate"
    raise SecretNotRead(reason, remedy, silent=True)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
