"""plan -> which of its actions wait for which others. Pure.

Two stages: everything is created, then everything is deleted. So traffic moves away from a
deployment before that is deleted, and nothing is deleted after a failed creation. Within a stage an
action waits for the actions on what its resource depends on (a deployment on its endpoint), and a
deletion for those on its dependents. Also, two deployments are applied one after the other if both
at once might exceed the capacity.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from inference_provider.observed import Kind, ResourceId
from inference_provider.plan import Action, ActionKind, Plan
from inference_provider.spec.kinds import RANK, ROWS
from inference_provider.spec.quota import size_of


class Stage(NamedTuple):
    """Actions that may run concurrently, apart from those that wait."""

    actions: tuple[Action, ...]
    """In an order that is valid for doing them one by one."""
    waits: tuple[Set[int], ...]
    """For each action, the positions of those that it waits for."""


def stages(plan: Plan) -> tuple[Stage, Stage]:
    """Return the stage of creations and updates, and the stage of deletions."""
    removed = (ActionKind.DELETE, ActionKind.HAND_OVER)
    made = [action for action in plan.pending if action.kind not in removed]
    made.sort(key=lambda action: RANK[action.id.kind])
    gone = [action for action in plan.pending if action.kind in removed]
    return Stage(tuple(made), _before_makes(made)), Stage(tuple(gone), _before_deletions(gone))


def _before_makes(actions: Sequence[Action]) -> tuple[Set[int], ...]:
    waits = [set(found) for found in _foundations(actions)]
    for before, after in (*_workspaces_in_turn(actions), *_within_capacity(actions)):
        waits[after].add(before)
    return tuple(waits)


def _before_deletions(actions: Sequence[Action]) -> tuple[Set[int], ...]:
    waits: list[set[int]] = [set() for _ in actions]
    for i, foundations in enumerate(_foundations(actions)):
        for foundation in foundations:
            waits[foundation].add(i)
    return tuple(waits)


def _foundations(actions: Sequence[Action]) -> list[Set[int]]:
    """Return for each action the positions of those whose resources its own depends on."""
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    for i, action in enumerate(actions):
        for key in _known_as(action.id):
            places[action.id.workspace, key].add(i)
    return [
        {
            i
            for key in _stands_on(action)
            for i in places.get((action.id.workspace, key), ())
            if actions[i].id != action.id
        }
        for action in actions
    ]


def _known_as(resource: ResourceId) -> Iterator[str]:
    """Yield the keys by which dependents find a resource: its kind, its name, its endpoint."""
    kind = resource.kind.value
    yield kind
    yield f"{kind}/{resource.name}"
    yield f"{kind}/{resource.endpoint}/"


def _stands_on(action: Action) -> Iterator[str]:
    """Yield the keys of what an action's resource depends on, all in its own workspace.

    A deletion knows no field but those of its id: what others may name is all of that kind.
    """
    id_, row = action.id, ROWS[action.id.kind]
    yield from (_every(kind, id_) for kind in row.after)
    known = action.desired.spec if action.desired else row.identity_in(id_.name)
    yield from (f"{named.kind.value}/{named.name}" for named in row.references(known))
    if action.desired is None:
        others = row.names.keys() - row.identity
        yield from (_every(kind, id_) for field in others for kind in row.names[field].kinds)


def _every(kind: Kind, resource: ResourceId) -> str:
    """Return the key of all of a kind: behind the endpoint of a resource, if both have one."""
    behind = "endpoint" in ROWS[kind].identity and resource.endpoint
    return f"{kind.value}/{resource.endpoint}/" if behind else kind.value


def _workspaces_in_turn(actions: Sequence[Action]) -> Iterator[tuple[int, int]]:
    """Yield pairs that put workspaces one after another: each router takes the next free port."""
    found = [i for i, action in enumerate(actions) if action.id.kind == Kind.WORKSPACE]
    yield from pairwise(found)


def _within_capacity(actions: Sequence[Action]) -> Iterator[tuple[int, int]]:
    """Yield pairs of deployments where the second may need capacity that the first frees."""
    found = [i for i, action in enumerate(actions) if action.id.kind == Kind.DEPLOYMENT]
    giving: list[int] = []
    for i in found:
        if _takes_more(actions[i]):
            yield from ((before, i) for before in giving)
        if _gives_back(actions[i]):
            giving.append(i)
    on_gpus = [i for i in found if _gpus(actions[i])]
    # While new instances run beside the old, an update uses its GPUs twice.
    if any(actions[i].kind != ActionKind.CREATE for i in on_gpus):
        yield from pairwise(on_gpus)


def _takes_more(action: Action) -> bool:
    return action.kind != ActionKind.UPDATE or _resized(action, more=True)


def _gives_back(action: Action) -> bool:
    return action.kind == ActionKind.UPDATE and _resized(action, more=False)


def _resized(action: Action, *, more: bool) -> bool:
    """Whether an update may raise (or lower) how much of a quota a deployment uses."""
    return any(
        change.path.startswith("resources")
        or (change.path == "instance_count" and (change.new > (change.old or 0)) == more)
        for change in action.changes
    )


def _gpus(action: Action) -> int:
    deploys = action.desired is not None and action.id.kind == Kind.DEPLOYMENT
    return size_of(action.desired.spec).gpus if action.desired and deploys else 0
