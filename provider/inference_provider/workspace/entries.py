"""Records, keys and live backends of a workspace -> what its router serves.

Always made from all of them, never patched: two callers that change two deployments cannot lose
one another's change.
"""

from collections.abc import Callable, Mapping
from typing import Any

from inference_provider.observed import Kind, Record
from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry
from inference_provider.serving.server import server_of
from inference_provider.workspace.ports import Compute, Content
from inference_provider.workspace.state import State

Build = Callable[[], tuple[EndpointEntry, ...]]


def endpoint_entries(state: State, compute: Compute, content: Content) -> Build:
    """Return what makes a workspace's entries from what is so when it is called."""

    def build() -> tuple[EndpointEntry, ...]:
        backends = compute.backends()
        deployments: dict[str, list[DeploymentEntry]] = {}
        for record in state.of_kind(Kind.DEPLOYMENT):
            entry = _deployment(record, backends.get(record.id.name, ()), content)
            deployments.setdefault(record.properties["endpoint"], []).append(entry)
        traffic = {r.id.name: r.properties for r in state.of_kind(Kind.TRAFFIC)}
        return tuple(
            _endpoint(state, r.id.name, tuple(deployments.get(r.id.name, ())), traffic)
            for r in state.of_kind(Kind.ENDPOINT)
        )

    return build


def _endpoint(
    state: State,
    name: str,
    deployments: tuple[DeploymentEntry, ...],
    traffic: Mapping[str, Mapping[str, Any]],
) -> EndpointEntry:
    there = {entry.name for entry in deployments}
    fields = traffic.get(name, {})
    weights = {n: s for n, s in fields.get("traffic", {}).items() if n in there and s > 0}
    mirror = {n: s for n, s in fields.get("mirror_traffic", {}).items() if n in there and s > 0}
    keys = state.keys(name) or ()
    return EndpointEntry(
        name=name, keys=keys, deployments=deployments, weights=weights, mirror=mirror
    )


def _deployment(record: Record, backends: tuple[Backend, ...], content: Content) -> DeploymentEntry:
    fields = record.properties
    settings, probe = fields["request_settings"], fields["readiness_probe"]
    server = server_of(None, content.environment(fields["environment"]))
    return DeploymentEntry(
        name=fields["name"],
        backends=backends,
        timeout_ms=settings["request_timeout_ms"],
        max_concurrent=settings["max_concurrent_requests_per_instance"],
        retry_on_503=settings["retry_on_503"],
        health_path=server.readiness_path,
        health_interval_ms=probe["period"] * 1000,
        health_timeout_ms=probe["timeout"] * 1000,
        health_failures=probe["failure_threshold"],
        scoring_path=server.scoring_path,
    )
