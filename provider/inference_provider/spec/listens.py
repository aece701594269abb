"""The addresses on which workspaces of one machine are to listen, and which of them clash."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from inference_provider.errors import Fault
from inference_provider.spec.target import kind_of
from inference_provider.spec.workspace import WorkspaceSpec

_EVERYWHERE, _EVERY_IPV4 = "::", "0.0.0.0"
_SERVICE = "service.port"


class Listens(NamedTuple):
    """A port that a workspace takes of the machine that it runs on."""

    workspace: str
    field: str
    """That of the workspace which names it."""
    host: str
    port: int

    def meets(self, other: "Listens") -> bool:
        """Whether only one of two can be listened on."""
        hosts = {self.host, other.host}
        every_ipv4 = _EVERY_IPV4 in hosts and not any(":" in one for one in hosts)
        meet = len(hosts) == 1 or _EVERYWHERE in hosts or every_ipv4
        return self.port == other.port and meet

    def taken_by(self, other: "Listens") -> Fault:
        """Return the fault of a port that another workspace has."""
        reason = f"{self.port} is the {other.field} of workspace '{other.workspace}' too"
        return Fault(self.field, reason, "use another")


def listens(spec: WorkspaceSpec) -> Iterator[Listens]:
    """Yield the ports that a workspace takes, but for those that are chosen for it."""
    if spec.router_port:
        yield Listens(spec.name, "router_port", spec.bind_address, spec.router_port)
    if spec.metrics and spec.metrics.port:
        yield Listens(spec.name, "metrics.port", "127.0.0.1", spec.metrics.port)
    if spec.service:
        yield Listens(spec.name, _SERVICE, spec.service.bind_address, spec.service.port)


def ports_of(spec: WorkspaceSpec) -> frozenset[int]:
    """Return the ports that a workspace names: none of them may be chosen for something else."""
    return frozenset(one.port for one in listens(spec))


def port_faults(
    workspaces: Sequence[WorkspaceSpec], knows: Callable[[int, str], bool]
) -> Iterator[Fault]:
    """Yield ports of workspaces that another one of the same machine listens on too.

    Of two the later one is told, of a service and something else the service.

    Args:
        workspaces: Those of a stack.
        knows: Whether a field of one is as it was written.
    """
    there = [
        (i, one)
        for i, spec in enumerate(workspaces)
        if kind_of(spec.target) != "kubernetes"  # there each has an address of its own
        for one in listens(spec)
        if knows(i, one.field.partition(".")[0])
    ]
    for (i, one), (j, other) in combinations(there, 2):
        if i == j or workspaces[i].target != workspaces[j].target or not one.meets(other):
            continue
        earlier = one.field == _SERVICE and other.field != _SERVICE
        number, told, by = (i, one, other) if earlier else (j, other, one)
        fault = told.taken_by(by)
        yield Fault(f"workspaces.{number}.{fault.path}", fault.reason, fault.remedy)
