"""RouterTable -> the files that a router reads, each with a version from its content. Pure.

`clusters.py`, `envoy.py` and `listener.py` know Envoy's resources; `steps.py` decides the order in
which files take effect; a target writes them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inference_provider.observed import Frozen
from inference_provider.router import (
    clusters,
    egress,
    envoy,
    holding,
    limits,
    listener,
    provider,
    resource,
    tls,
    tokens,
    traces,
)
from inference_provider.router.endpoint_texts import EndpointTexts
from inference_provider.router.resource import Resource
from inference_provider.router.table import EndpointEntry, OutboundEntry, RouterTable

CDS, LDS, RDS, RTDS = "cds/cds.json", "lds/lds.json", "rds/rds.json", "rtds/rtds.json"
ECDS, SDS, LIMITS = "ecds/ecds.json", "sds/sds.json", "limits/limits.json"
PROVIDER, OUTBOUND = "provider/provider.json", "outbound/outbound.json"
"""Each in a folder of its own: Envoy reads all files of a folder again when one is replaced."""
FILES = (CDS, ECDS, PROVIDER, LIMITS, LDS, RDS, RTDS)
"""What every router reads."""
WHERE_NEEDED = (SDS, OUTBOUND)
"""What is there, and read, only where TLS is spoken, or instances have a forward proxy."""
_HEAD_LENGTH = 64
"""A file's version is within its first 64 characters."""


class RenderedRouter(Frozen):
    """All files of one router; the routes hold keys in clear text, and SDS that of TLS."""

    bootstrap: str
    """JSON text of `bootstrap.json`."""
    files: dict[str, str]
    """JSON text by path under the router's folder."""


class Renderer:
    """Renders the files of one router, and caches each endpoint's part of them.

    Changing one endpoint of a thousand renders only that one; the rest comes from the cache.
    """

    def __init__(self) -> None:
        self._clusters = EndpointTexts(_clusters_text)
        self._actions = EndpointTexts(_action_text)

    def file(self, name: str, table: RouterTable, beside: Iterable[str] = ()) -> str:
        """Return one file's text.

        Args:
            name: One of FILES, or of WHERE_NEEDED.
            table: What the router must serve.
            beside: JSON of clusters to keep besides the table's; see `clusters_in`.

        Raises:
            RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
        """
        if name == CDS:
            return self._cds(table, beside)
        makes = {
            ECDS: _ecds,
            PROVIDER: _provider,
            LDS: _lds,
            LIMITS: _limits,
            OUTBOUND: _outbound,
            RDS: self._rds,
            RTDS: _rtds,
            SDS: _sds,
        }
        return makes[name](table)

    def _cds(self, table: RouterTable, beside: Iterable[str]) -> str:
        found = [text for text in self._clusters.of(table) if text]
        draining = (clusters.cluster(one.cluster, one.deployment) for one in table.draining)
        others = map(json.dumps, [*draining, *beside_envoy(table)])
        return _versioned(f"[{', '.join([*found, *others, *beside])}]")

    def _rds(self, table: RouterTable) -> str:
        if not table.endpoints:
            return _versioned(json.dumps([envoy.routes(table)]))
        # split at a name that no endpoint can have
        around = json.dumps([envoy.route_table({"@": {}}, table.sources)])
        before, after = around.split('"@": {}')
        return _versioned(f"{before}{', '.join(self._actions.of(table))}{after}")


def render(table: RouterTable) -> RenderedRouter:
    """Return every file of a router.

    Raises:
        RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
    """
    renderer = Renderer()
    files = {name: renderer.file(name, table) for name in (*FILES, *needed(table))}
    return RenderedRouter(bootstrap=json.dumps(listener.bootstrap(table)), files=files)


def needed(table: RouterTable) -> tuple[str, ...]:
    """Return those of WHERE_NEEDED that a table needs."""
    has = {SDS: table.tls, OUTBOUND: egress.is_proxy(table)}
    return tuple(name for name in WHERE_NEEDED if has[name])


def render_static(table: RouterTable) -> str:
    """Return everything as one static bootstrap, for Envoy to validate."""
    whole = listener.bootstrap(table)
    del whole["dynamic_resources"], whole["layered_runtime"]
    resources = whole["static_resources"]
    resources["clusters"] += clusters.clusters(table) + beside_envoy(table)
    own = tokens.filter_config(tokens.checks_of(table))
    others = provider.provider_config(provider.provider_checks(table))
    checks = [
        resource.where_asked({"name": resource.JWT_AUTHN, "typed_config": own}),
        resource.where_asked({"name": resource.IDENTITY_PROVIDER, "typed_config": others}),
    ]
    routes = {"route_config": envoy.routes(table)}
    rates = limits.rates_of(table)
    limiter = {"name": limits.LIMITER, "typed_config": limits.limiter_config(rates)}
    found = listener.listener(table, routes, checks, resource.where_asked(limiter))
    outward = {"route_config": egress.egress_routes(table.outbound)}
    resources["listeners"] += [found, *egress.egress_listeners(table, outward)]
    for one in (*resources["clusters"], *resources["listeners"]):
        one.pop("@type", None)
    return json.dumps(_without_type(whole))


