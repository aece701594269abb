"""Records, keys and live backends of a workspace -> what its router serves."""

from collections.abc import Callable

from inference_provider.router.build import Builder
from inference_provider.router.table import EndpointEntry
from inference_provider.workspace.ports import Compute, Content
from inference_provider.workspace.state import State

Build = Callable[[], tuple[EndpointEntry, ...]]


def endpoint_entries(state: State, compute: Compute, content: Content) -> Build:
    """Return a function that builds a workspace's entries from the state when it is called."""
    builder = Builder()

    def build() -> tuple[EndpointEntry, ...]:
        backends = compute.backends()
        return builder.endpoints(
            state.records(),
            state.keys,
            lambda record: backends.get(record.id.name, ()),
            content.environment,
        )

    return build
