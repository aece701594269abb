"""Records, keys and instances of a workspace -> RouterTable.

Always made from all of them, never patched: two callers that change two deployments cannot lose
one another's change.
"""

from typing import Any

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Record
from inference_provider.router.table import Backend, DeploymentEntry, EndpointEntry, RouterTable
from inference_provider.targets.local.assets import environment_of
from inference_provider.targets.local.store import Instance, RouterAddress, Store


def router_table(store: Store, address: RouterAddress) -> RouterTable:
    """Return all that a workspace's router serves now. Call it under the state lock."""
    by_kind: dict[Kind, list[Record]] = {}
    for record in store.records():
        by_kind.setdefault(record.id.kind, []).append(record)
    deployments: dict[str, list[DeploymentEntry]] = {}
    for record in by_kind.get(Kind.DEPLOYMENT, []):
        entry = _deployment_entry(store, record)
        deployments.setdefault(record.properties["endpoint"], []).append(entry)
    traffic = {r.id.name: r.properties for r in by_kind.get(Kind.TRAFFIC, [])}
    return RouterTable(
        folder=str(store.router_folder),
        host=address.host,
        port=address.port,
        metrics_port=address.metrics_port,
        endpoints=tuple(
            _endpoint_entry(store, r.id.name, deployments, traffic.get(r.id.name, {}))
            for r in by_kind.get(Kind.ENDPOINT, [])
        ),
    )


def backend_of(store: Store, instance: Instance) -> Backend:
    """Return where an instance is asked: at its port, or at the Unix socket that has its number.

    The socket's folder lets this user alone in; anybody of this machine can ask a port.
    """
    socket = str(store.sockets_folder / str(instance.port)) if instance.socket else ""
    return Backend(host="127.0.0.1", port=instance.port, socket=socket)


def _endpoint_entry(
    store: Store, name: str, deployments: dict[str, list[DeploymentEntry]], traffic: dict[str, Any]
) -> EndpointEntry:
    keys = store.keys(name)
    if keys is None:
        raise TargetError(
            "serve",
            f"Endpoint '{store.workspace}/{name}'",
            "its file of keys is gone",
            "put it back; while the router runs, `inferctl up` makes new keys",
        )
    mine = tuple(deployments.get(name, ()))
    there = {entry.name for entry in mine}
    weights = {n: s for n, s in traffic.get("traffic", {}).items() if n in there and s > 0}
    mirror = {n: s for n, s in traffic.get("mirror_traffic", {}).items() if n in there and s > 0}
    return EndpointEntry(name=name, keys=keys, deployments=mine, weights=weights, mirror=mirror)


def _deployment_entry(store: Store, record: Record) -> DeploymentEntry:
    fields = record.properties
    settings, probe = fields["request_settings"], fields["readiness_probe"]
    config = environment_of(store, fields["environment"]).inference_config
    admitted = [i for i in store.instances(record.id.name) if i.admitted]
    return DeploymentEntry(
        name=fields["name"],
        backends=tuple(backend_of(store, i) for i in admitted),
        timeout_ms=settings["request_timeout_ms"],
        max_concurrent=settings["max_concurrent_requests_per_instance"],
        retry_on_503=settings["retry_on_503"],
        health_path=config.readiness_route.path if config else "/",
        health_interval_ms=probe["period"] * 1000,
        health_timeout_ms=probe["timeout"] * 1000,
        health_failures=probe["failure_threshold"],
        scoring_path=config.scoring_route.path if config else "/score",
    )
