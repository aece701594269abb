"""Whether a router in a cluster sees who calls, without which ranges of callers mean nothing. Pure.

Inside the cluster a Service keeps the address of who calls. Of those outside, nodes keep it where
the Service says so, which it does if its workspace has ranges. An Ingress or a Gateway calls by
itself, and says for whom in a header, which counts where the workspace has `trusted_hops`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from inference_provider.errors import Fault
from inference_provider.spec import EndpointSpec, WorkspaceSpec

_RANGES = "allowed_source_ranges"


class _Veil(NamedTuple):
    """What hides who calls, and what to do about it."""

    field: str
    reason: str
    remedy: str
    """Also where ranges are to stay."""
    without: str = ""
    """Where they are not."""


def workspace_faults(
    spec: WorkspaceSpec, ranged: Callable[[str], Iterable[str]]
) -> Iterator[Fault]:
    """Say which ranges a workspace makes void: its own, and those of endpoints that are there.

    Args:
        spec: The workspace.
        ranged: Says which endpoints of a workspace have ranges.
    """
    veil = _veil(spec)
    if veil is None:
        return
    if spec.allowed_source_ranges:
        yield Fault(_RANGES, veil.reason, veil.without + veil.remedy)
        return
    if names := sorted(ranged(spec.name)):
        more = f", and {len(names) - 1} more," if len(names) > 1 else ""
        reason = f"endpoint '{names[0]}'{more} has {_RANGES}, and {veil.reason}"
        yield Fault(veil.field, reason, f"take those away first, or {veil.remedy}")


def endpoint_faults(spec: EndpointSpec, workspace: WorkspaceSpec) -> Iterator[Fault]:
    """Say why an endpoint's ranges would be void in its workspace."""
    veil = _veil(workspace) if spec.allowed_source_ranges else None
    if veil:
        yield Fault(_RANGES, veil.reason, veil.without + veil.remedy)


def _veil(spec: WorkspaceSpec) -> _Veil | None:
    if spec.trusted_hops:  # who is in front says who calls, and nobody else may connect
        return None
    router = spec.cluster.router
    exposure = "ingress" if router.ingress else "gateway" if router.gateway else ""
    if exposure:
        return _Veil(
            f"cluster.router.{exposure}",
            f"the router sees the address of the {exposure} in front of it, not that of who calls",
            "set trusted_hops of the workspace, and trusted_proxies to the addresses of the"
            f" {exposure}'s pods",
            without=f"leave them out, and have the {exposure} refuse callers; or ",
        )
    if router.service != "ClusterIP" and not spec.allowed_source_ranges:
        return _Veil(
            "cluster.router.service",
            f"a {router.service} shows the router who calls only if the workspace has {_RANGES}",
            "give the workspace some; [0.0.0.0/0] is all of IPv4",
        )
    return None
