"""The router as the forward proxy of instances that have no other way out.

It listens in the network without a way out, on its gateway: that is an address of the host, whose
network the router's container is in. Addresses of instances alone are let in.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from inference_provider.router.table import OutboundEntry, Proxy
from inference_provider.serving.way_out import proxy_variables
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.network import network_of
from inference_provider.targets.docker.records import HostRecords


def proxy_of(
    host: DockerHost, records: HostRecords, port: int, rules: Sequence[OutboundEntry]
) -> Proxy | None:
    """Return where the router is the proxy; the network is made if it is not there, with a rule."""
    if not rules:
        return None
    alone = partial(records.lock, "addresses")
    return proxy_in(network_of(host, records.workspace, alone, closed=True), port)


def proxy_in(network: Mapping[str, Any], port: int) -> Proxy | None:
    """Return where the router is the proxy of a network; None until a port is chosen."""
    if not port or not network["Name"].endswith(names.CLOSED):
        return None
    pool = network["IPAM"]["Config"][0]
    return Proxy(host=pool["Gateway"], port=port, clients=(pool["Subnet"],))


def variables_of(proxy: Proxy | None) -> dict[str, str]:
    """Return what tells an instance's programs of it."""
    return proxy_variables(proxy.host, proxy.port) if proxy else {}