def beside_envoy(table: RouterTable) -> list[Resource]:
    """Return the clusters that belong to no deployment: of processes beside Envoy, a collector."""
    keys, held = provider.keys_cluster(table.folder), holding.holding_cluster(table.folder)
    return [keys, held, *traces.traces_clusters(table)]


def runtime(layer: Mapping[str, int]) -> str:
    """Return the text of the file of weights."""
    kind = f"{resource.API}service.runtime.v3.Runtime"
    return _versioned(json.dumps([{"@type": kind, "name": "rtds", "layer": dict(layer)}]))


def token_checks(checks: tokens.Checks) -> str:
    """Return the text of the file of token checks."""
    return _versioned(json.dumps([tokens.token_filter(checks)]))


def provider_file(checks: provider.ProviderChecks) -> str:
    """Return the text of the file of checks of identity providers' tokens."""
    return _versioned(json.dumps([provider.provider_filter(checks)]))


def rates(found: limits.Rates) -> str:
    """Return the text of the file of limits."""
    return _versioned(json.dumps([limits.limiter(found)]))


def outbound(rules: Sequence[OutboundEntry]) -> str:
    """Return the text of the file of where instances may go."""
    return _versioned(json.dumps([egress.egress_routes(rules)]))


def version_of(text: str) -> str:
    """Return the version of one of our files, given its first 64 characters or more.

    Empty when it has none.
    """
    head = text[:_HEAD_LENGTH].split('"')
    return head[3] if head[1:2] == ["version_info"] and len(head) > 4 else ""


def version_of_whole(text: str) -> str:
    """Return the version of one of our files, given all of it.

    Empty where it says another than its content has: somebody else has changed it.
    """
    version = version_of(text)
    resources = text[len(_before(version)) : -1]
    return version if text == _versioned(resources) else ""


def clusters_in(text: str) -> dict[str, str]:
    """Return the JSON of each cluster in a file of clusters, by name; empty for a damaged file.

    For a router whose table in force is not known: its clusters are kept as they are, whatever they
    say, while they have requests.
    """
    try:
        return {one["name"]: json.dumps(one) for one in json.loads(text)["resources"]}
    except (ValueError, LookupError, TypeError):
        return {}


def filters_in(text: str) -> frozenset[str]:
    """Return the names of the filters of requests in a file of listeners; none in a damaged one."""
    try:
        chains = [one for found in json.loads(text)["resources"] for one in found["filter_chains"]]
        managers = [one["typed_config"] for chain in chains for one in chain["filters"]]
        return frozenset(one["name"] for found in managers for one in found["http_filters"])
    except (ValueError, LookupError, TypeError):
        return frozenset()


def _lds(table: RouterTable) -> str:
    source = {"config_source": listener.watched(table.folder, "rds")}
    routes = {"rds": {"route_config_name": "routes", **source}}
    named = ((resource.JWT_AUTHN, "ecds"), (resource.IDENTITY_PROVIDER, "provider"))
    checks = [tokens.discovered(n, listener.watched(table.folder, file)) for n, file in named]
    certificate = listener.watched(table.folder, "sds")
    limiter = limits.discovered(listener.watched(table.folder, "limits"))
    found = listener.listener(table, routes, checks, limiter, certificate)
    where = {"config_source": listener.watched(table.folder, egress.ROUTES)}
    outward = {"rds": {"route_config_name": egress.ROUTES, **where}}
    return _versioned(json.dumps([found, *egress.egress_listeners(table, outward)]))


def _ecds(table: RouterTable) -> str:
    return token_checks(tokens.checks_of(table))


def _provider(table: RouterTable) -> str:
    return provider_file(provider.provider_checks(table))


def _outbound(table: RouterTable) -> str:
    return outbound(table.outbound)


def _limits(table: RouterTable) -> str:
    return rates(limits.rates_of(table))


def _sds(table: RouterTable) -> str:
    return _versioned(json.dumps(tls.secrets(table.tls)))


def _rtds(table: RouterTable) -> str:
    return runtime(envoy.runtime_layer(table))


def _clusters_text(endpoint: EndpointEntry) -> str:
    entries = clusters.cluster_entries(endpoint).items()
    return ", ".join(json.dumps(clusters.cluster(name, entry)) for name, entry in entries)


def _action_text(endpoint: EndpointEntry) -> str:
    path = json.dumps(envoy.path(endpoint))
    return f"{path}: {json.dumps(envoy.endpoint_action(endpoint))}"


def _versioned(resources: str) -> str:
    """Return one file's text; `version_info` is a hash of the resources, which are JSON."""
    version = hashlib.sha256(resources.encode()).hexdigest()[:16]
    return f"{_before(version)}{resources}}}"


def _before(version: str) -> str:
    return f'{{"version_info": "{version}", "resources": '


def _without_type(whole: dict[str, Any]) -> dict[str, Any]:
    """Remove `@type`: inside a static listener the routes are a plain message, not an Any."""
    for found in whole["static_resources"]["listeners"]:
        manager = found["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"].pop("@type", None)
    return whole
