"""The only comparison there is: two sets of properties -> changes with class and severity. Pure.

Plan, Pulumi's diff and the drift report are three readings of what this returns.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from inference_provider.desired import DesiredResource, sealed_properties
from inference_provider.observed import Frozen, Kind, ObservedResource, ObservedState, Presence
from inference_provider.printable import one_line
from inference_provider.secret_text import Secrets, mark, masked
from inference_provider.spec import ChangeClass, Severity
from inference_provider.spec.base import SHARES, FieldRole
from inference_provider.spec.fields import field_roles, marked
from inference_provider.spec.kinds import ROWS

_MISSING = object()


class Change(Frozen):
    """One differing field."""

    path: str
    """Dotted, `request_settings.request_timeout_ms`."""
    old: Any
    """None when it was not there."""
    new: Any
    """None when it is to go."""
    change_class: ChangeClass
    severity: Severity

    def __str__(self) -> str:
        path = one_line(self.path)
        return f"{path}: {show(self.old)} -> {show(self.new)} ({self.change_class.value})"


def show(value: Any) -> str:
    """Write a value for a person, on one line.

    A secret's digest never shows, nor the digest of a file whole.
    """
    value = masked(value)
    if value is None:
        return "(none)"
    if isinstance(value, str):
        name, pin, digest = value.partition("@sha256:")
        if pin:
            return one_line(f"{name}@{digest[:12]}")
        return value[:12] if _is_digest(value) else one_line(value)
    return str(value)


def _is_digest(value: str) -> bool:
    return len(value) == 64 and all(c in "0123456789abcdef" for c in value)


def compare(
    kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any], placeholders: Secrets = ()
) -> tuple[Change, ...]:
    """Return every field in which `new` differs from `old`, in the spec's order of fields.

    Args:
        kind: Decides what a change of a field means.
        old: Properties as they were or are.
        new: Properties as they shall be. A field that `old` has and `new` lacks is a change too.
        placeholders: What is a secret on both sides; a record of an older release has it in clear.
    """
    spec_type = ROWS[kind].model
    old, new = (sealed_properties(spec_type, side, placeholders) for side in (old, new))
    for field in marked(spec_type, SHARES):
        old, new = _with_zeros(field, old, new), _with_zeros(field, new, old)
    roles = field_roles(spec_type)
    order = {name: i for i, name in enumerate(roles)}
    names = sorted({*old, *new} & {*roles}, key=lambda name: order[name])
    return tuple(
        change
        for name in names
        for change in _differences(
            name, old.get(name, _MISSING), new.get(name, _MISSING), roles[name]
        )
    )


def _with_zeros(field: str, shares: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Name each entry of the other side: no share and a share of 0 are the same."""
    zeros = dict.fromkeys(other.get(field) or {}, 0)
    return {**shares, field: {**zeros, **(shares.get(field) or {})}}


def _differences(path: str, old: Any, new: Any, role: FieldRole) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differences(
                f"{path}.{key}", old.get(key, _MISSING), new.get(key, _MISSING), role
            )
    elif _plain(old) != _plain(new):
        yield Change(
            path=path,
            old=covered(_plain(old), _plain(new)),
            new=_plain(new),
            change_class=role.change,
            severity=role.severity,
        )


def covered(old: Any, new: Any) -> Any:
    """Return `old` with a digest for each text that differs where `new` has a secret.

    What the secret was before is known to nobody: a record of an older release has it in clear.
    """
    news = new if isinstance(new, list) else [new]
    shown = masked(news)
    if shown == news:
        return old
    if isinstance(old, list):
        return [covered(item, new) for item in old]
    return mark(old) if isinstance(old, str) and masked(old) not in shown else old


def _plain(value: Any) -> Any:
    """Tuples and lists are one, integral floats are integers (Pulumi sends 3 as 3.0)."""
    if value is _MISSING:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def heaviest(changes: tuple[Change, ...]) -> ChangeClass | None:
    """Return the costliest class among the changes; None when there is none."""
    order = [ChangeClass.LIVE, ChangeClass.ROLLING, ChangeClass.REPLACE]
    return max((c.change_class for c in changes), key=order.index, default=None)


def undeclared(
    desired: Iterable[DesiredResource], observed: ObservedState, owner: str
) -> list[ObservedResource]:
    """Return what carries the owner's label and is declared nowhere, by address."""
    declared = {resource.id.address for resource in desired}
    return [
        there
        for address, there in sorted(observed.resources.items())
        if address not in declared
        and there.presence != Presence.ABSENT
        and there.record is not None
        and there.record.owner == owner
    ]
