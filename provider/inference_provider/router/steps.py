"""Table in force + new table -> what to write, in which order, and what to wait for. Pure.

No request fails on the way: a cluster exists and is healthy before a route names it, and stays as
long as it may have a request. The two tables alone decide; `render.py` renders the files, and a
target writes them and waits.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from inference_provider.router.clusters import cluster_entries
from inference_provider.router.egress import is_proxy
from inference_provider.router.envoy import WEIGHT_PREFIX, runtime_layer
from inference_provider.router.holding import holding_cluster
from inference_provider.router.limits import rates_of
from inference_provider.router.provider import keys_cluster, provider_checks
from inference_provider.router.resource import Resource
from inference_provider.router.status import Shares
from inference_provider.router.table import (
    DeploymentEntry,
    Draining,
    EndpointEntry,
    Limits,
    RouterTable,
    TokenCheck,
)
from inference_provider.router.tls import of_listener
from inference_provider.router.tokens import checks_of
from inference_provider.router.traces import traces_clusters
from inference_provider.router.writes import (
    ForgetOutbound,
    ListenerStep,
    Step,
    WriteCertificate,
    WriteClusters,
    WriteLimits,
    WriteListener,
    WriteOutbound,
    WriteProvider,
    WriteRoutes,
    WriteTokens,
    WriteWeights,
)

ONLY_IN_CLUSTERS = frozenset(
    {
        "backends",
        "max_concurrent",
        "health_path",
        "health_interval_ms",
        "health_timeout_ms",
        "health_failures",
    }
)
"""Fields of a deployment that no route depends on; the others change the routes too."""


_SOME_CHECK = TokenCheck(issuer="", audience="", jwks="")
"""A route names the check of its endpoint, whatever that is."""
_SOME_LIMITS = Limits()
"""A route asks for the limits of its endpoint, whatever those are."""
_NOTHING: dict[str, tuple[()]] = {"endpoints": (), "draining": ()}


def steps(
    old: RouterTable | None, new: RouterTable, *, other_form: bool = False
) -> tuple[Step, ...]:
    """Return the steps that take a running router from one table to the other.

    Args:
        old: The table in force; None when it is not known.
        new: The table to put in force, from `with_draining`.
        other_form: Whether the files in force may differ from what this code writes for `old`;
            every file is then written again.

    Raises:
        RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
    """
    every = other_form or old is None
    known = old or new.model_copy(update=_NOTHING)
    before, after = (known, new) if every else _changes(known, new)
    found: list[Step] = []
    clusters = _write_clusters(before, after, every)
    if every or clusters.changes_something or _beside(known) != _beside(new):
        found.append(clusters)
    listener = _write_listener(known, new, every)
    checks, checks_before = checks_of(new), checks_of(known)
    # a route must find the check of its endpoint, before it changes and after
    both = {**checks_before, **checks}
    if every or both != checks_before:
        found.append(WriteTokens(checks=both))
    providers, providers_before = provider_checks(new), provider_checks(known)
    both_providers = {**providers_before, **providers}
    if every or both_providers != providers_before:
        found.append(WriteProvider(checks=both_providers))
    rates, rates_before = rates_of(new), rates_of(known)
    both_rates = {**rates_before, **rates}
    if every or both_rates != rates_before:
        found.append(WriteLimits(rates=both_rates))
    routed = not _alike(before, after, _as_routed) or known.sources != new.sources
    if every or routed:
        found += _write_routes(runtime_layer(known), runtime_layer(new), listener, every)
        if checks != both:
            found.append(WriteTokens(checks=checks))
        if providers != both_providers:
            found.append(WriteProvider(checks=providers))
        if rates != both_rates:
            found.append(WriteLimits(rates=rates))
    else:
        found += listener
        if runtime_layer(before) != runtime_layer(after):
            found.append(WriteWeights(layer=runtime_layer(new)))
    return tuple(found)


def without_health(todo: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps without a backend that must be healthy.

    Where the routes stay as they are nothing is waited for at all.
    """
    follows = len(todo) > 1
    update = {"healthy": {}, "healthy_as_before": (), "warm": follows}
    return tuple(
        one.model_copy(update=update) if isinstance(one, WriteClusters) else one for one in todo
    )


