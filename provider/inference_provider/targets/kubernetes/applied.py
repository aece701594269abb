"""Objects that this provider applied, and what others have changed of them since.

The API server notes for each manager which fields it has set, and when. What another manager has
set of what a person writes (spec, data) is a change by hand; status and what controllers note
about an object are not. A field that somebody removes is nobody's any more: so an object is marked
with which fields were ours when it was applied.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from inference_provider.errors import OwnedByAnother
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.connection import MANAGER
from inference_provider.targets.kubernetes.objects import (
    CLAIM,
    CLAIM_TEMPLATE,
    INGRESS,
    Object,
    annotations_of,
    kind_of,
    labels_of,
    name_of,
)
from inference_provider.targets.kubernetes.refusals import Conflict, Forbidden
from inference_provider.targets.kubernetes.workloads import COUNT, is_workload

COUNTER = f"{MANAGER}-count"
"""Manager of a count that another one may change."""
MARK = f"{names.PREFIX}/applied"
_FIELD = f"f:{MARK}"
_PARTS = (
    "spec",
    "data",
    "stringData",
    "rules",
    "subjects",
    "roleRef",
    "automountServiceAccountToken",
)
_RESTARTED = "spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt"
"""`kubectl rollout restart` changes nothing but that pods are new."""
_DEFAULTED = "ingressClassName"
"""Field that the API server gives an Ingress when it is made, and never again."""
_SHOWN = 4
_ATTEMPTS = 5
_KEYS = (
    "name",
    "containerPort",
    "port",
    "protocol",
    "mountPath",
    "ip",
    "topologyKey",
    "whenUnsatisfiable",
)
"""Fields by which the API server tells items of a list apart."""


def apply_ours(
    client: Client, one: Object, tell: Callable[[str], None] = lambda _said: None
) -> Object:
    """Apply an object; take back the fields that others have changed or added, and say so.

    Raises:
        OwnedByAnother: There is one of this name that is not ours.
    """
    said = _make_way(client, one) if kind_of(one) == CLAIM_TEMPLATE else ""
    shape, left = _shape(one), _left_to_others(one)
    marked = _with_mark(one, _MARKS.get(shape))
    try:
        made = client.apply(marked)
    except Conflict:
        there = client.get_like(one) or one
        if not is_ours(there):
            raise of_another(client, one) from None
        said = foreign(there, left)
        made = client.apply(marked, force=True)
    if added := foreign(made, left):
        said = said or added
        made = _without_added(client, one) or made
    if said:
        tell(f"{one['kind']} {name_of(one)}: taken back: {said}")
    _MARKS[shape] = _mark(made)
    return _marked(client, made)


def _make_way(client: Client, one: Object) -> str:
    """Delete one of ours whose spec, which may not be changed, is another; say who has set it."""
    there = client.get_like(one)
    if there is None or not is_ours(there) or there["spec"] == one["spec"]:
        return ""
    about = there["metadata"]
    client.delete(kind_of(one), about["namespace"], name_of(one), uid=about["uid"])
    return foreign(there)


def delete_ours(client: Client, one: Object, *, if_seen: bool = False) -> None:
    """Delete the object of the same kind, place and name, unless it is somebody else's.

    Args:
        client: The cluster's API.
        one: It.
        if_seen: Whether who may not even read it has made none. A refused deletion raises.
    """
    try:
        there = client.get_like(one)
    except Forbidden:
        if if_seen:
            return
        raise
    if there is not None and is_ours(there):
        about = there["metadata"]
        client.delete(kind_of(one), about.get("namespace", ""), name_of(one), uid=about["uid"])


def is_ours(one: Object) -> bool:
    """Whether an object was made here, also after somebody has changed its labels."""
    entries = one["metadata"].get("managedFields") or ()
    marked = labels_of(one).get("app.kubernetes.io/managed-by") == names.PREFIX
    return marked or any(entry["manager"] == MANAGER for entry in entries)


def apply_if_free(
    client: Client, one: Object, tell: Callable[[str], None] = lambda _said: None
) -> Object:
    """Apply an object whose name somebody else may have taken, whatever fields that one has.

    Without a look, what has none of our fields would be taken for ours, and later deleted.

    Raises:
        OwnedByAnother: Somebody else has.
    """
    there = None
    with suppress(Forbidden):  # then the API server alone says whether something is in the way
        there = client.get_like(one)
    if there is not None and not is_ours(there):
        raise of_another(client, one)
    return apply_ours(client, one, tell)


def of_another(client: Client, one: Object) -> OwnedByAnother:
    """Return the error for an object of one of our names that somebody else has made."""
    what = f"{one['kind']} '{name_of(one)}' in namespace '{one['metadata'].get('namespace', '')}'"
    remedy = "name another namespace, or delete it"
    return OwnedByAnother("apply", what, "it was made by somebody else", remedy, str(client))


def _without_added(client: Client, one: Object) -> Object | None:
    """Write an object whole: what is applied leaves the fields that others have added."""
    for _ in range(_ATTEMPTS):
        there = client.get_like(one)
        if there is None:
            return None
        kept = {name: value for name, value in there.items() if name not in _PARTS}
        ours = {name: one[name] for name in _PARTS if name in one}
        for field in (_DEFAULTED if kind_of(one) == INGRESS else "", *_left_to_others(one)):
            if given := there.get("spec", {}).get(field):
                ours["spec"] = {field: given, **ours["spec"]}
        with suppress(Conflict):  # a controller notes something all the time
            return client.replace(kept | ours)
    return None


def _left_to_others(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields of the spec that what is applied leaves out, and others may set."""
    return (COUNT,) if is_workload(one["kind"]) and COUNT not in one["spec"] else ()


