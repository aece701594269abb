"""Links a cluster's network namespace to this machine's, and takes the link away again."""

import subprocess

from tests.cluster.places import (
    LINK,
    LINK_HERE,
    LINK_THERE,
    NETWORK,
    NODE_ADDRESS,
    PODS,
    SERVICES,
)

_RULES = (
    f"FORWARD -i {LINK} -j ACCEPT",
    f"FORWARD -o {LINK} -j ACCEPT",
    f"POSTROUTING -t nat -s {PODS} ! -o {LINK} -j MASQUERADE",
    f"POSTROUTING -t nat -s {LINK_THERE}/32 ! -o {LINK} -j MASQUERADE",
)
"""Pods reach what this machine reaches, also where an Engine forbids forwarding."""

_LINKING = (
    f"ip netns add {NETWORK}",
    f"ip link add {LINK} type veth peer name machine netns {NETWORK}",
    f"ip addr add {LINK_HERE}/30 dev {LINK}",
    f"ip link set {LINK} up",
    f"ip -n {NETWORK} addr add {LINK_THERE}/30 dev machine",
    f"ip -n {NETWORK} link set machine up",
    f"ip -n {NETWORK} link set lo up",
    f"ip -n {NETWORK} route add default via {LINK_HERE}",
    # with its address before anything starts: it is the node's, and the API's
    f"ip -n {NETWORK} link add pods type bridge",
    f"ip -n {NETWORK} addr add {NODE_ADDRESS}/16 dev pods",
    f"ip -n {NETWORK} link set pods up",
    f"ip route add {PODS} via {LINK_THERE}",
    f"ip route add {SERVICES} via {LINK_THERE}",
    "sysctl -qw net.ipv4.ip_forward=1",
    *(f"iptables -w -I {rule}" for rule in _RULES),
)
_UNLINKING = (
    *(f"iptables -w -D {rule}" for rule in _RULES),
    f"ip link del {LINK}",
    f"ip netns del {NETWORK}",
)


def link() -> None:
    for command in _LINKING:
        subprocess.run(command.split(), check=True, capture_output=True)


def unlink() -> None:
    """Remove what of it is there."""
    for command in _UNLINKING:
        subprocess.run(command.split(), check=False, capture_output=True)
