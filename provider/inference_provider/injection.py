"""References to secrets in environment variables, in Azure ML's words. Pure.

    ${{azureml://connections/<name>}}                       all of it, as JSON
    ${{azureml://connections/<name>/target}}
    ${{azureml://connections/<name>/metadata/<key>}}
    ${{azureml://connections/<name>/credentials/<key>}}
    ${{keyvault:https://<vault>/secrets/<name>/<version>}}     the newest without a version

Goes in: the text of a variable, and what a connection holds. Comes out: what the variable is set
to. The local target imports this at each start of an instance, so it imports little.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

Contents = Mapping[str, Any]
"""What a connection holds: `name`, `category`, `auth_type`, `target`, `metadata`, `credentials`."""

ANY = re.compile(r"\$\{\{\s*(?i:azureml\s*:|keyvault\s*:)")
"""How each reference begins, that of an Azure Key Vault too, and what is meant to be one."""
_KEY_VAULT = re.compile(r"\$\{\{\s*keyvault", re.IGNORECASE)
_CONNECTION = re.compile(
    r"\$\{\{\s*azureml://connections/(?P<name>[^/{}\s]+)"
    r"(?:/(?P<part>credentials|metadata)/(?P<key>[^/{}\s]+)|/(?P<target>target))?\s*\}\}"
)
SECRET_PLACE = r"(?P<name>[A-Za-z0-9-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?"
"""Of a secret in an Azure Key Vault: its name, or with a version."""
_SECRET = re.compile(
    r"\$\{\{\s*keyvault:(?P<url>https://[A-Za-z0-9.-]+(:\d{1,5})?)/secrets/"
    rf"{SECRET_PLACE}/?\s*\}}\}}"
)
_TYPE = "Microsoft.MachineLearningServices/workspaces/connections"


class Injected(NamedTuple):
    """What a variable gets of a connection."""

    connection: str
    part: str
    """`credentials`, `metadata`, `target`; empty for all of it."""
    key: str

    def __str__(self) -> str:
        return "/".join(filter(None, (self.part, self.key))) or "all of it"


class VaultSecret(NamedTuple):
    """A secret of an Azure Key Vault, which a variable gets."""

    url: str
    """Of the vault."""
    name: str
    version: str
    """Empty for the newest."""

    @property
    def place(self) -> str:
        """Where it is in its vault."""
        return f"{self.name}/{self.version}" if self.version else self.name

    @property
    def scope(self) -> str:
        """What a role assignment calls it: `vaults/<host>/secrets/<name>`."""
        return f"vaults/{self.url.removeprefix('https://').lower()}/secrets/{self.name}"

    def __str__(self) -> str:
        return f"secret '{self.name}' of Key Vault {self.url}"


def vault_secret(text: str) -> VaultSecret | None:
    """Return the secret of a Key Vault that a variable of this text gets; None for none."""
    found = _SECRET.fullmatch(text.strip())
    return VaultSecret(found["url"], found["name"], found["version"] or "") if found else None


def is_reference(text: str) -> bool:
    """Whether a variable of this text gets its value from elsewhere."""
    return injected(text) is not None or vault_secret(text) is not None


def injected(text: str) -> Injected | None:
    """Return what a variable of this text gets of a connection; None where it names none."""
    found = _CONNECTION.fullmatch(text.strip())
    if found is None:
        return None
    return Injected(found["name"], found["part"] or found["target"] or "", found["key"] or "")


def reference_fault(text: str) -> str:
    """Return why a text that holds a reference cannot be used; empty where it holds none."""
    if not ANY.search(text) or is_reference(text):
        return ""
    if _KEY_VAULT.search(text):
        return (
            "not a reference to a secret of an Azure Key Vault; write it alone, as"
            " ${{keyvault:https://VAULT.vault.azure.net/secrets/NAME}}, with /VERSION or without"
        )
    return (
        "not a reference to a connection; write it alone, as"
        " ${{azureml://connections/NAME/credentials/KEY}}, or with /metadata/KEY or /target"
    )


def value_of(contents: Contents, asked: Injected) -> str | None:
    """Return what a variable is set to; None where the connection has nothing of that name."""
    if asked.part == "target":
        target: str = contents["target"]
        return target or None
    if asked.part:
        value: str | None = contents[asked.part].get(asked.key)
        return value
    return _whole(contents)


def _whole(contents: Contents) -> str:
    """Return all of a connection as Azure ML's List Secrets answers it."""
    credentials: Any = contents["credentials"]
    if contents["auth_type"] == "CustomKeys":
        credentials = {"keys": credentials}
    properties = {
        "authType": contents["auth_type"],
        "category": contents["category"],
        "target": contents["target"],
        "metadata": contents["metadata"],
        "credentials": credentials,
    }
    return json.dumps({"name": contents["name"], "type": _TYPE, "properties": properties})


def missing(contents: Contents, asked: Injected) -> str:
    """Say what of a connection is not there, and what is."""
    if asked.part == "target":
        return f"connection '{asked.connection}' has no target"
    there = ", ".join(f"'{name}'" for name in contents[asked.part]) or "none"
    return f"connection '{asked.connection}' has no {asked.part} '{asked.key}'; it has {there}"
