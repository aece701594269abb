"""The steps there are, each of which writes one file of a router; `steps.py` orders them."""

from typing import Literal

from inference_provider.observed import Frozen
from inference_provider.router.table import Limits, OutboundEntry, ProviderCheck, TokenCheck


class WriteClusters(Frozen):
    """Write the clusters of the new table, draining ones included; wait until all are warm."""

    write: Literal["clusters"] = "clusters"
    healthy: dict[str, int] = {}
    """Required healthy backends, by cluster, of clusters that are new or have other backends."""
    healthy_as_before: tuple[str, ...] = ()
    """Clusters that must have as many healthy backends as before: one that is broken already must
    not stop a change of another deployment."""
    dropped: tuple[str, ...] = ()
    """Clusters to remove: no route names them, and they have no request."""
    warm: bool = True
    """Whether to wait until Envoy has asked each new backend once; till then it uses the old."""

    @property
    def changes_something(self) -> bool:
        """Whether any cluster is added, changed or removed."""
        return bool(self.healthy or self.healthy_as_before or self.dropped)


class WriteWeights(Frozen):
    """Write weights and mirrors."""

    write: Literal["weights"] = "weights"
    layer: dict[str, int]
    """By Envoy's runtime key: `w.<endpoint>/<deployment>`, `mirror.<endpoint>/<deployment>`."""


class WriteTokens(Frozen):
    """Write which tokens endpoints take."""

    write: Literal["tokens"] = "tokens"
    checks: dict[str, TokenCheck]
    """By endpoint."""


class WriteProvider(Frozen):
    """Write which tokens of identity providers endpoints take."""

    write: Literal["provider"] = "provider"
    checks: dict[str, ProviderCheck]
    """By the check's name."""


class WriteCertificate(Frozen):
    """Write the certificate that the router shows, or nothing where it speaks no TLS."""

    write: Literal["certificate"] = "certificate"


class WriteLimits(Frozen):
    """Write how many requests endpoints take."""

    write: Literal["limits"] = "limits"
    rates: dict[str, Limits]
    """By endpoint."""


class WriteOutbound(Frozen):
    """Write where instances may go; with no rule everything is refused."""

    write: Literal["outbound"] = "outbound"
    rules: tuple[OutboundEntry, ...]


class ForgetOutbound(Frozen):
    """Remove the file of where instances may go; the listener no longer names it."""

    write: Literal["no outbound"] = "no outbound"


class WriteListener(Frozen):
    """Write the listener of the new table."""

    write: Literal["listener"] = "listener"


class WriteRoutes(Frozen):
    """Write the routes of the new table."""

    write: Literal["routes"] = "routes"


ListenerStep = WriteListener | WriteCertificate | WriteOutbound | ForgetOutbound
_OfFilters = WriteTokens | WriteProvider | WriteLimits
Step = WriteClusters | _OfFilters | WriteWeights | WriteRoutes | ListenerStep
"""One file to write. The next is written once Envoy reports that this one is in force."""
