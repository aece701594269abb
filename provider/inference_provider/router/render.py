"""RouterTable -> the files a router reads, each with a version made from its content. Pure.

`envoy.py` and `listener.py` know Envoy's words; writing the files and the order in which they take
effect are a target's work.
"""

import hashlib
import json
from typing import Any

from inference_provider.observed import Frozen
from inference_provider.router import envoy, listener
from inference_provider.router.table import RouterTable

CDS, LDS, RDS, RTDS = "cds/cds.json", "lds/lds.json", "rds/rds.json", "rtds/rtds.json"


class RenderedRouter(Frozen):
    """What one router reads; the route table holds keys in clear."""

    bootstrap: str
    """JSON text of `bootstrap.json`."""
    files: dict[str, str]
    """JSON text by path under the router's folder."""


def render(table: RouterTable) -> RenderedRouter:
    """Return every file of a router.

    Raises:
        RouterRejected: A weight or mirror names a deployment that the endpoint does not have.
    """
    source = {"config_source": listener.watched(table.folder, "rds")}
    public = listener.listener(table, {"rds": {"route_config_name": "routes", **source}})
    return RenderedRouter(
        bootstrap=json.dumps(listener.bootstrap(table)),
        files={
            CDS: versioned(envoy.clusters(table)),
            LDS: versioned([public]),
            RDS: versioned([envoy.routes(table)]),
            RTDS: runtime(envoy.runtime_layer(table)),
        },
    )


def render_static(table: RouterTable) -> str:
    """Return everything in one bootstrap, for Envoy to check before a file is written."""
    whole = listener.bootstrap(table)
    del whole["dynamic_resources"], whole["layered_runtime"]
    resources = whole["static_resources"]
    resources["clusters"] += envoy.clusters(table)
    resources["listeners"].append(listener.listener(table, {"route_config": envoy.routes(table)}))
    for resource in (*resources["clusters"], *resources["listeners"]):
        resource.pop("@type", None)
    return json.dumps(_without_type(whole))


def versioned(resources: list[dict[str, Any]]) -> str:
    """Return one file's text; `version_info` is a hash of the resources."""
    text = json.dumps(resources)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f'{{"version_info": "{version}", "resources": {text}}}'


def version_of(text: str) -> str:
    """Return the version a file of `versioned` carries, without parsing all of it."""
    return text[:64].split('"')[3]


def runtime(layer: dict[str, int]) -> str:
    """Return the text of the weights' file."""
    kind = f"{envoy.API}service.runtime.v3.Runtime"
    return versioned([{"@type": kind, "name": "rtds", "layer": layer}])


def _without_type(whole: dict[str, Any]) -> dict[str, Any]:
    """Inside a static listener the routes are a plain message and not an Any."""
    for found in whole["static_resources"]["listeners"]:
        manager = found["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"].pop("@type", None)
    return whole
