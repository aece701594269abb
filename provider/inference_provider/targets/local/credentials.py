"""Values of connections and of Key Vaults, read from a workspace's files when a program starts.

What the workspace has itself is read from its store; of what another secret store has, a program
gets again what it got first. No file has either in clear. Imports little: each start of an instance
pays for it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple
from urllib.parse import quote

from inference_provider.injection import Injected, injected, missing, value_of, vault_secret
from inference_provider.sealing import NONCE_BYTES, Unreadable, key_in, sealed, unsealed

_KEY = Path("store_key", "key.json")


class SecretsInjectionError(Exception):
    """A variable cannot be set; says which connection is at fault."""


class First(NamedTuple):
    """What the variables of a program got when it was added, encrypted under its name."""

    program: str
    document: str


_NO_VALUES = First("", "")


def first_values(folder: Path, program: str, values: Mapping[str, str]) -> str:
    """Return values encrypted with the workspace's key; empty for none, or without a key."""
    try:
        key = key_in((folder / _KEY).read_bytes()) if values else b""
    except (OSError, Unreadable):
        key = b""
    return sealed(json.dumps(values), program, key, token_bytes(NONCE_BYTES)) if key else ""


def values(folder: Path, variables: Mapping[str, str], first: First = _NO_VALUES) -> dict[str, str]:
    """Return what variables are set to, of which each refers to a connection or a Key Vault.

    Args:
        folder: The workspace's.
        variables: References by variable.
        first: Used for what another secret store has than the workspace's own.

    Raises:
        SecretsInjectionError: One of them cannot be.
    """
    return {name: _value(folder, name, text, first) for name, text in variables.items()}


def _is_elsewhere(document: bytes) -> bool:
    """Whether a document says only where credentials are."""
    try:
        return "about" in json.loads(document)
    except (ValueError, TypeError):
        return False


def _value(folder: Path, variable: str, reference: str, first: First) -> str:
    asked = injected(reference)
    if asked is None and (secret := vault_secret(reference)) is None:
        raise SecretsInjectionError(f"set {variable}: it refers to no connection")
    try:
        key = key_in((folder / _KEY).read_bytes())
        if asked is None:
            return _first_value(variable, first, key)
        return _of_connection(folder, variable, asked, first, key)
    except (OSError, Unreadable, KeyError):
        named = f"the secrets of connection '{asked.connection}'" if asked else secret
        reason = f"{named} cannot be read; apply {'it' if asked else 'the deployment'} again"
        raise SecretsInjectionError(f"set {variable}: {reason}") from None


def _of_connection(folder: Path, variable: str, asked: Injected, first: First, key: bytes) -> str:
    named = asked.connection
    document = (folder / "credentials" / f"{quote(named, safe='')}.json").read_bytes()
    if _is_elsewhere(document):
        return _first_value(variable, first, key)
    contents = json.loads(unsealed(document, named, key))
    value = value_of(contents, asked)
    if value is None:
        raise SecretsInjectionError(f"set {variable}: {missing(contents, asked)}")
    return value


def _first_value(variable: str, first: First, key: bytes) -> str:
    return str(json.loads(unsealed(first.document.encode(), first.program, key))[variable])
