"""SecretStore: where the credentials of a workspace's connections lie.

The workspace keeps them itself, encrypted, or it keeps none, and reads them where they are each
time that somebody plans or starts instances.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Tag

from inference_provider.injection import SECRET_PLACE
from inference_provider.spec.base import NO_SECRET, SpecModel, kind_among, on_kind
from inference_provider.spec.identity_provider import Url, is_safe

if TYPE_CHECKING:
    from inference_provider.spec.connection import ConnectionSpec

_KINDS = ("encrypted_file", "environment", "vault", "azure_key_vault")
_SEGMENT = r"(\.{0,2}[A-Za-z0-9_-]|\.{3})[A-Za-z0-9_.-]*"
"""Neither `.` nor `..`: Vault takes what such a path leads to, be it of another mount."""
_PATH = rf"^{_SEGMENT}(/{_SEGMENT})*$"


def _unread_on_the_way(url: str) -> str:
    if not is_safe(url):
        raise ValueError("the address uses http://, which others can read; use https://")
    return url


def _plain(url: str) -> str:
    path = urlsplit(url).path
    if "?" in url or "%" in path or "\\" in url or {".", ".."} & {*path.split("/")}:
        raise ValueError("expected the URL of a server, without query, `%`, `\\`, `/./` and `/../`")
    return url


StoreUrl = Annotated[Url, AfterValidator(_unread_on_the_way), AfterValidator(_plain), NO_SECRET]


class EncryptedFileStore(SpecModel):
    """The workspace keeps credentials itself, encrypted with a key of its own."""

    kind: Annotated[Literal["encrypted_file"], kind_among(*_KINDS)] = "encrypted_file"


class EnvironmentStore(SpecModel):
    """Credentials are environment variables of whoever plans or starts instances."""

    kind: Literal["environment"]


class VaultStore(SpecModel):
    """Credentials are in the key-value engine, version 2, of a HashiCorp Vault."""

    kind: Literal["vault"]
    address: StoreUrl
    """`https://vault.example.org:8200`. Who asks proves that by variables of their own:
    `VAULT_TOKEN`, `VAULT_ROLE_ID` with `VAULT_SECRET_ID`, or `VAULT_KUBERNETES_ROLE` in a pod."""
    mount: Annotated[str, Field(pattern=_PATH)] = "secret"
    """Where the engine is mounted."""
    path: Annotated[str, Field(pattern=_PATH)] | None = None
    """Folder of it in which all of them lie; its root when left out."""
    namespace: Annotated[str, Field(pattern=_PATH)] | None = None
    """Namespace of Vault Enterprise."""


class AzureKeyVaultStore(SpecModel):
    """Credentials are secrets of an Azure Key Vault."""

    kind: Literal["azure_key_vault"]
    url: StoreUrl
    """`https://lab.vault.azure.net`. Who asks is found out as by every library of Azure's: from
    variables, a workload's or managed identity, or `az login`."""


AnySecretStore = Annotated[
    Annotated[EncryptedFileStore, Tag("encrypted_file")]
    | Annotated[EnvironmentStore, Tag("environment")]
    | Annotated[VaultStore, Tag("vault")]
    | Annotated[AzureKeyVaultStore, Tag("azure_key_vault")],
    on_kind(*_KINDS),
]

_PLACES: Mapping[str, tuple[re.Pattern[str], str, str]] = {
    "environment": (
        re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
        "an environment variable",
        "the name of a variable: OPENAI_KEY",
    ),
    "vault": (
        re.compile(rf"{_PATH[1:-1]}#\S+"),
        "a secret in a Vault",
        "PATH#KEY: openai#key",
    ),
    "azure_key_vault": (
        re.compile(SECRET_PLACE),
        "a secret in an Azure Key Vault",
        "the name of a secret, with a version or without: openai-key",
    ),
}
"""How a store names a place, what that is, and what to write."""


def store_kind(settings: Mapping[str, Any] | None) -> str:
    """Return the kind that recorded settings say; an older release recorded none."""
    return str((settings or {}).get("kind", _KINDS[0]))


def misfit(kind: str, connection: "ConnectionSpec") -> tuple[str, str, str] | None:
    """Return field, reason and remedy where a connection does not fit its workspace's store."""
    if kind == _KINDS[0]:
        if not connection.stored_credentials:
            return None
        reason = "the workspace's secret_store is encrypted_file, which has what connections say"
        return "stored_credentials", reason, "write credentials, or name another secret_store"
    if connection.credentials:
        names = ", ".join(sorted(connection.credentials))
        remedy = f"leave {names} out, and say in stored_credentials where each is"
        return "credentials", f"secret_store {kind} is read-only", remedy
    pattern, noun, form = _PLACES[kind]
    for name, place in connection.stored_credentials.items():
        if not pattern.fullmatch(place):
            reason = f"'{place}' does not name {noun}"
            return f"stored_credentials.{name}", reason, f"write {form}"
    return None
