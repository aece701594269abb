"""What `pulumi stack export` prints -> the stacks that it declares, for a review.

The declared side is the inputs that the state holds: those of the last `pulumi up`, or of a refresh
since then. Goes in: the JSON value. Comes out: one stack for each owner's label in each place.
Secrets are ciphertext unless the export was made with `--show-secrets`: such a field is left out of
the comparison, and named.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import SecretStr

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, SpecError
from inference_provider.handlers.claims import stands_for_another
from inference_provider.handlers.fields import is_unknown, of_spec, parse, parse_known, plain
from inference_provider.handlers.held import UNKNOWN, Fields, Inputs
from inference_provider.handlers.places import place_of
from inference_provider.handlers.state_keys import (
    HOME_KEY,
    INCARNATION_KEY,
    NOT_FIELDS,
    OWNER_KEY,
    PLACE_KEY,
    PLACEHOLDERS_KEY,
)
from inference_provider.observed import ObservedState, ResourceId
from inference_provider.secret_text import Secrets
from inference_provider.spec import SpecModel
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.stack import StackSpec
from inference_provider.spec.target import Place, json_of, place_from
from inference_provider.stack import Stack

VERSION = 3
"""Of the form of an export that this release reads."""
_TYPE = "pulumi-python:dynamic/inference:"
_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""What Pulumi writes in place of a secret (sdk/go/common/resource/sig)."""
_NOT_EXPORT = "`pulumi stack export > state.json` writes one"
_NEWER = "review it with the release that wrote it"


@dataclass(frozen=True)
class Exported(Stack):
    """What one owner declares in one place, by a state."""

    hidden: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Address -> top-level fields that are encrypted, which are not compared."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """Address -> owner's label, of everything in the place."""
    home: Mapping[str, str] = field(default_factory=dict)
    """Ids of what the place leads to, as the state knows them; empty where it has none."""
    lines: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Address -> file of the program and line that declares it."""
    incarnations: Mapping[str, str] = field(default_factory=dict)
    """Address -> the incarnation that the state knows."""
    pending: int = 0
    """Operations that an update was cut off in; the state may not have what they did."""

    def resolve(self, observed: ObservedState) -> tuple[DesiredResource, ...]:
        """Return what this owner declares; references may name what anybody has there.

        Raises:
            SpecError: Another state holds a part of it.
        """
        self._refuse_what_another_holds(observed)
        mine = (
            one for one in super().resolve(observed) if self.owners[one.id.address] == self.name
        )
        return tuple(one.model_copy(update={"owned": self._left_out(one)}) for one in mine)

    def _refuse_what_another_holds(self, observed: ObservedState) -> None:
        for address, incarnation in self.incarnations.items():
            record = observed.get(ResourceId.parse(address)).record
            if record and record.claim and stands_for_another(record, self.name, incarnation):
                holder = record.claim.holder or "another state"
                reason = f"{record.id} is held by {holder}, and not by what is in this state"
                remedy = "export the stack that holds it, or this one again"
                raise SpecError((Fault("", reason, remedy),), f"the state of stack '{self.name}'")

    def _left_out(self, one: DesiredResource) -> frozenset[str]:
        return (one.owned or frozenset()) | self.hidden.get(one.id.address, frozenset())

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what is not compared."""
        told = []
        if any(self.hidden.values()):
            named = ", ".join(
                f"{address} {name}"
                for address, names in self.hidden.items()
                for name in sorted(names)
            )
            told.append(
                f"not compared, encrypted in the state: {named}; export with --show-secrets"
            )
        if self.pending:
            told.append(
                f"the state has {self.pending} pending operations of an update that was cut off,"
                " and may lack what they did; run `pulumi up --refresh`, then export again"
            )
        return tuple(told)


@dataclass(frozen=True)
class _Entry:
    """One resource of ours in a state."""

    id: ResourceId
    inputs: Inputs
    spec: SpecModel
    line: tuple[str, int] | None
    incarnation: str

    @property
    def hidden(self) -> frozenset[str]:
        return frozenset(name for name, item in self.inputs.fields.items() if is_unknown(item))


class Program(NamedTuple):
    """Of which program a state is."""

    project: str
    stack: str
    """Pulumi's."""


def exported(value: Any, source: str) -> tuple[Program, tuple[Exported, ...]]:
    """Return whose state it is, and what it declares.

    Args:
        value: The JSON value.
        source: How a person named the file.

    Raises:
        SpecError: It is no export, of a newer form or release, or has no resource of ours.
    """
    try:
        entries = [_entry(one, source) for one in _resources(value, source)]
        program, pending = _program(value), len(value["deployment"].get("pending_operations") or ())
    except (TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError):
        raise _fault(source, "it is no export of a Pulumi stack", _NOT_EXPORT) from None
    if not entries:
        reason = "the state has no resource of this provider"
        raise _fault(source, reason, "export the stack whose program declares endpoints")
    places: dict[str, list[_Entry]] = {}
    for entry in entries:
        place = place_of(entry.id.kind, entry.inputs)
        if place is UNKNOWN:
            raise _fault(source, f"{entry.id} is in a place that is not known here", _NEWER)
        places.setdefault(json.dumps(json_of(place), sort_keys=True), []).append(entry)
    found = (stack for inside in places.values() for stack in _stacks(inside))
    return program, tuple(replace(stack, pending=pending) for stack in found)


