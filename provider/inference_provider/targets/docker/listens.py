"""Where the router of a workspace on a Docker host listens, and what it is made of."""

from collections.abc import Callable

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.docker import names
from inference_provider.targets.listening import EGRESS_PORTS, ListenAddress, in_order, port_taken


class Listens(ListenAddress):
    """Where the router of a workspace listens, and what it is made of."""

    image: str
    """Id of the image with the agent in it."""
    egress_port: int = 0
    """Where instances without a way out find their forward proxy; 0 until one is chosen."""


def with_egress_port(
    listens: Listens,
    workspace: str,
    place: str,
    first_free: Callable[..., int | None],
    *,
    in_use: bool,
) -> Listens:
    """Return where it listens, as the forward proxy too; instances' variables say where.

    Args:
        listens: Where it listens.
        workspace: Its workspace.
        place: Its host.
        first_free: Says which of some `ports` is free on all addresses of the host.
        in_use: Whether it is the forward proxy already, which keeps its port. Before its first
            rule another process may have taken the port that was chosen.

    Raises:
        OutOfCapacity: No port is free.
    """
    kept = [listens.egress_port] if listens.egress_port else []
    if kept and in_use:
        return listens
    ports = [*kept, *in_order(EGRESS_PORTS, names.router(workspace))]
    try:
        chosen = first_free(ports=ports)
    except TargetUnreachable:  # the router does not run, and is started for this change
        # where this one is taken the change fails, and the next one finds the router running
        chosen = ports[0]
    if chosen is None:
        first, last = EGRESS_PORTS[0], EGRESS_PORTS[-1]
        reason = f"no port from {first} to {last} is free for its forward proxy"
        raise port_taken(workspace, reason, "end a process that listens on one of them", place)
    return listens.model_copy(update={"egress_port": chosen})
