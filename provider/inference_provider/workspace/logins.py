"""Users of container registries, as connections of category ContainerRegistry name them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from inference_provider.errors import SecretNotRead
from inference_provider.injection import Contents
from inference_provider.observed import Kind, ResourceId
from inference_provider.workspace.registry_login import Login, RegistryUsers
from inference_provider.workspace.secret_store import not_read
from inference_provider.workspace.state import State

CATEGORY = "ContainerRegistry"


def logins_of(state: State) -> tuple[Login, ...]:
    """Return the users that the connections of a workspace name, sorted by connection.

    Raises:
        SecretsInjectionError, SecretStoreUnreachable: The secret store does not give one.
    """
    return tuple(_logins(state))


def _logins(state: State) -> Iterator[Login]:
    for connection in registry_connections(state):
        try:
            contents = state.secrets.read(connection.name)
        except SecretNotRead as fault:
            raise not_read(fault, "read the credentials of", connection) from None
        if contents is not None and (login := _login_of(contents)):
            yield login


def registry_connections(state: State) -> dict[ResourceId, str]:
    """Return the connections that name a user of a registry, and which registry that is.

    One whose record cannot be read names none: what is wrong with it is told elsewhere.
    """
    if not state.recorded(Kind.CONNECTION):  # most workspaces have none, and many records
        return {}
    records = (one for one in state.sorted_out()[0] if one.id.kind == Kind.CONNECTION)
    found = {record.id: _registry_of(record.properties) for record in records}
    return {connection: host for connection, host in found.items() if host}


def settle_login(users: RegistryUsers | None, connection: str, contents: Contents | None) -> None:
    """Have what a connection holds held for who pulls by himself; nothing where it names no user.

    Args:
        users: What holds it; None where nothing does.
        connection: Its name.
        contents: What it holds; None where it is not there.
    """
    if users is None or (contents is not None and contents["category"] != CATEGORY):
        return
    if login := _login_of(contents or {}):
        users.keep(connection, login)
    else:
        users.drop(connection)


def _login_of(contents: Contents) -> Login | None:
    host = _registry_of(contents)
    if not host:
        return None
    given = contents["credentials"]
    return Login(host, given["username"], SecretStr(given["password"]))


def _registry_of(connection: Mapping[str, Any]) -> str:
    """Return the registry that a connection names a user of; empty where it names none."""
    is_one = connection.get("category") == CATEGORY
    return host_of(connection.get("target") or "") if is_one else ""


def host_of(target: str) -> str:
    """Return the registry that a connection's target names, `https://hub.example.org/v2/` too."""
    return target.partition("://")[2].partition("/")[0] or target.partition("/")[0]