def with_draining(
    new: RouterTable, old: RouterTable | None, in_flight: Mapping[str, int], now_s: float
) -> RouterTable:
    """Return the new table with the clusters of the old one that must be kept for now.

    A cluster that was draining before is dropped once it has no request, or its time is over.

    Args:
        new: The table to serve.
        old: The table in force.
        in_flight: Requests by cluster, read while `old` is in force.
        now_s: Seconds since 1970; clusters that start to drain count their time from here.
    """
    if old is None:
        return new
    served = _serving(new) if old.draining else {}
    kept = [
        one
        for one in old.draining
        if one.cluster not in served and in_flight.get(one.cluster, 0) and now_s < one.until_s
    ]
    before, after = _changes(old, new)
    there = _serving(after)
    gone = [
        Draining(cluster=name, deployment=entry, until_s=now_s + _longest_s(endpoint))
        for endpoint in before.endpoints
        for name, entry in cluster_entries(endpoint).items()
        if name not in there
    ]
    return new.model_copy(update={"draining": (*kept, *gone)})


def sharing_entries(old: RouterTable, new: RouterTable) -> RouterTable:
    """Return the old table, with the new one's objects for endpoints that are equal.

    A later comparison of the two tables then recognizes unchanged endpoints by identity.
    """
    entries = {one.name: one for one in new.endpoints}
    shared = (_same_or(one, entries.get(one.name)) for one in old.endpoints)
    return old.model_copy(update={"endpoints": tuple(shared)})


def _same_or(old: EndpointEntry, new: EndpointEntry | None) -> EndpointEntry:
    # pydantic compares every field even of one object with itself
    return old if new is None or (new is not old and new != old) else new


def assumed(
    records: RouterTable, there: Collection[str], weights: Shares, mirrors: Shares
) -> RouterTable:
    """Return a best guess of the table in force, for a router whose table is not known.

    Args:
        records: The table that the records ask for.
        there: The clusters that it has; deployments without one are left out.
        weights: Percent in force by endpoint and deployment.
        mirrors: Mirror percent in force by endpoint and deployment.
    """
    return records.model_copy(
        update={
            "endpoints": tuple(_assumed(one, there, weights, mirrors) for one in records.endpoints),
            "draining": (),
        }
    )


def _assumed(
    endpoint: EndpointEntry, there: Collection[str], weights: Shares, mirrors: Shares
) -> EndpointEntry:
    name = endpoint.name
    found = tuple(one for one in endpoint.deployments if f"{name}/{one.name}" in there)
    names = {one.name for one in found}
    return endpoint.model_copy(
        update={
            "deployments": found,
            "weights": {n: s for n, s in weights.get(name, {}).items() if n in names},
            "mirror": {n: s for n, s in mirrors.get(name, {}).items() if n in names},
        }
    )


def clusters_of(table: RouterTable) -> frozenset[str]:
    """Return the names of all clusters of a table, draining ones and no deployment's included."""
    beside = (one["name"] for one in _beside(table))
    return frozenset({**_serving(table), **_draining(table)}).union(beside)


def _beside(table: RouterTable) -> list[Resource]:
    """Return the clusters that do not belong to a deployment."""
    keys, held = keys_cluster(table.folder), holding_cluster(table.folder)
    return [keys, held, *traces_clusters(table)]


def delayed(new: RouterTable, old: RouterTable | None, by_s: float) -> RouterTable:
    """Return the new table with `by_s` more seconds for clusters that only it lets drain."""
    before = {one.cluster for one in old.draining} if old else set()
    draining = tuple(
        one if one.cluster in before else one.model_copy(update={"until_s": one.until_s + by_s})
        for one in new.draining
    )
    return new.model_copy(update={"draining": draining})


def differ_only_in_shares(old: RouterTable, new: RouterTable) -> bool:
    """Whether two tables differ in nothing but the size of weights and mirrors.

    Then only the file of weights changes. Everything else is compared, so a field added to the
    models is never forgotten here.
    """
    before, after = _changes(old, new)
    rest = {"endpoints": ()}
    if before.model_copy(update=rest) != after.model_copy(update=rest):
        return False
    return _alike(before, after, _without_sizes)