def _resources(value: Any, source: str) -> Iterator[Mapping[str, Any]]:
    """Yield what the program declares by this provider: not what it reads, or has replaced."""
    if not isinstance(value, dict) or not isinstance(value.get("deployment"), dict):
        raise _fault(source, "it is no export of a Pulumi stack", _NOT_EXPORT)
    if value.get("version") != VERSION:
        reason = f"it is of version {value.get('version')}, and this release reads {VERSION}"
        raise _fault(source, reason, "use a newer release of this provider")
    for one in value["deployment"].get("resources") or ():
        ours = isinstance(one, dict) and str(one.get("type", "")).startswith(_TYPE)
        if ours and not (one.get("external") or one.get("delete")):
            yield one


def _program(value: Any) -> Program:
    listed = value["deployment"].get("resources") or ()
    urns = (str(one.get("urn", "")) for one in listed if isinstance(one, dict))
    urn = next((urn for urn in urns if urn.count("::") >= 2), "::::")
    stack, project, *_ = urn.split("::")
    return Program(project, stack.rpartition(":")[2])


def _entry(one: Mapping[str, Any], source: str) -> _Entry:
    try:
        id_ = ResourceId.parse(str(one.get("id")))
    except ValueError:
        reason = f"'{one.get('id')}' is of a kind that this release does not know"
        raise _fault(source, reason, _NEWER) from None
    bag = plain(_plain(one.get("inputs") or {}))
    if is_unknown(bag) and is_unknown(bag.get(OWNER_KEY)):
        reason = f"{id_} has an owner's label that is encrypted"
        raise _fault(source, reason, "export with --show-secrets")
    inputs = _inputs(bag)
    model = ROWS[id_.kind].model_of(inputs.fields)
    known = of_spec(model, inputs.fields)
    more = inputs.fields.keys() - known.keys() - ROWS[id_.kind].output_names
    if more:
        reason = f"{id_} has fields that this release does not know: {', '.join(sorted(more))}"
        raise _fault(source, reason, _NEWER)
    row = ROWS[id_.kind]
    if any(is_unknown(known.get(name)) for name in row.identity):
        reason = f"{id_} has a name that is encrypted"
        raise _fault(source, reason, "export with --show-secrets")
    read = parse_known if is_unknown(known) else parse
    try:
        spec = read(model, known)
    except SpecError as exc:
        raise SpecError(exc.faults, f"{id_} in {source}") from None
    workspace, name = row.place_of(spec)
    if (workspace, name) != (id_.workspace, id_.name):
        reason = f"{id_} has the inputs of '{workspace}/{name}'"
        raise _fault(source, reason, "export the stack again, and leave the file as it is")
    known_as = (one.get("outputs") or {}).get(INCARNATION_KEY)
    return _Entry(id_, inputs, spec, _line(one), known_as if isinstance(known_as, str) else "")


def _inputs(bag: Fields) -> Inputs:
    secrets = bag.get(PLACEHOLDERS_KEY, ())
    place = bag.get(PLACE_KEY, "local")
    known: Secrets = () if is_unknown(secrets) else tuple(map(SecretStr, secrets))
    return Inputs(
        fields={name: item for name, item in bag.items() if name not in NOT_FIELDS},
        owner=bag.get(OWNER_KEY, ""),
        placeholders=known,
        place=UNKNOWN if is_unknown(place) else _place(place),
        home=bag.get(HOME_KEY, {}),
    )


def _place(value: Any) -> Any:
    try:
        return place_from(value or "local")
    except ValueError:
        return UNKNOWN


def _plain(value: Any) -> Any:
    """Return a value without nulls; a secret in clear where it is, else `UNKNOWN`."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _plain(json.loads(value["plaintext"])) if "plaintext" in value else UNKNOWN
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _line(one: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return where the program declares it: the innermost place that is a file of the project."""
    for frame in one.get("stackTrace") or ():
        file, _, line = str(frame.get("sourcePosition", "")).partition("#")
        path = file.removeprefix("project:///")
        number = line.partition(",")[0]
        if path != file and not path.startswith("..") and number.isdecimal():
            return path, int(number)
    return None


def _stacks(entries: Iterable[_Entry]) -> Iterator[Exported]:
    """Yield what each owner declares in one place."""
    entries = list(entries)
    listed: dict[str, list[Any]] = {row.listing: [] for row in ROWS.values()}
    secrets: dict[str, Secrets] = {}
    for entry in entries:
        listing = ROWS[entry.id.kind].listing
        secrets[f"{listing}.{len(listed[listing])}"] = entry.inputs.placeholders
        listed[listing].append(entry.spec)
    owners = {entry.id.address: entry.inputs.owner for entry in entries}
    place: Place = place_of(entries[0].id.kind, entries[0].inputs)  # type: ignore[assignment]
    homes = (entry.inputs.home for entry in entries if entry.inputs.home)
    home = next(homes, {})
    for owner in sorted(set(owners.values())):
        mine = [entry for entry in entries if entry.inputs.owner == owner]
        whole: dict[str, Any] = {listing: tuple(specs) for listing, specs in listed.items()}
        spec = StackSpec.model_construct(name=owner, **whole)
        spec._placeholders = secrets
        yield Exported(
            name=owner,
            workspaces=tuple(sorted({entry.id.workspace for entry in mine})),
            place=place,
            spec=spec,
            hidden={entry.id.address: entry.hidden for entry in mine if entry.hidden},
            owners=owners,
            home=home,
            lines={entry.id.address: entry.line for entry in mine if entry.line},
            incarnations={e.id.address: e.incarnation for e in mine if e.incarnation},
        )


def _fault(source: str, reason: str, remedy: str) -> SpecError:
    return SpecError((Fault("", reason, remedy),), source)
