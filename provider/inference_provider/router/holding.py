"""Requests that wait for an instance -> Envoy's configuration of that. Pure.

A deployment that may have no instance has patience. While it has none its requests are held: by a
filter that asks a process beside Envoy, over a socket in the router's folder, and lets a request go
on when that says so. Neither bodies nor keys reach that process. Envoy keeps some 16 MiB of a body,
up to 31 measured, and then reads no more of its connection: so it does not see that such a caller
gives up. The route's `request_body_buffer_limit` changes nothing of that. So the process is told
how long a body is, and refuses what would be too much. The filter comes after keys, roles and
rates, so whoever may not call wakes nothing.
"""

import operator
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from inference_provider.router.resource import API, Resource, asked_beside, where_asked
from inference_provider.router.table import DeploymentEntry, EndpointEntry, RouterTable

HOLDING = "envoy.filters.http.ext_authz.holding"
CLUSTER = "holding"
SOCKET = "holding.sock"
PREFIX = "/hold"
LENGTH, NO_BODY = "x-body-length", "x-no-body"
"""What the process is told of a body: its length, if the caller says it, or that there is none."""
_MIB = 1024 * 1024
MOST_OF_BODY_BYTES = 32 * _MIB
"""What Envoy keeps of a body at the most. One whose length nobody says counts as that: a chunked
one, and a websocket, whose caller may send before it is answered."""


class Held(NamedTuple):
    """Requests that are held at a time, and what Envoy keeps of their bodies."""

    requests: int = 0
    body_bytes: int = 0

    def takes(self, body_bytes: int, most: "Held") -> bool:
        """Return whether there is room for one more request below a bound."""
        return self.requests < most.requests and self.body_bytes + body_bytes <= most.body_bytes


MOST, MOST_OF_ONE = Held(1000, 512 * _MIB), Held(500, 256 * _MIB)
"""Of all deployments, and of one. A router's pod may use 2 GiB, of which 5,000 endpoints take one:
half of the rest is for bodies that wait, the other half for requests that go on."""
LONGEST_PATIENCE_S = 240
"""Below the time in which a whole request must have come, and after which a silent one is ended."""
_LATE_S = 5
"""Time that an answer may be late before the filter ends the wait by itself."""
_KIND = f"{API}extensions.filters.http.ext_authz.v3.ExtAuthz"


def holding_filter() -> Resource:
    """Return the filter of a listener."""
    typed = {
        "@type": _KIND,
        "transport_api_version": "V3",
        "stat_prefix": CLUSTER,
        "http_service": _service("/", LONGEST_PATIENCE_S),
        # a token that the model is to see is nothing that decides on waiting
        "disallowed_headers": {"patterns": [{"exact": "authorization", "ignore_case": True}]},
        "status_on_error": {"code": "ServiceUnavailable"},
    }
    return where_asked({"name": HOLDING, "typed_config": typed})


def holding_cluster(folder: str) -> Resource:
    """Return where the filter asks; it is there though nobody may listen, as the filter is."""
    bound = 2 * MOST.requests  # the process that is asked says who is one too many
    names = ("max_requests", "max_connections", "max_pending_requests")
    breakers = {"thresholds": [dict.fromkeys(names, bound)]}
    return asked_beside(CLUSTER, folder, SOCKET, circuit_breakers=breakers)


def hold(endpoint: str, deployment: DeploymentEntry) -> Resource:
    """Return what a route, or a part of a split, says of filters where its requests wait."""
    if not deployment.held:
        return {}
    prefix = f"{PREFIX}/{endpoint}/{deployment.name}"
    asked = {"http_service": _service(prefix, deployment.patience_s) | _told_of_body()}
    return {HOLDING: {"@type": f"{_KIND}PerRoute", "check_settings": asked}}


def asked_of(path: str) -> str:
    """Return which deployment, `<endpoint>/<deployment>`, a path of the filter asks about."""
    return "/".join(path.split("/")[2:4])


def kept_bytes(head: str) -> int:
    """Return how much of a request's body Envoy keeps at the most, by what it asks about it."""
    lines = [line.partition(":") for line in head.split("\r\n")]
    found = {name.lower(): value.strip() for name, _, value in lines}
    length = found.get(LENGTH, "")
    if length.isdecimal():  # also of a body that has come by now, while keys were fetched
        return min(int(length), MOST_OF_BODY_BYTES)
    return 0 if NO_BODY in found else MOST_OF_BODY_BYTES


