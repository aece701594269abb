"""What a workspace of this machine looks like now: records, supervisord, the router.

One read of the folder, one call to supervisord, three to the router, whatever the number of
resources. What did not answer makes the fields it would have told UNKNOWN, never absent.
"""

import time
from collections.abc import Collection, Iterator, Mapping

from inference_provider.errors import TargetUnreachable
from inference_provider.observed import (
    Frozen,
    Kind,
    ObservedResource,
    Presence,
    Record,
    Restarts,
)
from inference_provider.targets.local.addresses import listens
from inference_provider.targets.local.assets import kept_fault
from inference_provider.targets.local.endings import Endings, keeps_dying, restarts
from inference_provider.targets.local.routes import backend_of
from inference_provider.targets.local.runtime import ROUTER, ROUTER_START_TIMEOUT_S, Runtime
from inference_provider.targets.local.store import Instance, RouterAddress
from inference_provider.targets.local.supervisor import ProcessState

_UNWATCHED = "unsupervised: supervisord does not run"


RUNNING = frozenset({Kind.WORKSPACE, Kind.DEPLOYMENT, Kind.TRAFFIC})
"""Kinds whose state only the processes tell; the rest lies in files."""


class Sight(Frozen):
    """What the workspace's processes answered."""

    processes: dict[str, ProcessState] = {}
    weights: dict[str, dict[str, int]] | None = None
    """Per endpoint, as Envoy has them; None when it did not answer."""
    mirrors: dict[str, dict[str, int]] | None = None
    healthy: dict[str, int] | None = None
    endings: dict[str, Endings] = {}
    """How often each program ended by itself; one that never did is left out."""
    minute: int = 0
    """When this was seen, in minutes since 1970."""
    unreachable: str = ""
    """Why supervisord could not be asked; empty when it answered or is known not to run."""

    @property
    def unwatched(self) -> bool:
        """Whether a router answers that outlived its supervisord."""
        return self.weights is not None and not self.processes


def look(runtime: Runtime) -> Sight:
    """Ask supervisord, then the router; not one question a resource."""
    try:
        processes = runtime.supervisor.processes()
    except TargetUnreachable as silent:
        return Sight(unreachable=str(silent))
    return Sight(
        processes=processes,
        weights=runtime.router.live_weights(),
        mirrors=runtime.router.live_mirrors(),
        healthy=runtime.router.healthy_backends(),
        endings=runtime.endings(),
        minute=int(time.time() // 60),
    )


def observed(runtime: Runtime, record: Record, sight: Sight) -> ObservedResource:
    """Return one recorded resource as it is now."""
    base = ObservedResource(id=record.id, presence=Presence.PRESENT, record=record)
    reader = {
        Kind.WORKSPACE: _workspace,
        Kind.MODEL: _asset,
        Kind.ENVIRONMENT: _asset,
        Kind.ENDPOINT: _endpoint,
        Kind.DEPLOYMENT: _deployment_and_code,
        Kind.TRAFFIC: _traffic,
    }[record.id.kind]
    return base.model_copy(update=reader(runtime, record, sight))


def _url(address: RouterAddress) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address.host, address.host)
    return f"http://{host}:{address.port}"


def _router_fault(sight: Sight) -> str:
    if sight.unwatched:
        return f"the router serves on, {_UNWATCHED}"
    process = sight.processes.get(ROUTER)
    if process is None or process.state not in ("RUNNING", "STARTING"):
        return "the router does not run"
    return "" if sight.weights is not None else "the router does not answer"


def _workspace(runtime: Runtime, record: Record, sight: Sight) -> dict[str, object]:
    address = runtime.address
    outputs = {
        "router_url": _url(address),
        "metrics_url": f"http://127.0.0.1:{address.metrics_port}",
    }
    if sight.unreachable:
        return {"outputs": outputs, "presence": Presence.UNKNOWN, "reason": sight.unreachable}
    fault = _router_fault(sight)
    ended = _restarts(sight, [ROUTER], int(ROUTER_START_TIMEOUT_S))
    status = fault or "router ready"
    return {"outputs": outputs, "degraded": fault, "status": status, "restarts": ended}


def _asset(runtime: Runtime, record: Record, sight: Sight) -> dict[str, object]:
    fields = record.properties
    pinned = f"{fields['name']}:{fields['version']}@sha256:{fields['content_hash']}"
    fault = kept_fault(runtime.store, record)
    return {"outputs": {"reference": pinned}, "status": fault or "kept", "degraded": fault}


def _endpoint(runtime: Runtime, record: Record, sight: Sight) -> dict[str, object]:
    base = f"{_url(runtime.address)}/endpoints/{record.id.name}"
    keys = runtime.store.keys(record.id.name)
    secrets = {"primary_key": keys[0], "secondary_key": keys[1]} if keys else {}
    return {
        "outputs": {"scoring_uri": f"{base}/score", "openapi_uri": f"{base}/swagger.json"},
        "secret_outputs": secrets,
        "status": "declared",
        "degraded": "" if keys else "its keys are gone",
    }


