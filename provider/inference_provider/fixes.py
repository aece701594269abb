"""A plan -> the part of it that brings some resources back to what is declared. Pure."""

from collections.abc import Collection, Iterator, Mapping

from inference_provider.errors import Fault, SpecError
from inference_provider.observed import ResourceId
from inference_provider.plan import Action, ActionKind, Plan
from inference_provider.spec.kinds import ROWS


def only(plan: Plan, addresses: Collection[str]) -> Plan:
    """Return a plan in which nothing else changes.

    Args:
        plan: Of a whole stack.
        addresses: `Kind/workspace/name` of each resource that is brought back.

    Raises:
        SpecError: For each address that names nothing of the stack, and each resource that would be
            changed on top of one that differs too.
    """
    actions = {action.id.address: action for action in plan.actions}
    faults = [_unknown(one, actions) for one in addresses if one not in actions]
    for address in addresses:
        if address in actions:
            faults += _below(actions[address], actions, addresses)
    if faults:
        raise SpecError(tuple(dict.fromkeys(faults)), "--fix")
    kept = (
        action
        for action in plan.actions
        if action.kind == ActionKind.KEEP or action.id.address in addresses
    )
    return Plan(actions=tuple(kept))


def _unknown(address: str, actions: Mapping[str, Action]) -> Fault:
    try:
        named = ResourceId.parse(address)
    except ValueError:
        remedy = "write it like 'Deployment/default/iris/blue'"
        return Fault(address, "not an address", remedy)
    near = [one for one in actions if one.endswith(f"/{named.name}")]
    remedy = f"did you mean {near[0]}?" if near else "`inferctl drift --json` prints addresses"
    return Fault(address, f"the stack neither declares nor owns {named}", remedy)


def _below(
    action: Action, actions: Mapping[str, Action], chosen: Collection[str]
) -> Iterator[Fault]:
    """Yield a fault for each resource that this one depends on, that differs and is not chosen."""
    seen: set[str] = set()
    waiting = [action]
    while waiting and action.desired is not None:
        for address in _foundations(waiting.pop()):
            other = actions.get(address)
            if other is None or address in seen:
                continue
            seen.add(address)
            waiting.append(other)
            if other.kind != ActionKind.KEEP and address not in chosen:
                reason = f"{other.id}, on which it depends, differs too"
                yield Fault(action.id.address, reason, f"add --fix {address}")


def _foundations(action: Action) -> Iterator[str]:
    """Yield the addresses of what an action's resource names, and of its workspace."""
    place = action.id.workspace
    yield ResourceId.of_workspace(place).address
    if action.desired is not None:
        for named in ROWS[action.id.kind].references(action.desired.spec):
            yield f"{named.kind.value}/{place}/{named.name}"