def with_held(
    endpoints: Iterable[EndpointEntry], awake: Collection[str], kept: Mapping[str, int]
) -> tuple[EndpointEntry, ...]:
    """Return endpoints whose deployments hold requests, but those that are awake.

    Args:
        endpoints: As the records say.
        awake: Deployments, `<endpoint>/<deployment>`, that have an instance which gets requests.
        kept: Patience of some that the records give none, seconds.
    """
    return tuple(_with_held(one, awake, kept) for one in endpoints)


def awake_in(endpoints: Iterable[EndpointEntry]) -> set[str]:
    """Return the deployments, `<endpoint>/<deployment>`, of which instances get requests."""
    return {
        f"{endpoint.name}/{one.name}"
        for endpoint in endpoints
        for one in endpoint.deployments
        if one.backends and not one.held
    }


def kept_in(endpoints: Iterable[EndpointEntry]) -> dict[str, int]:
    """Return the patience of deployments that hold requests, seconds.

    They keep it until they have an instance, though their rule is gone or allows no zero any more.
    """
    return {
        f"{endpoint.name}/{one.name}": one.patience_s
        for endpoint in endpoints
        for one in endpoint.deployments
        if one.held
    }


def _with_held(
    endpoint: EndpointEntry, awake: Collection[str], kept: Mapping[str, int]
) -> EndpointEntry:
    def settled(one: DeploymentEntry) -> DeploymentEntry:
        name = f"{endpoint.name}/{one.name}"
        takes = bool(one.backends) and name in awake
        patience_s = one.patience_s or (0 if takes else kept.get(name, 0))
        held = bool(patience_s) and not takes
        if (patience_s, held) == (one.patience_s, one.held):
            return one
        return one.model_copy(update={"patience_s": patience_s, "held": held})

    changed = tuple(map(settled, endpoint.deployments))
    if all(map(operator.is_, changed, endpoint.deployments)):
        return endpoint
    return endpoint.model_copy(update={"deployments": changed})


def holding_first(old: RouterTable, new: RouterTable) -> RouterTable:
    """Return the old table, where requests wait that the new one lets wait.

    A deployment that loses its last instance must hold requests before that is gone.
    """
    wanted = {
        (endpoint.name, one.name): one.patience_s
        for endpoint in new.endpoints
        for one in endpoint.deployments
        if one.held
    }
    if not wanted:
        return old
    endpoints = tuple(_holding(one, wanted) for one in old.endpoints)
    return old.model_copy(update={"endpoints": endpoints})


def without_held(table: RouterTable) -> RouterTable:
    """Return a table without the deployments whose requests wait; the same where none do."""
    endpoints = tuple(map(_without_held, table.endpoints))
    if all(map(operator.is_, endpoints, table.endpoints)):
        return table
    return table.model_copy(update={"endpoints": endpoints})


def _without_held(endpoint: EndpointEntry) -> EndpointEntry:
    left = {one.name: one for one in endpoint.deployments if not one.held}
    if len(left) == len(endpoint.deployments):
        return endpoint
    weights, mirror = (
        {name: share for name, share in shares.items() if name in left}
        for shares in (endpoint.weights, endpoint.mirror)
    )
    changed = {"deployments": tuple(left.values()), "weights": weights, "mirror": mirror}
    return endpoint.model_copy(update=changed)


def _holding(endpoint: EndpointEntry, wanted: dict[tuple[str, str], int]) -> EndpointEntry:
    def starts(one: DeploymentEntry) -> bool:
        return not one.held and (endpoint.name, one.name) in wanted

    if not any(map(starts, endpoint.deployments)):
        return endpoint
    changed = tuple(
        one.model_copy(update={"held": True, "patience_s": wanted[endpoint.name, one.name]})
        if starts(one)
        else one
        for one in endpoint.deployments
    )
    return endpoint.model_copy(update={"deployments": changed})


def _told_of_body() -> Resource:
    """Return headers that tell of the body. Envoy leaves one without a value out.

    Only a request that has come whole with its headers has a duration then. How it is sent does not
    tell it from a chunked one: Envoy takes `transfer-encoding` away, and HTTP/2 knows none.
    """
    values = {LENGTH: "%REQ(content-length)%", NO_BODY: "%REQUEST_DURATION%"}
    told = [{"key": key, "value": value} for key, value in values.items()]
    return {"authorization_request": {"headers_to_add": told}}


def _service(prefix: str, patience_s: int) -> Resource:
    return {
        "server_uri": {
            "uri": f"http://{CLUSTER}",
            "cluster": CLUSTER,
            "timeout": f"{patience_s + _LATE_S}s",
        },
        "path_prefix": prefix,
        "authorization_response": {
            "allowed_client_headers": {"patterns": [{"exact": "retry-after"}]}
        },
    }
