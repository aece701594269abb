"""Users of container registries, as connections of category ContainerRegistry name them."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from inference_provider.errors import SecretNotRead
from inference_provider.injection import Contents
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.registry import nearest, place_of
from inference_provider.workspace.registry_login import Login, RegistryUsers
from inference_provider.workspace.secret_store import not_read
from inference_provider.workspace.state import State

CATEGORY = "ContainerRegistry"


def login_for(state: State, image: str) -> Login | None:
    """Return the user that the connection which is nearest to an image names; None without one.

    No other connection is read: its secret store may be silent.

    Raises:
        SecretsInjectionError, SecretStoreUnreachable: The secret store does not give it.
    """
    connection = nearest(image, registry_connections(state))
    if connection is None:
        return None
    try:
        contents = state.secrets.read(connection.name)
    except SecretNotRead as fault:
        raise not_read(fault, "read the credentials of", connection) from None
    return _login_of(contents or {})


def registry_connections(state: State) -> dict[ResourceId, str]:
    """Return the connections that name a user of a registry, and its place; see `place_of`.

    One whose record cannot be read names none: what is wrong with it is told elsewhere.
    """
    if not state.recorded(Kind.CONNECTION):  # most workspaces have none, and many records
        return {}
    records = (one for one in state.sorted_out()[0] if one.id.kind == Kind.CONNECTION)
    found = {record.id: _place_of(record.properties) for record in records}
    return {connection: place for connection, place in found.items() if place}


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
    place = _place_of(contents)
    if not place:
        return None
    given = contents["credentials"]
    return Login(place, given["username"], SecretStr(given["password"]))


def _place_of(connection: Mapping[str, Any]) -> str:
    """Return the place in a registry that a connection names a user of; empty where none."""
    is_one = connection.get("category") == CATEGORY
    return place_of(connection.get("target") or "") if is_one else ""
