"""A split that a command line asks for -> the Traffic of an endpoint, and what it keeps."""

from collections.abc import Mapping
from typing import Any

from inference_provider.cli.az.site import Site
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec import TrafficSpec
from inference_provider.spec.fields import in_clear


def traffic_item(site: Site, endpoint: ResourceId, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item of a stack file for an endpoint's split.

    Args:
        site: Where.
        endpoint: Whose.
        said: `traffic` or `mirror_traffic`, or both; the other, and a rollout, stay as they are.
    """
    id_ = endpoint.model_copy(update={"kind": Kind.TRAFFIC})
    before = site.held.specs.get(id_)
    kept = in_clear(before) if isinstance(before, TrafficSpec) else {}
    names = {one.id.name.lower(): one.id.name.partition("/")[2] for one in site.behind(endpoint)}
    given = {
        field: {names.get(f"{endpoint.name}/{name}".lower(), name): n for name, n in split.items()}
        for field, split in said.items()
    }
    place = {"workspace": endpoint.workspace, "endpoint": endpoint.name}
    return {**kept, **place, **given}
