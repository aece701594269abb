"""Autoscalers of others that decide how many pods a generation of ours has. Pure."""

from collections.abc import Iterable, Iterator

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import is_ours
from inference_provider.targets.kubernetes.objects import AUTOSCALER, Object, name_of
from inference_provider.targets.kubernetes.observed_objects import There, made_by
from inference_provider.targets.kubernetes.workloads import is_workload


def rivals_in(there: There) -> dict[str, list[Object]]:
    """Return the autoscalers of others by the workload that they scale."""
    return rivals(one for (kind, _), one in there.items() if kind == AUTOSCALER)


def rivals(autoscalers: Iterable[Object]) -> dict[str, list[Object]]:
    """Return those of others by the workload that they scale; ours are called by its name.

    KEDA gives its own our labels, and calls it by our ScaledObject.
    """
    found: dict[str, list[Object]] = {}
    for one in autoscalers:
        scaled = (one.get("spec") or {}).get("scaleTargetRef") or {}
        name = scaled.get("name", "")
        own = name_of(one) in {name, names.autoscaler_of_keda(name)} and is_ours(one)
        if is_workload(scaled.get("kind", "")) and not own:
            found.setdefault(name, []).append(one)
    return found


def told(others: Iterable[Object], *, ruled: bool = False, remedy: str = "") -> Iterator[str]:
    """Say of each whose it is, since when, and what comes of it.

    Args:
        others: Autoscalers of others.
        ruled: Whether an autoscaler of ours scales that too.
        remedy: What to do instead of deleting it.
    """
    for one in others:
        scaled = one["spec"]["scaleTargetRef"]
        whose = f"{AUTOSCALER.name} {name_of(one)}, {made_by(one)}"
        whose += f", scales {scaled['kind']} {scaled['name']}"
        then = "and fights the autoscale rule" if ruled else "and `up` undoes what it does"
        yield f"{whose}, {then}: delete it{f', or {remedy}' if remedy else ''}"
