"""Users of container registries, as connections of category ContainerRegistry name them."""

from collections.abc import Iterator

from pydantic import SecretStr

from inference_provider.errors import SecretNotRead
from inference_provider.observed import Kind
from inference_provider.workspace.registry_login import Login
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
    for record in state.of_kind(Kind.CONNECTION):
        host = host_of(record.properties.get("target") or "")
        if record.properties.get("category") != CATEGORY or not host:
            continue
        try:
            contents = state.secrets.read(record.id.name)
        except SecretNotRead as fault:
            raise not_read(fault, "read the credentials of", record.id) from None
        if contents is not None:
            given = contents["credentials"]
            yield Login(host, given["username"], SecretStr(given["password"]))


def host_of(target: str) -> str:
    """Return the registry that a connection's target names, `https://hub.example.org/v2/` too."""
    return target.partition("://")[2].partition("/")[0] or target.partition("/")[0]
