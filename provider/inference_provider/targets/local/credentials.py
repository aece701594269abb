"""Values of connections, read from a workspace's files when a program starts.

So no file but the store has them. Imports little: each start of an instance pays for it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from inference_provider.injection import injected, missing, value_of
from inference_provider.sealing import Unreadable, key_in, unsealed


class SecretsInjectionError(Exception):
    """A variable cannot be set; says which connection is at fault."""


def values(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return what variables are set to, of which each refers to a connection.

    Args:
        folder: The workspace's.
        variables: References by variable.

    Raises:
        SecretsInjectionError: One of them cannot be.
    """
    return {name: _value(folder, name, text) for name, text in variables.items()}


def _value(folder: Path, variable: str, reference: str) -> str:
    asked = injected(reference)
    if asked is None:
        raise SecretsInjectionError(f"set {variable}: it refers to no connection")
    named = asked.connection
    try:
        key = key_in((folder / "store_key" / "key.json").read_bytes())
        document = (folder / "credentials" / f"{quote(named, safe='')}.json").read_bytes()
        contents = json.loads(unsealed(document, named, key))
    except (OSError, Unreadable):
        reason = f"the secrets of connection '{named}' cannot be read"
        raise SecretsInjectionError(f"set {variable}: {reason}; apply it again") from None
    value = value_of(contents, asked)
    if value is None:
        raise SecretsInjectionError(f"set {variable}: {missing(contents, asked)}")
    return value
