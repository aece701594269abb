"""The network of a workspace's instances, and the addresses in it.

Docker gives a stopped container's address to the next one at once, so a router would send one
deployment's requests to another. Here each instance keeps an address of its own for its whole life,
which needs a network with a subnet of ours.
"""

import ipaddress
from collections.abc import Collection
from typing import Any, cast

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost


def make_network(host: DockerHost, workspace: str) -> None:
    """Make the network of a workspace, unless it exists."""
    if find_network(host, workspace) is not None:
        return
    labels = names.labels(workspace, names.NETWORK)
    called = names.network(workspace)
    with host.asked("make", f"network {called}") as api:
        # Docker knows which subnets are free, but lets us choose addresses only in one of ours.
        made = api.create_network(called, driver="bridge", labels=labels)
        found = cast("Any", api.inspect_network(made["Id"]))["IPAM"]["Config"][0]
        api.remove_network(made["Id"])
        pool = {"Subnet": found["Subnet"], "Gateway": found["Gateway"]}
        ipam = cast("Any", {"Driver": "default", "Config": [pool]})
        api.create_network(called, driver="bridge", labels=labels, ipam=ipam)


def find_network(host: DockerHost, workspace: str) -> dict[str, Any] | None:
    """Return what the Engine says of a workspace's network; None when there is none."""
    filters = {"label": [f"{names.WORKSPACE}={workspace}", f"{names.ROLE}={names.NETWORK}"]}
    with host.asked("look for", f"network {names.network(workspace)}") as api:
        found = cast("list[Any]", api.networks(filters=filters))
        return cast("dict[str, Any]", api.inspect_network(found[0]["Id"])) if found else None


def remove_network(host: DockerHost, workspace: str) -> None:
    """Remove the network of a workspace, if it exists."""
    found = find_network(host, workspace)
    if found is not None:
        with host.asked("remove", f"network {names.network(workspace)}") as api:
            api.remove_network(found["Id"])


def free_addresses(
    host: DockerHost, workspace: str, taken: Collection[str], count: int
) -> list[str]:
    """Return addresses of a workspace's network that no instance has, those used last come last.

    Raises:
        OutOfCapacity: The network has no more.
        TargetError: There is no such network.
    """
    found = find_network(host, workspace)
    if found is None:
        remedy = "run this again; `inferctl up` makes it"
        raise TargetError("use", f"network {names.network(workspace)}", "it is gone", remedy)
    pool = found["IPAM"]["Config"][0]
    hosts = [str(one) for one in ipaddress.ip_network(pool["Subnet"]).hosts()]
    highest = max((hosts.index(one) for one in taken if one in hosts), default=0)
    order = (*hosts[highest + 1 :], *hosts[: highest + 1])
    free = [one for one in order if one not in taken and one != pool.get("Gateway")]
    if len(free) < count:
        reason = f"network {pool['Subnet']} has {len(free)} free addresses, {count} are needed"
        raise OutOfCapacity(
            "start", f"instances in workspace '{workspace}'", reason, "ask for fewer"
        )
    return free[:count]
