"""RouterTable -> the files a router reads, each with a version made from its content. Pure.

`clusters.py`, `envoy.py` and `listener.py` know Envoy's words; in which order the files take effect
is decided in `steps.py`, and writing them is a target's work.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from inference_provider.observed import Frozen
from inference_provider.router import clusters, envoy, listener
from inference_provider.router.endpoint_texts import EndpointTexts
from inference_provider.router.table import EndpointEntry, RouterTable

CDS, LDS, RDS, RTDS = "cds/cds.json", "lds/lds.json", "rds/rds.json", "rtds/rtds.json"
_HEAD_LENGTH = 64
"""So many characters of a file hold its version."""


class RenderedRouter(Frozen):
    """What one router reads; the route table holds keys in clear."""

    bootstrap: str
    """JSON text of `bootstrap.json`."""
    files: dict[str, str]
    """JSON text by path under the router's folder."""


class Renderer:
    """Renders the files of one router, and keeps each endpoint's part of them.

    A change of one endpoint renders that one; the rest of a thousand is put together from text.
    """

    def __init__(self) -> None:
        self._clusters = EndpointTexts(_clusters_text)
        self._actions = EndpointTexts(_action_text)

    def file(self, name: str, table: RouterTable, beside: Iterable[str] = ()) -> str:
        """Return one file's text.

        Args:
            name: CDS, LDS, RDS or RTDS.
            table: What the router is to serve.
            beside: JSON of clusters that stay beside the table's; see `clusters_in`.

        Raises:
            RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
        """
        if name == CDS:
            return self._cds(table, beside)
        return {LDS: _lds, RDS: self._rds, RTDS: _rtds}[name](table)

    def _cds(self, table: RouterTable, beside: Iterable[str]) -> str:
        found = [text for text in self._clusters.of(table) if text]
        draining = (clusters.cluster(one.cluster, one.deployment) for one in table.draining)
        return _versioned(f"[{', '.join([*found, *map(json.dumps, draining), *beside])}]")

    def _rds(self, table: RouterTable) -> str:
        if not table.endpoints:
            return _versioned(json.dumps([envoy.routes(table)]))
        # around a name that no endpoint can have
        around = json.dumps([envoy.route_table({"@": {}})])
        before, after = around.split('"@": {}')
        return _versioned(f"{before}{', '.join(self._actions.of(table))}{after}")


def render(table: RouterTable) -> RenderedRouter:
    """Return every file of a router.

    Raises:
        RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
    """
    renderer = Renderer()
    files = {name: renderer.file(name, table) for name in (CDS, LDS, RDS, RTDS)}
    return RenderedRouter(bootstrap=json.dumps(listener.bootstrap(table)), files=files)


def render_static(table: RouterTable) -> str:
    """Return everything in one bootstrap, for Envoy to check before a file is written."""
    whole = listener.bootstrap(table)
    del whole["dynamic_resources"], whole["layered_runtime"]
    resources = whole["static_resources"]
    resources["clusters"] += clusters.clusters(table)
    resources["listeners"].append(listener.listener(table, {"route_config": envoy.routes(table)}))
    for resource in (*resources["clusters"], *resources["listeners"]):
        resource.pop("@type", None)
    return json.dumps(_without_type(whole))


def runtime(layer: Mapping[str, int]) -> str:
    """Return the text of the weights' file."""
    kind = f"{envoy.API}service.runtime.v3.Runtime"
    return _versioned(json.dumps([{"@type": kind, "name": "rtds", "layer": dict(layer)}]))


def version_of(text: str) -> str:
    """Return the version that a file of ours carries, from its first 64 characters on.

    Empty for a file that has none.
    """
    head = text[:_HEAD_LENGTH].split('"')
    return head[3] if head[1:2] == ["version_info"] and len(head) > 4 else ""


def clusters_in(text: str) -> dict[str, str]:
    """Return the JSON of each cluster in a clusters' file by its name; nothing of a damaged file.

    For the clusters of a router whose table nobody remembers: they are kept as they are while
    requests are on them. What they say is not looked at.
    """
    try:
        return {one["name"]: json.dumps(one) for one in json.loads(text)["resources"]}
    except (ValueError, LookupError, TypeError):
        return {}


def _lds(table: RouterTable) -> str:
    source = {"config_source": listener.watched(table.folder, "rds")}
    public = listener.listener(table, {"rds": {"route_config_name": "routes", **source}})
    return _versioned(json.dumps([public]))


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
    return f'{{"version_info": "{version}", "resources": {resources}}}'


def _without_type(whole: dict[str, Any]) -> dict[str, Any]:
    """Inside a static listener the routes are a plain message and not an Any."""
    for found in whole["static_resources"]["listeners"]:
        manager = found["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"].pop("@type", None)
    return whole
