"""Objects that this provider applied, and what others have changed of them since.

The API server notes for each manager which fields it has set, and when. What another manager has
set of what a person writes (spec, data) is a change by hand; status and what controllers note
about an object are not.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inference_provider.targets.kubernetes.client import MANAGER, Client, Conflict
from inference_provider.targets.kubernetes.objects import Object

_PARTS = ("spec", "data", "stringData", "rules", "subjects", "roleRef")
_SHOWN = 4


def apply_ours(client: Client, one: Object, tell: Callable[[str], None]) -> Object:
    """Apply an object; take back the fields that another manager has changed, and say so."""
    try:
        return client.apply(one)
    except Conflict:
        there = client.get_like(one)
        kind, name = one["kind"], one["metadata"]["name"]
        tell(f"{kind} {name}: taken back: {foreign(there) if there else 'changed by hand'}")
        return client.apply(one, force=True)


def foreign(one: Mapping[str, Any]) -> str:
    """Say what others have changed of an object, who and when; empty where nobody has."""
    return "; ".join(_changes(one))


def _changes(one: Mapping[str, Any]) -> Iterator[str]:
    for entry in one["metadata"].get("managedFields") or ():
        if entry["manager"] == MANAGER or entry.get("subresource") == "status":
            continue
        fields = entry.get("fieldsV1") or {}
        paths = [p for part in _PARTS for p in _paths(fields.get(f"f:{part}"), part)]
        if paths:
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            changed = ", ".join(paths[:_SHOWN]) + more
            yield f"{changed} set by {entry['manager']} at {entry.get('time', 'some time')}"


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
