"""Events of a cluster's API -> what happened to the instances of a workspace. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.workspace.statuses import Event

OF_PODS = "involvedObject.kind=Pod"
_PROBES = {
    "Liveness": "LivenessProbeFailed",
    "Readiness": "ReadinessProbeFailed",
    "Startup": "StartupProbeFailed",
}
"""Azure ML's names, by the first word of the message of an event whose reason is `Unhealthy`."""


def happened(events: Iterable[Object], deployments: Mapping[str, str]) -> Iterator[Event]:
    """Yield what happened to pods of instances, and of the router, oldest first.

    Args:
        events: Those of pods.
        deployments: `<endpoint>/<deployment>`, by the name of a generation, with which the names of
            its pods begin.
    """
    found = ((_last(one), one) for one in events)
    timed = [(time, one) for time, one in found if time is not None]
    for time, event in sorted(timed, key=lambda one: one[0]):
        pod = str(event["involvedObject"].get("name") or "")
        deployment = _deployment(pod, deployments)
        if deployment is not None:
            yield Event(
                time=time,
                deployment=deployment,
                instance=pod,
                name=_name(event),
                message=" ".join(str(event.get("message") or "").split()),
                count=_count(event),
            )


def _deployment(pod: str, deployments: Mapping[str, str]) -> str | None:
    """Return whose pod it is; empty for the router's, None for one of nobody that is known."""
    if pod.startswith(f"{names.ROUTER_NAME}-"):
        return ""
    return next((of for name, of in deployments.items() if pod.startswith(f"{name}-")), None)


def _name(event: Object) -> str:
    reason, message = str(event.get("reason") or ""), str(event.get("message") or "")
    probe = message.partition(" ")[0]
    return _PROBES.get(probe, reason) if reason == "Unhealthy" else reason


def _count(event: Object) -> int:
    series = event.get("series") or {}
    return max(1, int(series.get("count") or event.get("count") or 1))


def _last(event: Object) -> datetime | None:
    """Return when it happened last."""
    told = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp")
    told = told or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(told) if told else None
