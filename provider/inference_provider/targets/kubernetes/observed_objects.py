"""What there is of the objects of a workspace: which are gone, and which were changed by hand.

Each kind is listed once, whatever the number of objects.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from inference_provider.targets.kubernetes import groups, names
from inference_provider.targets.kubernetes.applied import by_hand
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.connection import MANAGER
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    EVENT,
    LEADER_WORKER_SET,
    POLICY,
    SERVICE,
    Kind,
    Object,
    kind_of,
    labels_of,
    name_of,
)
from inference_provider.targets.kubernetes.pods import condition
from inference_provider.targets.kubernetes.refusals import Forbidden, NotThere

Named = tuple[Kind, str]
There = Mapping[Named, Object]
_AT_ONCE = 8
_REMAINING = ("Finalizers", "Content")
_VARYING = (
    *(names.ENDPOINT, names.DEPLOYMENT, names.GENERATION, names.OBJECT, "pod-template-hash"),
    *(names.NODES, groups.SET, groups.GROUP, groups.WORKER, groups.KEY, groups.REVISION),
    *("apps.kubernetes.io/pod-index", "controller-revision-hash"),
    "statefulset.kubernetes.io/pod-name",
)
"""Labels that instances have, each its own; some only those that are groups of pods."""


def listed(
    client: Client, namespace: str, kinds: Sequence[Kind], chosen: str
) -> dict[Named, Object]:
    """Return the objects of some kinds that a selector chooses."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda kind: client.items(kind, namespace, chosen), kinds)
        return {(kind_of(one), name_of(one)): one for items in found for one in items}


def listed_if_allowed(
    client: Client, namespace: str, kind: Kind, chosen: str
) -> dict[Named, Object] | None:
    """Return the objects of a kind that not every cluster has; None where this user may not."""
    try:
        return listed(client, namespace, [kind], chosen)
    except NotThere:  # the API was removed, and what it had with it
        return {}
    except Forbidden:
        return None


def groups_of(
    client: Client, namespace: str, chosen: str, there: Iterable[Object]
) -> dict[Named, Object]:
    """Return what makes groups of pods; not every cluster has that, so labels of others say if any.

    Args:
        client: The cluster's API.
        namespace: Where.
        chosen: Selects what is of instances.
        there: What else is there of them.
    """
    if not any(names.NODES in labels_of(one) for one in there):
        return {}
    with suppress(NotThere):  # the API was removed, and what it had with it
        return listed(client, namespace, [LEADER_WORKER_SET], chosen)
    return {}


def recreations(client: Client, namespace: str) -> list[Object]:
    """Return the events that tell of groups made again; none where this user may list no events."""
    fields = f"reason={groups.RECREATED},involvedObject.kind={LEADER_WORKER_SET.name}"
    with suppress(Forbidden):
        return client.items(EVENT, namespace, fields=fields)
    return []


def workloads_in(client: Client, namespace: str, chosen: str) -> list[Object]:
    """Return what makes the pods of generations, as far as a selector chooses it."""
    found = listed(client, namespace, [DEPLOYMENT, SERVICE], chosen)
    found |= groups_of(client, namespace, chosen, found.values())
    return [one for (kind, _), one in found.items() if kind != SERVICE]


def named(objects: Iterable[Object]) -> list[Named]:
    return [(kind_of(one), name_of(one)) for one in objects]


def altered(wanted: Iterable[Named], there: There, left: Collection[str] = ()) -> Iterator[str]:
    """Say of each object that is not as it was applied, what is wrong and who did it.

    Fields of a spec that are `left` to others are not looked at.
    """
    for kind, name in wanted:
        found = there.get((kind, name))
        if found is None:
            yield f"{kind.name} {name} is gone"
        elif found["metadata"].get("deletionTimestamp"):
            yield f"{kind.name} {name} is being deleted{_waits(found)}"
        elif said := by_hand(found, left):
            yield f"{kind.name} {name}: {said}"


def _waits(one: Object) -> str:
    """Say for what of others a deletion waits; empty where it is under way."""
    held = [name for name in one["metadata"].get("finalizers") or () if "/" in name]
    others = [name for name in held if not name.startswith("kubernetes.io/")]
    return f", and waits for who set its finalizers: {', '.join(others)}" if others else ""


def kept_by(namespace: Object) -> str:
    """Say what keeps a namespace from going, as Kubernetes does; empty where that is not known."""
    found = (condition(namespace, f"Namespace{what}Remaining") for what in _REMAINING)
    said = next((one["message"] for one in found if one.get("status") == "True"), "")
    return f": {said}" if said else ""


def opening(policies: Iterable[Object], workspace: str) -> Iterator[Object]:
    """Yield the policies of others that let somebody in to instances, past keys and router.

    What policies allow adds up, so one that allows nothing takes nothing away from ours.
    """
    labels = names.labels(workspace, names.INSTANCE)
    for one in policies:
        if not _is_ours(one) and one["spec"].get("ingress") and _chooses(one, labels):
            yield one


def confining(policies: Iterable[Object], workspace: str, role: str = names.ROUTER) -> str:
    """Say which policies of others limit what pods of a role reach; empty where none does."""
    labels = names.labels(workspace, role)
    found = [
        name_of(one)
        for one in policies
        if not _is_ours(one)
        and "Egress" in (one["spec"].get("policyTypes") or ())
        and _chooses(one, labels)
    ]
    return f"; {POLICY.name} {', '.join(found)} limits what it reaches" if found else ""


def _is_ours(policy: Object) -> bool:
    entries = policy["metadata"].get("managedFields") or ()
    return any(entry["manager"] == MANAGER for entry in entries)


def _chooses(policy: Object, labels: Mapping[str, str]) -> bool:
    """Whether a policy selects an instance, or some of them."""
    chosen = policy["spec"].get("podSelector") or {}
    exact = [(name, "In", [value]) for name, value in (chosen.get("matchLabels") or {}).items()]
    more = [
        (one["key"], one["operator"], one.get("values") or [])
        for one in chosen.get("matchExpressions") or ()
    ]
    return all(_fits(labels, *one) for one in (*exact, *more))


def _fits(labels: Mapping[str, str], name: str, operator: str, values: Sequence[str]) -> bool:
    if name in _VARYING:
        return operator != "DoesNotExist"
    found = labels.get(name)
    return {
        "In": found in values,
        "NotIn": found not in values,
        "Exists": found is not None,
        "DoesNotExist": found is None,
    }[operator]


def told(policy: Object) -> str:
    """Say whose policy it is, and since when."""
    return f"{POLICY.name} {name_of(policy)}, {made_by(policy)}, lets others in to instances"


def made_by(one: Object) -> str:
    """Say who has made an object, and when; status is not what makes it."""
    about = one["metadata"]
    entries = about.get("managedFields") or ()
    entry: Object = next((e for e in entries if e.get("subresource") != "status"), {})
    time = about.get("creationTimestamp") or entry.get("time", "some time")
    return f"made by {entry.get('manager', 'somebody')} at {time}"
