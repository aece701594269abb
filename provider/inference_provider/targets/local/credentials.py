"""Values of connections, read from a workspace's files when a program starts.

So no file but the store has them in clear. Imports little: each start of an instance pays for it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple
from urllib.parse import quote

from inference_provider.injection import injected, missing, value_of
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
    """Return what variables are set to, of which each refers to a connection.

    Args:
        folder: The workspace's.
        variables: References by variable.
        first: Used where the workspace has moved to a secret store that is not its own, and has a
            connection's credentials no longer.

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
    if asked is None:
        raise SecretsInjectionError(f"set {variable}: it refers to no connection")
    named = asked.connection
    try:
        key = key_in((folder / _KEY).read_bytes())
        document = (folder / "credentials" / f"{quote(named, safe='')}.json").read_bytes()
        if _is_elsewhere(document):
            found = json.loads(unsealed(first.document.encode(), first.program, key))
            return str(found[variable])
        contents = json.loads(unsealed(document, named, key))
    except (OSError, Unreadable, KeyError):
        reason = f"the secrets of connection '{named}' cannot be read"
        raise SecretsInjectionError(f"set {variable}: {reason}; apply it again") from None
    value = value_of(contents, asked)
    if value is None:
        raise SecretsInjectionError(f"set {variable}: {missing(contents, asked)}")
    return value
