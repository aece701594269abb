"""Records, keys and live backends of a workspace -> what its router serves."""

from collections.abc import Callable, Mapping

from inference_provider.observed import Record
from inference_provider.router.build import Builder, Environment
from inference_provider.router.table import Backend, EndpointEntry
from inference_provider.workspace.shifts import in_force
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import Instance, RouterStatus

Build = Callable[[], tuple[EndpointEntry, ...]]
Instances = Callable[[], Mapping[str, tuple[Instance, ...]]]
"""Returns every instance and its current addresses, by deployment."""


def endpoint_entries(
    state: State,
    instances: Instances,
    environment: Environment,
    serves: Callable[[], RouterStatus],
) -> Build:
    """Return a function that builds a workspace's entries from the state when it is called.

    Args:
        state: What is recorded.
        instances: Those that there are.
        environment: Returns a kept one.
        serves: Returns what the router serves now; called where nobody knows what it should.
    """
    builder = Builder()

    def build() -> tuple[EndpointEntry, ...]:
        there = instances()
        return builder.endpoints(
            in_force(state, state.records(), serves),
            state.keys,
            lambda name: keys.jwks if (keys := state.signing(name)) else None,
            lambda record: _backends(record, there.get(record.id.name, ())),
            environment,
        )

    return build


def _backends(record: Record, instances: tuple[Instance, ...]) -> tuple[Backend, ...]:
    """Return the addresses of the admitted instances."""
    return tuple(
        backend
        for instance in instances
        if record.admits(instance.name, instance.generation)
        for backend in instance.backends
    )
