"""What deployments want of a target's GPUs: why they cannot all have it, or which each gets. Pure.

Goes in: desired resources and a target's capabilities, whose ledger is read only if somebody wants
a GPU. What fits, and who gets which, is decided in `gpus.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from inference_provider.capabilities import TargetCapabilities
from inference_provider.compare import generation_after
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault
from inference_provider.gpus import Ledger, Wish, in_words, lacks, matched
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.refusals import Refusal, at_target
from inference_provider.spec.gpus import NVIDIA, GpuRequest
from inference_provider.spec.quota import gpus_of, size_of


def asks_for_gpus(resource: DesiredResource) -> bool:
    """Whether it is a deployment whose instances get GPUs."""
    return resource.id.kind == Kind.DEPLOYMENT and size_of(resource.spec).gpus > 0


def gpu_refusals(
    desired: Iterable[DesiredResource], capabilities: TargetCapabilities, *, together: bool = False
) -> tuple[Refusal, ...]:
    """Return what the target has too few GPUs for; it is asked only if somebody wants one.

    Args:
        desired: What is wanted; of others only the base image of a workspace is read.
        capabilities: What the target can do.
        together: Whether these are all that will be started, so that their sum counts, and what
            others hold.
    """
    if capabilities.gpu_fault is not None:
        return tuple(_never_given(desired, capabilities, capabilities.gpu_fault))
    wanted = tuple(desired)
    if foreign := tuple(_of_other_vendors(wanted, capabilities)):
        return foreign
    wishes, ledger = _asked(wanted, capabilities)
    found = tuple(
        Refusal(at_target(id_, capabilities), _fault(wish, ledger, capabilities))
        for id_, wish in wishes.items()
        if lacks(wish.asked, wish.instances, ledger)
    )
    short = matched(wishes.values(), ledger).unmet if together and not found else None
    if short is None:
        return found
    sum_ = sum(wish.instances * wish.asked.each for wish in wishes.values())
    alone = ledger.without({wish.deployment for wish in wishes.values()})
    held = f", {len(alone.holders)} of them held already" if alone.holders else ""
    supported = f"{len(ledger.gpus)}{held} ({ledger})"
    fault = capabilities.fault(short.asked.field, "gpu_count", f"{sum_} together", supported)
    place = str(*wishes) if len(wishes) == 1 else "the deployments that change"
    return (Refusal(at_target(place, capabilities), fault),)


def _of_other_vendors(
    desired: Iterable[DesiredResource], can: TargetCapabilities
) -> Iterator[Refusal]:
    """Refuse GPUs that no ledger counts."""
    for resource in filter(asks_for_gpus, desired):
        asked = _wish(resource).asked
        if asked.device_class:
            reason = f"DeviceClass '{asked.device_class}': only a cluster has such"
            fault = Fault("resources.device_class", reason, "use target 'kubernetes'")
            yield Refusal(at_target(resource.id, can), fault)
        elif asked.resource != NVIDIA:
            reason, remedy = f"'{asked.resource}' is not supported", "use target 'kubernetes'"
            yield Refusal(at_target(resource.id, can), Fault(asked.field, reason, remedy))


def _never_given(
    desired: Iterable[DesiredResource],
    can: TargetCapabilities,
    fault_of: Callable[[GpuRequest], tuple[str, str] | None],
) -> Iterator[Refusal]:
    for resource in filter(asks_for_gpus, desired):
        asked = _wish(resource).asked
        if found := fault_of(asked):
            fault = Fault(asked.field, *found)
            yield Refusal(at_target(resource.id, can), fault)


def surge_refusals(
    changing: Iterable[tuple[DesiredResource, Record | None]], can: TargetCapabilities
) -> tuple[Refusal, ...]:
    """Return what has no room for new instances beside the old ones; nothing was touched yet.

    Args:
        changing: What is wanted, each with its record.
        can: What the target can do; it is asked only if a deployment with GPUs rolls.
    """
    rolling = {
        f"{one.id.workspace}/{one.id.name}": one
        for one, record in changing
        if can.surge_faults and record and asks_for_gpus(one) and _rolls_beside(one, record)
    }
    if can.surge_faults is None or not rolling:
        return ()
    wishes = {name: _wish(one) for name, one in rolling.items()}
    found = can.surge_faults([*wishes.values()])
    return tuple(
        Refusal(at_target(rolling[name].id, can), Fault(wishes[name].asked.field, *why))
        for name, why in found.items()
    )


def _rolls_beside(wanted: DesiredResource, record: Record) -> bool:
    surges = wanted.variant == "online" and wanted.spec.surge != 0
    return surges and generation_after(wanted, record) != record.generation


def chosen_gpus(
    desired: Iterable[DesiredResource], capabilities: TargetCapabilities
) -> Mapping[ResourceId, tuple[str, ...]]:
    """Return the UUIDs of the GPUs that each deployment is to get, so that all have theirs.

    Args:
        desired: All that will be started; of others only the base image of a workspace is read.
        capabilities: What the target can do.
    """
    wishes, ledger = _asked(desired, capabilities)
    found = matched(wishes.values(), ledger).chosen
    return {id_: found.get(wish.deployment, ()) for id_, wish in wishes.items()}


def _asked(
    desired: Iterable[DesiredResource], can: TargetCapabilities
) -> tuple[Mapping[ResourceId, Wish], Ledger]:
    known = tuple(desired)
    wishes = {resource.id: _wish(resource) for resource in known if asks_for_gpus(resource)}
    if not wishes:
        return {}, Ledger()
    spaces = (resource.spec for resource in known if resource.id.kind == Kind.WORKSPACE)
    return wishes, can.gpus(next((s.base_image for s in spaces if s.base_image), None))


def _wish(resource: DesiredResource) -> Wish:
    asked, id_ = gpus_of(resource.spec), resource.id
    assert asked is not None
    return Wish(f"{id_.workspace}/{id_.name}", asked, resource.spec.instance_count)


def _fault(wish: Wish, ledger: Ledger, can: TargetCapabilities) -> Fault:
    asked, has = wish.asked, len(ledger.fitting(wish.asked))
    particular = bool(asked.product or asked.devices or asked.mig)
    supported = f"{has} of them" if particular and ledger.gpus else str(has)
    supported += f" ({ledger})" if ledger.gpus else f": {ledger.nothing}" if ledger.nothing else ""
    everything = f"{in_words(asked, wish.instances)} for all instances"
    fault = can.fault(asked.field, "gpu_count", everything, supported)
    return replace(fault, remedy=ledger.remedy) if ledger.remedy else fault
