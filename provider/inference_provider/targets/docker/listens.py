"""Where the router of a workspace on a Docker host listens, and what it is made of."""

from collections.abc import Callable
from contextlib import suppress

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.docker import names
from inference_provider.targets.listening import EGRESS_PORTS, ListenAddress, in_order


class Listens(ListenAddress):
    """Where the router of a workspace listens, and what it is made of."""

    image: str
    """Id of the image with the agent in it."""
    egress_port: int = 0
    """Where instances without a way out find their forward proxy; 0 until one is chosen."""


def with_egress_port(
    listens: Listens, workspace: str, first_free: Callable[..., int | None]
) -> Listens:
    """Return where it listens, as the forward proxy too; instances' variables say where.

    Args:
        listens: Where it listens.
        workspace: Its workspace.
        first_free: Says which of some `ports` is free on all addresses of the host.
    """
    ports = in_order(EGRESS_PORTS, names.router(workspace))
    chosen = listens.egress_port
    with suppress(TargetUnreachable):  # the router does not run, and is started for this change
        chosen = chosen or first_free(ports=ports) or 0
    return listens.model_copy(update={"egress_port": chosen or ports[0]})