def transitional_weights(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return a runtime layer that is valid under the old routes and under the new.

    A deployment in both keeps its old weight and a new one gets none, so the old split stays in
    force. Only an endpoint that would have no weight left takes the new ones at once: a split with
    all weights zero is an error in Envoy.
    """
    kept = {
        key.partition("/")[0]
        for key in after
        if key.startswith(WEIGHT_PREFIX) and before.get(key, 0) > 0
    }
    merged = dict(before)
    for key, value in after.items():
        if key.startswith(WEIGHT_PREFIX) and key.partition("/")[0] in kept:
            merged[key] = before.get(key, 0)
        elif key in before and not key.startswith(WEIGHT_PREFIX):
            merged[key] = before[key]
        else:
            merged[key] = value
    return merged


def _changes(old: RouterTable, new: RouterTable) -> tuple[RouterTable, RouterTable]:
    """Return both tables, reduced to the endpoints that differ."""
    entries = {one.name: one for one in old.endpoints}
    same = {
        one.name
        for one in new.endpoints
        if (before := entries.get(one.name)) is one or before == one
    }
    return _without(old, same), _without(new, same)


def _without(table: RouterTable, names: Collection[str]) -> RouterTable:
    kept = tuple(one for one in table.endpoints if one.name not in names)
    return table.model_copy(update={"endpoints": kept})


def _write_routes(
    before: Mapping[str, int],
    after: Mapping[str, int],
    listener: Sequence[ListenerStep],
    every: bool,
) -> list[Step]:
    """Return the routes, with weights before and after: first those that are valid under both."""
    between = transitional_weights(before, after)
    return [
        *([WriteWeights(layer=between)] if every or between != before else []),
        *listener,
        WriteRoutes(),
        *([WriteWeights(layer=dict(after))] if between != after else []),
    ]


def _write_clusters(old: RouterTable, new: RouterTable, every_one: bool) -> WriteClusters:
    before = {**_serving(old), **_draining(old)}
    after = _serving(new)
    changed = {n: entry for n, entry in after.items() if every_one or before.get(n) != entry}
    same_backends = {
        name: None
        for name, entry in changed.items()
        if name in before and before[name].backends == entry.backends
    }
    come = {n: len(entry.backends) for n, entry in changed.items() if n not in same_backends}
    there = after.keys() | _draining(new).keys()
    return WriteClusters(
        healthy=come,
        healthy_as_before=tuple(same_backends),
        dropped=tuple(name for name in before if name not in there),
    )


def _serving(table: RouterTable) -> dict[str, DeploymentEntry]:
    """Return the deployment of every cluster that a route names."""
    return {n: entry for one in table.endpoints for n, entry in cluster_entries(one).items()}


def _draining(table: RouterTable) -> dict[str, DeploymentEntry]:
    return {one.cluster: one.deployment for one in table.draining}


def _write_listener(known: RouterTable, new: RouterTable, every: bool) -> list[ListenerStep]:
    """Return the listener and what it names, which is there as long as it names it."""
    before: list[ListenerStep] = []
    after: list[ListenerStep] = []
    if every or known.tls != new.tls:
        (before if new.tls else after).append(WriteCertificate())
    if is_proxy(new) and (every or not is_proxy(known) or known.outbound != new.outbound):
        before.append(WriteOutbound(rules=new.outbound))
    if is_proxy(known) and not is_proxy(new):
        # connections that are open go on under the listener of before, and are refused there
        before.append(WriteOutbound(rules=()))
    if not is_proxy(new) and (every or is_proxy(known)):
        after.append(ForgetOutbound())
    listener = [WriteListener()] if every or _of_listener(known) != _of_listener(new) else []
    return [*before, *listener, *after]


def _of_listener(table: RouterTable) -> tuple[object, ...]:
    elsewhere = {"tls": of_listener(table.tls), "sources": (), "outbound": (), "proxy": None}
    shown = table.model_copy(update={**_NOTHING, **elsewhere})
    return shown, table.proxy if is_proxy(table) else None


def _alike(
    old: RouterTable, new: RouterTable, meant: Callable[[EndpointEntry], EndpointEntry]
) -> bool:
    """Whether all endpoints are equal after a conversion."""
    return list(map(meant, old.endpoints)) == list(map(meant, new.endpoints))


def _without_sizes(endpoint: EndpointEntry) -> EndpointEntry:
    """Return the endpoint with its shares' sizes removed: only who has one is left."""
    return endpoint.model_copy(
        update={
            "weights": {"any": any(endpoint.weights.values())},
            "mirror": dict.fromkeys(sorted(endpoint.mirror), 0),
        }
    )


def _as_routed(endpoint: EndpointEntry) -> EndpointEntry:
    """Return the endpoint with only what its routes depend on."""
    nothing = dict.fromkeys(ONLY_IN_CLUSTERS)
    routed = tuple(one.model_copy(update=nothing) for one in endpoint.deployments)
    tokens = _SOME_CHECK if endpoint.tokens else None
    provider = endpoint.provider.as_routed if endpoint.provider else None
    limits = _SOME_LIMITS if endpoint.limits else None
    update = {"deployments": routed, "tokens": tokens, "provider": provider, "limits": limits}
    return _without_sizes(endpoint).model_copy(update=update)


def _longest_s(endpoint: EndpointEntry) -> float:
    """Return how long a request may take: the longest timeout of the endpoint's deployments."""
    return max(one.timeout_ms for one in endpoint.deployments) / 1000
