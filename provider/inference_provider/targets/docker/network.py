"""The networks of a workspace's instances, and the addresses in them.

There are two, made when the first instance needs them: one with a way out, and one without
(`internal`), for instances whose egress is disabled. In both no instance reaches another. The
router is in the host's network and reaches both.

Docker gives a stopped container's address to the next one at once, so a router would send one
deployment's requests to another. Here each instance keeps an address of its own for its whole life,
which needs networks with a subnet of ours.
"""

import hashlib
import ipaddress
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost

NO_NAMES: Mapping[str, Any] = {"dns": ["127.0.0.1"], "dns_opt": ["timeout:1", "attempts:1"]}
"""An instance without a way out asks for names where nobody answers, and gives up soon: Engines
before 26 pass names of an internal network on to the host's name server, which is a way out."""
_ATTEMPTS, _TAKEN = 5, "overlap"

Alone = Callable[[], AbstractContextManager[None]]
"""Keeps others out."""


def network_of(host: DockerHost, workspace: str, alone: Alone, *, closed: bool) -> dict[str, Any]:
    """Return what the Engine says of a network of a workspace, which is made if it is not there.

    Args:
        host: The workspace's.
        workspace: Its name.
        alone: Held while it is made.
        closed: Whether it has no way out.
    """
    called = names.network(workspace, closed=closed)
    found = _find(host, workspace, called)
    if found is None:
        with alone():
            if _find(host, workspace, called) is None:
                _make(host, workspace, called, closed=closed)
        found = _find(host, workspace, called)
    return cast("dict[str, Any]", found)


def _find(host: DockerHost, workspace: str, called: str) -> dict[str, Any] | None:
    found = (one for one in _all(host, workspace, names.NETWORK) if one["Name"] == called)
    return next(found, None)


def _all(host: DockerHost, workspace: str, role: str) -> list[dict[str, Any]]:
    with host.asked("list", f"networks of workspace '{workspace}'") as api:
        filters = cast("Any", names.selecting(workspace, role))
        return cast("list[dict[str, Any]]", api.networks(filters=filters))


def _make(host: DockerHost, workspace: str, called: str, *, closed: bool) -> None:
    for attempt in range(_ATTEMPTS):
        pool = _free_pool(host, workspace, called)
        try:
            _make_in(pool, host, workspace, called, closed=closed)
        except TargetError as fault:
            # another workspace's network may be given the subnet meanwhile
            if _TAKEN not in str(fault) or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _free_pool(host: DockerHost, workspace: str, called: str) -> dict[str, str]:
    """Return a subnet that is free: Docker knows, but lets us choose addresses only in our own."""
    probe = names.labels(workspace, names.PROBE)
    with host.asked("make", f"network {called}") as api:
        _remove(host, workspace, names.PROBE)  # of a client that was killed
        made = api.create_network(f"{called}.probe", driver="bridge", labels=probe)
        found = cast("Any", api.inspect_network(made["Id"]))["IPAM"]["Config"][0]
        api.remove_network(made["Id"])
    return {"Subnet": found["Subnet"], "Gateway": found["Gateway"]}


def _make_in(
    pool: dict[str, str], host: DockerHost, workspace: str, called: str, *, closed: bool
) -> None:
    with host.asked("make", f"network {called}") as api:
        api.create_network(
            called,
            driver="bridge",
            labels=names.labels(workspace, names.NETWORK),
            ipam=cast("Any", {"Driver": "default", "Config": [pool]}),
            internal=closed,
            options={
                "com.docker.network.bridge.enable_icc": "false",
                "com.docker.network.bridge.name": _bridge(workspace, closed=closed),
            },
        )


def _bridge(workspace: str, *, closed: bool) -> str:
    """Return the name of the host's interface, by which a firewall knows all of a kind."""
    digest = hashlib.sha256(workspace.encode()).hexdigest()[:7]  # an interface has 15 characters
    return f"inf-{'shut' if closed else 'open'}{digest}"


def remove_networks(host: DockerHost, workspace: str) -> None:
    """Remove the networks of a workspace, if there are any."""
    _remove(host, workspace, names.NETWORK)
    _remove(host, workspace, names.PROBE)


def _remove(host: DockerHost, workspace: str, role: str) -> None:
    for found in _all(host, workspace, role):
        network = f"network {found['Name']}"
        with host.asked("remove", network) as api:
            inside = (api.inspect_network(found["Id"])["Containers"] or {}).values()
            if inside:
                reason = f"in it: {', '.join(sorted(one['Name'] for one in inside))}"
                remedy = "remove or disconnect what is in it, then run this again"
                raise TargetError("remove", network, reason, remedy, str(host))
            api.remove_network(found["Id"])


def free_addresses(network: dict[str, Any], taken: Collection[str], count: int) -> list[str]:
    """Return addresses of a network that no instance has; those used last come last.

    Raises:
        OutOfCapacity: The network has no more.
    """
    pool = network["IPAM"]["Config"][0]
    hosts = [str(one) for one in ipaddress.ip_network(pool["Subnet"]).hosts()]
    highest = max((hosts.index(one) for one in taken if one in hosts), default=0)
    order = (*hosts[highest + 1 :], *hosts[: highest + 1])
    free = [one for one in order if one not in taken and one != pool.get("Gateway")]
    if len(free) < count:
        reason = f"it has {len(free)} free addresses in {pool['Subnet']}, {count} are needed"
        raise OutOfCapacity("use", f"network {network['Name']}", reason, "ask for fewer instances")
    return free[:count]
