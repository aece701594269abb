"""Where the router of a workspace on a Docker host listens, and what it is made of."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.targets.docker import names
from inference_provider.targets.listening import (
    EGRESS_PORTS,
    METRICS_PORTS,
    ROUTER_PORTS,
    ListenAddress,
    in_order,
    port_taken,
)


class Listens(ListenAddress):
    """Where the router of a workspace listens, and what it is made of."""

    image: str
    """Id of the image with the agent in it."""
    egress_port: int = 0
    """Where instances without a way out find their forward proxy; 0 until one is chosen."""


def chosen(
    host: str,
    wanted: int,
    image: str,
    *,
    besides: Collection[int],
    about: tuple[str, str],
    ask: Callable[..., Any],
) -> Listens:
    """Choose where a new router listens; its container runs already.

    Args:
        host: Address of the host.
        wanted: Port; 0 for one that is free.
        image: Id of what it runs.
        besides: Ports on which something else of the workspace is to listen.
        about: Its workspace, and its host.
        ask: Asks its agent.

    Raises:
        TargetError: The host has no such address.
        OutOfCapacity: The port is taken, or none is free.
    """
    workspace, place = about
    if fault := ask("address_fault", host=host, port=wanted):
        raise TargetError("start", f"the router of workspace '{workspace}'", fault, place=place)

    def free(ports: Sequence[int], on: str) -> int | None:
        some = [one for one in in_order(ports, names.router(workspace)) if one not in besides]
        return cast("int | None", ask("free_port", host=on, ports=some))

    port = ask("free_port", host=host, ports=[wanted]) if wanted else free(ROUTER_PORTS, host)
    metrics = free(METRICS_PORTS, "127.0.0.1")
    if port is None or metrics is None:
        taken = f"router port {wanted} on {host} is taken by another process"
        reason = taken if wanted else "no router port is free"
        remedy = "give it another router_port (0 picks a free one)"
        raise port_taken(workspace, reason, remedy, place)
    return Listens(host=host, port=port, metrics_port=metrics, image=image)


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
