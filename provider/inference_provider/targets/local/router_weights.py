"""Weights' files and tables -> what may change without touching a route. Pure.

The order in which files are written is in `router.py`.
"""

import json

from inference_provider.router.envoy import WEIGHT_PREFIX
from inference_provider.router.render import runtime
from inference_provider.router.table import EndpointEntry, RouterTable


def layer_of(text: str) -> dict[str, int]:
    """Return the runtime layer that a weights' file holds."""
    layer: dict[str, int] = json.loads(text)["resources"][0]["layer"]
    return layer


def between(old: str, new: str) -> str:
    """Return the weights that are right under the old route table and under the new.

    A deployment both know keeps its old weight and a new one gets none, so the old split goes on;
    only an endpoint that would be left without any weight takes the new ones at once: all zero
    under a split is an error inside Envoy.
    """
    before = layer_of(old) if old else {}
    after = layer_of(new)
    kept: set[str] = set()
    for key in after:
        if key.startswith(WEIGHT_PREFIX) and before.get(key, 0) > 0:
            kept.add(key.partition("/")[0])
    merged = dict(before)
    for key, value in after.items():
        if key.startswith(WEIGHT_PREFIX) and key.partition("/")[0] in kept:
            merged[key] = before.get(key, 0)
        elif key in before and not key.startswith(WEIGHT_PREFIX):
            merged[key] = before[key]
        else:
            merged[key] = value
    return runtime(merged)


def same_but_shares(one: RouterTable, other: RouterTable) -> bool:
    """Whether two tables differ in nothing but the size of weights and mirrors.

    Comparing is some ten times cheaper than rendering a thousand endpoints again.
    """
    if len(one.endpoints) != len(other.endpoints):
        return False
    if one.model_copy(update={"endpoints": ()}) != other.model_copy(update={"endpoints": ()}):
        return False
    return all(map(_same_routes, one.endpoints, other.endpoints))


def _same_routes(one: EndpointEntry, other: EndpointEntry) -> bool:
    return one is other or (
        one.name == other.name
        and one.mirror.keys() == other.mirror.keys()
        and any(one.weights.values()) == any(other.weights.values())
        and one.keys == other.keys
        and one.deployments == other.deployments
    )