def _with_mark(one: Object, mark: str | None) -> Object:
    """Return an object with its mark, where one of its shape has told it: saves a request each."""
    if mark is None:
        return one
    about = one["metadata"]
    noted = {**(about.get("annotations") or {}), MARK: mark}
    return {**one, "metadata": {**about, "annotations": noted}}


_MARKS: dict[str, str] = {}
"""Mark of each shape of an object that was applied."""


def _shape(one: Object) -> str:
    """Return which fields an object has, without their values: those of one shape have one mark."""
    found = [one["kind"], _fields(one)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _fields(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _fields(inner) for name, inner in value.items()}
    if not isinstance(value, list | tuple):
        return None
    return [
        [_fields(item), [item.get(key) for key in _KEYS] if isinstance(item, Mapping) else None]
        for item in value
    ]


def _marked(client: Client, made: Object) -> Object:
    mark = _mark(made)
    if annotations_of(made).get(MARK) == mark:
        return made
    about = made["metadata"]
    noted = {"metadata": {"uid": about["uid"], "annotations": {MARK: mark}}}
    return client.merge(kind_of(made), about.get("namespace", ""), name_of(made), noted)


def _mark(one: Mapping[str, Any], lost: Collection[str] = ()) -> str:
    """Return a hash of which fields of an object are ours, with those of its spec that were."""
    entries = one["metadata"].get("managedFields") or ()
    ours = [
        _with_lost(_without_mark(e.get("fieldsV1")), lost)
        for e in entries
        if e["manager"] == MANAGER and _applied(e)
    ]
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:16]


def _without_mark(fields: Any) -> Any:
    """Return fields without that of the mark, which may come with an object or after it."""
    about = (fields or {}).get("f:metadata") or {}
    if _FIELD not in about.get("f:annotations", {}):
        return fields
    noted = {name: v for name, v in about["f:annotations"].items() if name not in (_FIELD, ".")}
    others = {name: value for name, value in about.items() if name != "f:annotations"}
    return {**fields, "f:metadata": others | ({"f:annotations": noted} if noted else {})}


def _with_lost(fields: Any, lost: Collection[str]) -> Any:
    if not lost:
        return fields
    spec = (fields or {}).get("f:spec") or {}
    return {**(fields or {}), "f:spec": {**spec, **{f"f:{name}": {} for name in lost}}}


def _applied(entry: Mapping[str, Any]) -> bool:
    return entry.get("operation") == "Apply"


# -- what others have changed ----------------------------------------------------------------------


def is_applied(one: Mapping[str, Any], path: str) -> bool:
    """Whether a field is as we applied it: `spec.replicas`."""
    return path in _paths_applied(one)


def by_hand(one: Object, left: Collection[str] = ()) -> str:
    """Say what others have changed of an object that was applied; empty where nobody has.

    Args:
        one: It.
        left: Fields of its spec that are left to others.
    """
    marked = annotations_of(one).get(MARK)
    removed = bool(marked) and marked not in (_mark(one), _mark(one, left))
    said = foreign(one, left)
    return said or ("some of its fields were changed or removed by hand" if removed else "")


def foreign(one: Mapping[str, Any], left: Collection[str] = ()) -> str:
    """Say what others have set of an object, who and when; empty where nobody has."""
    bound = one["kind"] == CLAIM.name  # by a controller; nothing else of its spec may change
    return "" if bound else "; ".join(_changes(one, {_RESTARTED, *(f"spec.{f}" for f in left)}))


def _changes(one: Mapping[str, Any], ignored: Collection[str]) -> Iterator[str]:
    for entry in one["metadata"].get("managedFields") or ():
        if entry["manager"] in (MANAGER, COUNTER) or entry.get("subresource") == "status":
            continue
        found = [path for path in _set_in(entry) if path not in ignored and _is_there(one, path)]
        # who has set what we apply too has set the same: of another value there is one owner
        same = set(_paths_applied(one)) if found else ()
        if paths := [path for path in found if path not in same]:
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            changed = ", ".join(paths[:_SHOWN]) + more
            yield f"{changed} set by {entry['manager']}{_when(entry)}"


def _is_there(one: Mapping[str, Any], path: str) -> bool:
    """Whether an object still has a field of its spec that somebody has set.

    What the API server drops with another field stays its manager's: `externalTrafficPolicy` of a
    Service that is of type ClusterIP again.
    """
    part, _, field = path.partition(".")
    outer = part == "spec" and "." not in field and "[" not in field
    return not outer or field in one.get("spec", {field: None})


def _set_in(entry: Mapping[str, Any]) -> Iterator[str]:
    fields = entry.get("fieldsV1") or {}
    for part in _PARTS:
        yield from _paths(fields.get(f"f:{part}"), part)


def _paths_applied(one: Mapping[str, Any]) -> Iterator[str]:
    for entry in one["metadata"].get("managedFields") or ():
        if entry["manager"] == MANAGER and _applied(entry):
            yield from _set_in(entry)


def _when(entry: Mapping[str, Any]) -> str:
    """Return when a manager last did something; of a scale without a change that is not noted."""
    return f" at {entry['time']}" if entry.get("time") else ""


def _paths(fields: Any, at: str) -> Iterator[str]:
    """Yield the fields that a manager has set: `spec.template.spec.containers[server].image`."""
    if fields is None:
        return
    inner = {name: value for name, value in fields.items() if name != "."}
    if not inner:
        yield at
    for name, value in inner.items():
        kind, _, key = name.partition(":")
        yield from _paths(value, f"{at}.{key}" if kind == "f" else f"{at}[{_key(key)}]")


def _key(text: str) -> str:
    """Return what tells one item of a list: of `{"name":"server"}` the name."""
    return text.strip("{}").split(":", 1)[-1].strip('"') if text.startswith("{") else text
