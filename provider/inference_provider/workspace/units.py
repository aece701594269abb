"""What one generation of a deployment is, as Compute starts it.

Goes in: a deployment as desired, or its record. Comes out: a `Unit`, with what its instances get of
connections and the secrets that an error must hide.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from pydantic import SecretStr

from inference_provider.desired import DesiredResource
from inference_provider.errors import SecretStoreUnreachable, TargetError
from inference_provider.injection import is_reference
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.ownership import is_made_again
from inference_provider.secret_text import Secrets, userinfo_in
from inference_provider.spec import EnvironmentSpec
from inference_provider.workspace.injection import injected_values
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State


class _Unread(Mapping[str, SecretStr]):
    """Variables whose values a silent secret store has: only who needs a value fails."""

    def __init__(self, names: Collection[str], fault: SecretStoreUnreachable) -> None:
        self._names = names
        self._fault = fault

    def __getitem__(self, name: str) -> SecretStr:
        told = self._fault
        remedy = f"{told.remedy}, then run this again: new instances need the value"
        raise SecretStoreUnreachable(told.operation, told.resource, told.reason, remedy)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Units:
    """The units of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._state = workspace.state
        self._content = workspace.ports.content
        self._edit = workspace.ports.records.edit

    def of(self, desired: DesiredResource, *, recorded: bool = False) -> Unit:
        """Return the unit of a deployment.

        Args:
            desired: The deployment.
            recorded: Whether it has instances already, which need no value of a secret store again;
                new ones fail where that is silent.
        """
        before = self._state.record(desired.id)
        environment = self._content.environment(desired.spec.environment)
        injected = self._recorded(desired) if recorded else self._injected(desired)
        known = () if isinstance(injected, _Unread) else injected.values()
        return Unit(
            id=desired.id,
            generation=desired.generation,
            spec=desired.spec,
            environment=environment,
            base_dir=desired.base_dir,
            secrets=(*self._secrets(desired, environment), *known),
            injected=injected,
            admitted=(before.admitted or ()) if before else (),
            gpus=desired.gpus,
            afresh=is_made_again(desired, before),
            rule=self._state.rule_of(desired.id),
        )

    def recorded(self, record: Record) -> Unit | None:
        """Return the unit of what a record says; None if it cannot be started again."""
        with suppress(TargetError):  # its environment may be gone
            desired = recorded_deployment(self._state, record)
            return self.of(desired, recorded=True) if desired else None
        return None

    def _injected(self, desired: DesiredResource) -> Mapping[str, SecretStr]:
        variables = desired.spec.environment_variables
        return injected_values(self._state, desired.id, variables)

    def _recorded(self, desired: DesiredResource) -> Mapping[str, SecretStr]:
        try:
            return self._injected(desired)
        except SecretStoreUnreachable as silent:
            variables = desired.spec.environment_variables
            return _Unread([name for name, text in variables.items() if _is_asked(text)], silent)

    def with_injected(
        self, desired: DesiredResource, recorded: Record | None = None
    ) -> DesiredResource:
        """Return a deployment with a digest of what its variables get.

        That of its record, if it is started again as that says and a secret store is silent.
        """
        injected = self._injected(desired) if recorded is None else self._recorded(desired)
        secrets = self._state.secrets
        if recorded is not None and isinstance(injected, _Unread):
            return desired.model_copy(update={"injected": recorded.injected})
        if injected and not secrets.has_key():  # a workspace without connections
            with self._edit():
                secrets.ensure_key()
        digest = secrets.digest_of(injected)
        return desired.model_copy(update={"injected": digest})

    def _secrets(self, desired: DesiredResource, environment: EnvironmentSpec) -> Secrets:
        """Return secrets that an instance may log: variables now and before, keys, passwords."""
        before = self._state.blueprint(desired.id.name)
        specs = [desired.spec, *([before] if before else [])]
        resource = ResourceId(
            kind=Kind.ENVIRONMENT,
            workspace=desired.id.workspace,
            name=f"{environment.name}:{environment.version}",
        )
        return (
            *(value for spec in specs for value in spec.environment_variables.values()),
            *(self._state.keys(desired.spec.endpoint) or ()),
            *desired.placeholders,
            *self._state.placeholders(resource),
            *userinfo_in((*environment.dependencies, *environment.command)),
        )


def _is_asked(text: SecretStr) -> bool:
    return is_reference(text.get_secret_value())


def recorded_deployment(state: State, record: Record) -> DesiredResource | None:
    """Return what a record says as it was desired; None if its blueprint is gone."""
    spec = state.blueprint(record.id.name)
    return spec and DesiredResource(
        id=record.id,
        spec=spec,
        owner=record.owner,
        placeholders=state.placeholders(record.id),
        base_dir=None,
        settled_generation=record.generation,
    )