def _deployment_and_code(runtime: Runtime, record: Record, sight: Sight) -> dict[str, object]:
    found = _deployment(runtime, record, sight)
    fault = kept_fault(runtime.store, record)
    return {**found, "degraded": fault} if fault and not found.get("degraded") else found


def _deployment(runtime: Runtime, record: Record, sight: Sight) -> dict[str, object]:
    outputs = {"generation": record.generation}
    if sight.unreachable:
        return {"outputs": outputs, "presence": Presence.UNKNOWN, "reason": sight.unreachable}
    there = runtime.store.instances(record.id.name)
    ended = _restarts(sight, [i.name for i in there], _start_limit_s(record))
    dying = [name for name, one in ended.items() if keeps_dying(one)]
    running = [i for i in there if _runs(i, record, sight) and i.name not in dying]
    wanted = record.properties["instance_count"]
    healthy = (sight.healthy or {}).get(record.id.name, 0)
    found = {"outputs": outputs, "live": {"instance_count": len(running)}, "restarts": ended}
    if sight.unwatched and healthy:
        fault = f"{healthy} of {wanted} instances serve on, {_UNWATCHED}"
        return {**found, "status": fault, "degraded": fault}
    # Of one that started again the router learns late, at the rate of the readiness probe.
    starting = [i for i in running if i.name in ended and not _serves(runtime, i, sight)]
    ready = f"{min(healthy, len(running) - len(starting))} of {wanted} instances ready"
    if sight.healthy is None and running:
        ready = f"{len(running)} of {wanted} instances run; the router does not say which are ready"
    deaths = [_death(name, ended[name]) for name in dying]
    idle = [i for i in there if i not in running and i.name not in dying]
    return {
        **found,
        "status": "; ".join([ready, *deaths]),
        "degraded": "; ".join([*deaths, *_idle(idle, record)]),
    }


def _idle(instances: list[Instance], record: Record) -> Iterator[str]:
    """Say how many of the recorded instances do not run, and how many others are left."""
    stopped = sum(_is_recorded(i, record) for i in instances)
    left = len(instances) - stopped
    if stopped:
        yield f"{stopped} instance{'s' * (stopped != 1)} not running"
    if left:
        yield f"{left} leftover instance{'s' * (left != 1)}"


def _is_recorded(instance: Instance, record: Record) -> bool:
    return instance.admitted and instance.generation == record.generation


def _runs(instance: Instance, record: Record, sight: Sight) -> bool:
    process = sight.processes.get(instance.name)
    return (
        _is_recorded(instance, record)
        and process is not None
        and process.state in ("RUNNING", "STARTING")
    )


def _start_limit_s(record: Record) -> int:
    fields = record.properties
    return int(fields["readiness_probe"]["initial_delay"] + fields["start_timeout_s"])


def _restarts(sight: Sight, names: Collection[str], limit_s: int) -> dict[str, Restarts]:
    there = sight.endings.items()
    return {n: restarts(ended, limit_s, sight.minute) for n, ended in there if n in names}


def _death(name: str, restarts: Restarts) -> str:
    return f"{name} ended {restarts.lately} times in the last {restarts.minutes} minutes"


def _serves(runtime: Runtime, instance: Instance, sight: Sight) -> bool:
    return listens(sight.processes[instance.name].pid, backend_of(runtime.store, instance))


def _traffic(runtime: Runtime, record: Record, sight: Sight) -> dict[str, object]:
    if sight.unreachable:
        return {"presence": Presence.UNKNOWN, "reason": sight.unreachable}
    if sight.weights is None or sight.mirrors is None:
        process = sight.processes.get(ROUTER)
        if process is None:  # known not to run: what was applied is what the next start serves
            return {"status": "not served", "degraded": "the router does not run"}
        return {"presence": Presence.UNKNOWN, "reason": "the router does not answer"}
    live = {
        "traffic": _merged(record.properties["traffic"], sight.weights.get(record.id.name, {})),
        "mirror_traffic": _merged(
            record.properties["mirror_traffic"], sight.mirrors.get(record.id.name, {})
        ),
    }
    return {"live": live, "status": split_text(live["traffic"], live["mirror_traffic"])}


def split_text(traffic: Mapping[str, int], mirror: Mapping[str, int]) -> str:
    """Write a split and its mirror for a person: `blue 100 %, mirror green 20 %`."""
    shares = [f"{name} {share} %" for name, share in sorted(traffic.items())]
    copies = [f"mirror {name} {share} %" for name, share in sorted(mirror.items()) if share]
    return ", ".join([*(shares or ["no traffic"]), *copies])


def _merged(recorded: dict[str, int], live: dict[str, int]) -> dict[str, int]:
    """Return the live shares; a recorded 0 that the router does not list stays a 0."""
    shown = {name: share for name, share in live.items() if share or name in recorded}
    zeros = {name: 0 for name in recorded if name not in live}
    return {**zeros, **shown}
