"""What the instances of a deployment get of connections.

Goes in: the variables of a deployment, and the store. Comes out: values of those that refer to a
connection that the deployment's identity may read.
"""

from collections.abc import Iterator, Mapping

from pydantic import SecretStr

from inference_provider.desired import DesiredResource
from inference_provider.errors import (
    SecretNotRead,
    SecretsInjectionError,
    SecretStoreUnreachable,
)
from inference_provider.injection import Injected, VaultSecret, missing, value_of
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.spec import SpecModel
from inference_provider.spec.connection import asked_in, contents_of, vault_secrets_in
from inference_provider.spec.secret_store import misfit
from inference_provider.workspace.rights import refuse_secret_connections
from inference_provider.workspace.secret_store import not_read
from inference_provider.workspace.state import State


def injected_values(
    state: State, deployment: ResourceId, variables: Mapping[str, SecretStr]
) -> dict[str, SecretStr]:
    """Return the values of those variables that refer to a connection, or to a Key Vault.

    Raises:
        SecretsInjectionError: A connection is not there, cannot be read, or lacks what is asked; or
            the identity of the deployment's endpoint may not read it.
        SecretStoreUnreachable: A secret store does not answer.
    """
    refuse_secret_connections(state, deployment, variables)
    of_connections = {
        name: SecretStr(_value(state, deployment, name, asked))
        for name, asked in asked_in(variables)
    }
    return of_connections | {
        name: SecretStr(_vault_value(state, deployment, name, asked))
        for name, asked in vault_secrets_in(variables)
    }


def _vault_value(state: State, deployment: ResourceId, variable: str, asked: VaultSecret) -> str:
    try:
        return state.secrets.of_vault(asked)
    except SecretNotRead as fault:
        raise not_read(fault, f"read {asked}, to set {variable} of", deployment) from None


def _value(state: State, deployment: ResourceId, variable: str, asked: Injected) -> str:
    try:
        contents = state.secrets.read(asked.connection)
    except SecretNotRead as fault:
        doing = f"read connection '{asked.connection}', to set {variable} of"
        raise not_read(fault, doing, deployment) from None
    resource = ResourceId(
        kind=Kind.CONNECTION, workspace=deployment.workspace, name=asked.connection
    )
    if contents is None:
        recorded = state.record(resource) is not None
        reason = f"the secrets of connection '{asked.connection}' cannot be read"
        if not recorded:
            reason = f"connection '{asked.connection}' is not there"
        remedy = "apply the connection again" if recorded else "declare it first"
        raise SecretsInjectionError(f"set {variable} of", str(deployment), reason, remedy)
    value = value_of(contents, asked)
    if value is None:
        remedy = "correct one of the two"
        raise SecretsInjectionError(
            f"set {variable} of", str(deployment), missing(contents, asked), remedy
        )
    return value


def outdated(state: State, connection: ResourceId) -> tuple[set[ResourceId], dict[ResourceId, str]]:
    """Return the deployments that run with other values of a connection than it has now.

    Those that can have these, and why the others cannot.
    """
    stale, left = set[ResourceId](), dict[ResourceId, str]()
    for record, _ in naming(state, connection):
        try:
            fault, is_current = _standing(state, record)
        except SecretStoreUnreachable as silent:
            fault, is_current = silent.reason, True
        if fault:
            left[record.id] = fault
        elif not is_current:
            stale.add(record.id)
    return stale, left


def _standing(state: State, record: Record) -> tuple[str, bool]:
    """Say what a recorded deployment cannot be given; and whether it runs with what it can be.

    Raises:
        SecretStoreUnreachable: Nobody can tell.
    """
    try:
        return "", state.secrets.digest_of(_values(state, record)) == record.injected
    except SecretsInjectionError as fault:
        return fault.reason, False


def _values(state: State, record: Record) -> dict[str, SecretStr]:
    blueprint = state.blueprint(record.id.name) if record.injected else None
    variables = blueprint.environment_variables if blueprint else {}
    return injected_values(state, record.id, variables)


def stale_fault(state: State, record: Record) -> str:
    """Say why a recorded deployment does not run with what its connections hold; empty if so.

    Raises:
        SecretStoreUnreachable: Nobody can tell.
    """
    blueprint = state.blueprint(record.id.name) if record.injected else None
    if blueprint is None:
        return ""
    fault, is_current = _standing(state, record)
    if fault or is_current:
        return fault
    variables = blueprint.environment_variables
    named = sorted({f"'{a.connection}'" for _, a in asked_in(variables)})
    plural = "s" if len(named) > 1 else ""
    said = [f"connection{plural} {', '.join(named)}"] if named else []
    said += sorted({str(asked) for _, asked in vault_secrets_in(variables)})
    return f"its instances run with earlier values of {', '.join(said)}"


def naming(state: State, connection: ResourceId) -> Iterator[tuple[Record, SpecModel]]:
    """Yield recorded deployments that refer to a connection, as they were applied."""
    for record in state.of_kind(Kind.DEPLOYMENT, "online"):
        blueprint = state.blueprint(record.id.name) if record.injected else None
        if blueprint is None:
            continue
        asked = asked_in(blueprint.environment_variables)
        if any(one.connection == connection.name for _, one in asked):
            yield record, blueprint


def refuse_misfit(state: State, desired: DesiredResource) -> None:
    """Raise where a connection's credentials are not where its workspace's secret store has them.

    One of another stack may have changed that store.
    """
    if found := misfit(state.store_kind(), desired.spec):
        field, reason, remedy = found
        raise SecretsInjectionError("apply", str(desired.id), f"{field}: {reason}", remedy)


def refuse_taken_away(state: State, desired: DesiredResource) -> None:
    """Raise where a deployment of another stack asks what a connection would have no more.

    One of the same stack may be changed in the same breath.
    """
    contents = contents_of(desired.spec)
    for record, blueprint in naming(state, desired.id):
        for _, asked in asked_in(blueprint.environment_variables):  # type: ignore[attr-defined]
            lost = asked.connection == desired.id.name and value_of(contents, asked) is None
            if lost and record.owner != desired.owner:
                reason = f"{missing(contents, asked)}, and {record.id} of stack '{record.owner}'"
                remedy = "keep it until that stack needs it no more"
                raise SecretsInjectionError("update", str(desired.id), f"{reason} needs it", remedy)
