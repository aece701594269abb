"""The only comparison: two sets of properties -> changes with class and severity. Pure.

Plan, Pulumi's diff and the drift report all use its result.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from inference_provider.desired import DesiredResource, sealed_properties, short_hash
from inference_provider.observed import (
    Frozen,
    Kind,
    ObservedResource,
    ObservedState,
    Presence,
    Record,
)
from inference_provider.printable import one_line
from inference_provider.secret_text import HIDDEN, Secrets, mark, masked
from inference_provider.spec import ChangeClass, Severity
from inference_provider.spec.base import SHARES, FieldRole, SpecModel
from inference_provider.spec.fields import field_roles, marked, with_defaults
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.reference import with_short_digest

_MISSING = object()
_SIGNS = (", ", ": ", *"[]{}'\"")
"""Of a list or a block."""


class Change(Frozen):
    """One differing field."""

    path: str
    """Dotted, `request_settings.request_timeout_ms`."""
    old: Any
    """None when there was no value."""
    new: Any
    """None when it is removed."""
    change_class: ChangeClass
    severity: Severity

    def __str__(self) -> str:
        path = one_line(self.path)
        return f"{path}: {show(self.old)} -> {show(self.new)} ({self.change_class.value})"


def show(value: Any) -> str:
    """Format a value for display, on one line.

    A secret's digest is never shown, a content hash and a certificate only in short form, and of
    a block only what is set.
    """
    value = masked(value)
    if value is None:
        return "(none)"
    if isinstance(value, str):
        text = _text(value)
        return text if text == text.strip() != "" else f"'{text}'"
    if isinstance(value, Mapping):
        told = (f"{one_line(key)}: {_inner(item)}" for key, item in value.items() if _is_set(item))
        return f"{{{', '.join(told)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inner, value))}]"
    return str(value)


def _inner(value: Any) -> str:
    """Format what is inside a list or a block; in quotes where it could be taken for two."""
    if not isinstance(value, str):
        return show(value)
    text = _text(masked(value))
    if text == HIDDEN:
        return text
    return repr(text) if not text or any(sign in text for sign in _SIGNS) else show(value)


def _text(value: str) -> str:
    if value.startswith("-----BEGIN "):  # a certificate
        return f"PEM {short_hash(value)}"
    return value[:12] if _is_digest(value) else one_line(with_short_digest(value))


def _is_set(value: Any) -> bool:
    return value is not None and value not in ({}, [], ())


def _is_digest(value: str) -> bool:
    return len(value) == 64 and all(c in "0123456789abcdef" for c in value)


def compare(
    kind: Kind,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    placeholders: Secrets = (),
    owned: Container[str] = (),
) -> tuple[Change, ...]:
    """Return every field in which `new` differs from `old`, in the spec's field order.

    A field that is missing on one side counts as its default: an older release did not know it.

    Args:
        kind: Decides what a change of a field means.
        old: Properties as they were recorded or observed.
        new: Properties as they should be.
        placeholders: Secrets on either side; a record of an older release has them in clear text.
        owned: Top-level fields that another resource decides; they are not compared.
    """
    if old == new:
        return ()
    row = ROWS[kind]
    model = row.model_of(new)
    old, new = (_comparable(row.model_of(side), side, placeholders) for side in (old, new))
    for field in marked(model, SHARES):
        old, new = _with_zeros(field, old, new), _with_zeros(field, new, old)
    return tuple(
        change
        for name, role in field_roles(model).items()
        if name not in owned and (name in old or name in new)
        for change in _differences(name, old.get(name, _MISSING), new.get(name, _MISSING), role)
    )


def changes_to(desired: DesiredResource, there: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return every field in which the desired properties differ from the existing ones.

    What exists was found where the desired place leads, so that is no other place.
    """
    found = compare(
        desired.id.kind, there, desired.properties, desired.placeholders, desired.owned or ()
    )
    return in_place(desired.id.kind, found)


def recorded_otherwise(there: ObservedResource) -> str:
    """Say which fields were recorded otherwise than they are; empty where none was.

    One that was changed by hand, and is declared so now, has to be recorded too: the next change
    of its workspace would take it back.
    """
    if there.record is None or not there.live:
        return ""
    found = compare(there.id.kind, there.properties, there.record.properties)
    told = ", ".join(f"{one_line(change.path)} {show(change.new)}" for change in found)
    return f"recorded otherwise: {told}" if told else ""


def in_place(kind: Kind, changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return changes of a resource that stays where it is, whatever words the place has now."""
    return tuple(
        change.model_copy(update={"change_class": ChangeClass.LIVE})
        if kind == Kind.WORKSPACE and change.path.partition(".")[0] == "target"
        else change
        for change in changes
    )


def generation_after(desired: DesiredResource, record: Record | None) -> str:
    """Return the generation of a deployment once `desired` is applied; empty for other kinds.

    It stays the record's unless a field that needs new processes differs: another release may have
    hashed other fields.
    """
    if desired.id.kind != Kind.DEPLOYMENT:
        return ""
    fresh = desired.model_copy(update={"settled_generation": ""}).generation
    if record is None or not record.generation:
        return fresh
    changes = changes_to(desired, record.properties)
    same = desired.injected in (None, record.injected)
    if same and all(change.change_class == ChangeClass.LIVE for change in changes):
        return record.generation
    # equal hashes despite a change: both leave out a default that has changed
    return fresh if fresh != record.generation else short_hash(fresh)


def with_generation(desired: DesiredResource, record: Record | None) -> DesiredResource:
    """Return `desired`, with the generation that follows from the record."""
    return desired.model_copy(update={"settled_generation": generation_after(desired, record)})


def _comparable(
    model: type[SpecModel], properties: Mapping[str, Any], placeholders: Secrets
) -> dict[str, Any]:
    return sealed_properties(model, with_defaults(model, properties), placeholders)


def _with_zeros(field: str, shares: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Add a 0 for each entry of the other side: no share is the same as a share of 0."""
    mine, others = shares.get(field), other.get(field)
    if not (isinstance(mine, Mapping) and isinstance(others, Mapping)):
        return dict(shares)  # a preview may not know it yet
    return {**shares, field: {**dict.fromkeys(others, 0), **mine}}


def _differences(path: str, old: Any, new: Any, role: FieldRole) -> Iterator[Change]:
    if old == new:
        return
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
    """Return `old`, with a digest in place of each differing text where `new` has a secret.

    The text may be an earlier secret, which a record of an older release holds in clear text.
    """
    news = new if isinstance(new, list) else [new]
    shown = masked(news)
    if shown == news:
        return old
    if isinstance(old, list):
        return [covered(item, new) for item in old]
    return mark(old) if isinstance(old, str) and masked(old) not in shown else old


def _plain(value: Any) -> Any:
    """Return a value with tuples as lists and integral floats as integers (Pulumi sends 3.0)."""
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
    """Return what has the owner's label but is not declared, by address."""
    declared = {resource.id.address for resource in desired}
    return [
        there
        for address, there in sorted(observed.resources.items())
        if address not in declared
        and there.presence != Presence.ABSENT
        and there.record is not None
        and there.record.owner == owner
    ]
