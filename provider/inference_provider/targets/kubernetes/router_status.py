"""What the pods of a router say -> what the router of a workspace serves. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from inference_provider.targets.envoy.refused import counted
from inference_provider.targets.kubernetes.objects import Object
from inference_provider.targets.kubernetes.pods import endings_of
from inference_provider.workspace.endings import Endings
from inference_provider.workspace.statuses import RouterStatus

Shares = Mapping[str, Mapping[str, int]]
START_LIMIT_S = 60
"""Longest time the start of a pod takes whose image is there."""


def combined(
    answers: Mapping[str, RouterStatus],
    faults: Sequence[str] = (),
    metrics_port: int | None = None,
) -> RouterStatus:
    """Return one status of all pods; shares are unknown where the pods do not agree.

    Args:
        answers: By pod, of those that answer.
        faults: What is wrong besides.
        metrics_port: Port of each pod that is to have a page of metrics.
    """
    paged = {pod: one.metrics_port for pod, one in answers.items()}
    served = metrics_port is not None and set(paged.values()) == {metrics_port}
    told = [
        *faults,
        *(f"router pod {pod}: {one.fault}" for pod, one in answers.items() if one.fault),
        *(_other_page(pod, port) for pod, port in paged.items() if port != metrics_port),
    ]
    know = [one for one in answers.values() if one.weights is not None]
    differ = sorted(
        _differing([one.weights or {} for one in know])
        | _differing([one.mirrors or {} for one in know])
    )
    if differ:
        told.append(f"its pods serve different weights of {', '.join(differ)}")
    first = know[0] if know and not differ else RouterStatus()
    page = f"metrics on port {metrics_port} of each router pod" if served else ""
    notes = [f"router pod {pod}: {one.note}" for pod, one in answers.items() if one.note]
    return RouterStatus(
        fault="; ".join(told),
        note="; ".join(notes),
        beside="; ".join(filter(None, (page, *_told_alike(answers)))),
        metrics_port=metrics_port,
        weights=first.weights,
        mirrors=first.mirrors,
        healthy=_least([one.healthy or {} for one in know]) if know else None,
        refused=counted(calls for one in answers.values() for calls in one.refused),
        start_limit_s=START_LIMIT_S,
    )


def _told_alike(answers: Mapping[str, RouterStatus]) -> list[str]:
    """Return what pods say of what they send: once where all say the same."""
    found = {pod: one.beside for pod, one in answers.items() if one.beside}
    texts = list(dict.fromkeys(found.values()))
    if len(texts) < 2 and len(found) == len(answers):
        return texts
    return [f"router pod {pod}: {text}" for pod, text in found.items()]


def _other_page(pod: str, port: int | None) -> str:
    """Say that a pod does not have the page of metrics that is declared."""
    if port is None:
        return f"router pod {pod} serves no metrics: its image is of an older release"
    return f"router pod {pod} still serves metrics on port {port}"


def _differing(found: Sequence[Shares]) -> set[str]:
    """Return the endpoints of which not all say the same."""
    endpoints = {name for one in found for name in one}
    return {name for name in endpoints if any(one.get(name) != found[0].get(name) for one in found)}


def _least(found: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = {name for one in found for name in one}
    return {name: min(one.get(name, 0) for one in found) for name in sorted(names)}


def endings_of_all(pods: Iterable[Object]) -> Endings:
    """Return how often the containers of all pods ended by themselves."""
    total, minutes = 0, dict[int, int]()
    for found in map(endings_of, pods):
        total += found.total
        for minute, count in found.minutes.items():
            minutes[minute] = minutes.get(minute, 0) + count
    return Endings(total=total, minutes=minutes)
