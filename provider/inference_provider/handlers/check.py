"""The check of one resource: what a user wrote -> inputs with every default, or all faults.

It changes nothing. It reads files, and asks the target what it can do and which resources exist.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from inference_provider.desired import DesiredResource, identify, reference
from inference_provider.errors import CapabilityMissing, Fault, SpecError
from inference_provider.files import SourceFolder, file_faults, with_content_hash
from inference_provider.files.program import Served
from inference_provider.gpu_wishes import gpu_refusals
from inference_provider.handlers.conflicts import conflicts
from inference_provider.handlers.fields import (
    inputs_of,
    is_unknown,
    of_spec,
    parse,
    parse_known,
    with_relative_paths,
)
from inference_provider.handlers.held import (
    UNKNOWN,
    Checked,
    Entry,
    Fields,
    Inputs,
    Unknown,
)
from inference_provider.handlers.needs import Needs
from inference_provider.handlers.places import Located, Site
from inference_provider.handlers.program import Program
from inference_provider.handlers.rights import Rights
from inference_provider.observed import Kind, ResourceId
from inference_provider.refusals import Refusal, refusals
from inference_provider.secret_text import hidden, holds_secret
from inference_provider.spec import EnvironmentSpec, SpecModel
from inference_provider.spec.instance_type import InstanceType, sized, type_fault
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.reference import Reference
from inference_provider.spec.target import Place, on_this_machine
from inference_provider.workspace.engine import Engine

_NOT_CONTENT = frozenset({"workspace", "description", "tags"})
"""Fields of an asset that its reference does not depend on."""

Opener = Callable[[Place], Engine]
"""Opens the target that a place names."""


@dataclass(frozen=True)
class Check:
    """The check of one resource."""

    kind: Kind
    program: Program
    opener: Opener
    folder: Path
    """The program's folder, to which paths in fields are relative."""
    place: Place | Unknown
    """Where the resource belongs."""

    def run(self, entry: Entry, inputs: Inputs, *, new: bool) -> Checked:
        """Fill in defaults and content hashes, or return every fault found.

        Args:
            entry: What declares it.
            inputs: What a user wrote.
            new: Whether the state holds nothing for this entry yet.
        """
        relative = with_relative_paths(self._model(inputs), inputs.fields, self.folder)
        inputs = replace(inputs, fields=relative)
        faults: tuple[Fault, ...] = ()
        try:
            if is_unknown([inputs.fields, inputs.owner, inputs.place]):
                inputs = self._known(inputs)
            else:
                inputs, faults = self._all(entry, inputs, new=new)
            faults = faults or self._missing(inputs)
            inputs = replace(inputs, home=self._site.target.home().ids if self._site else {})
        except SpecError as exc:
            faults = exc.faults
        except CapabilityMissing as exc:  # the target cannot be opened, so nothing can be asked
            faults = (Fault("", f"{exc.resource} is {exc.reason}", exc.remedy),)
        return Checked(inputs, tuple(_without_secrets(fault, inputs) for fault in faults))

    @cached_property
    def _site(self) -> Site | None:
        # opened late: faults in the fields are reported without it
        return None if self.place is UNKNOWN else Site(self.place, self.opener(self.place))

    def _model(self, inputs: Inputs) -> type[SpecModel]:
        return ROWS[self.kind].model_of(inputs.fields)

    def _all(self, entry: Entry, inputs: Inputs, *, new: bool) -> tuple[Inputs, tuple[Fault, ...]]:
        if not inputs.owner:
            raise SpecError((Fault("stack", "empty", "name the stack that owns it"),))
        spec = self._with_content(self._sized(parse(self._model(inputs), inputs.fields)))
        wanted = DesiredResource(
            id=identify(self.kind, spec),
            spec=spec,
            owner=inputs.owner,
            placeholders=inputs.placeholders,
        )
        faults: list[Fault] = []
        if self._site is not None:
            can = self._site.target.capabilities
            refused = refusals([wanted], can) + gpu_refusals([wanted], can)
            faults += map(_fault_of, refused)
            faults += conflicts(wanted, self._site, self.program, entry, new=new)
        return self._computed(inputs, spec), tuple(faults)

    def _known(self, inputs: Inputs) -> Inputs:
        """Check what a preview knows; unknown fields, and what depends on them, stay unknown."""
        spec = parse_known(self._model(inputs), inputs.fields)
        waiting = {name: item for name, item in inputs.fields.items() if is_unknown(item)}
        if not waiting.keys() & {"workspace", "instance_type", "resources"}:
            spec = self._sized(spec)
        if self.kind == Kind.DEPLOYMENT or not waiting.keys() - _NOT_CONTENT:
            known = self._computed(inputs, self._with_content(spec)).fields
            return replace(inputs, fields={**known, **waiting})
        later = dict.fromkeys(ROWS[self.kind].computed, UNKNOWN)
        return replace(inputs, fields={**inputs_of(spec), **waiting, **later})

    def _sized(self, spec: Any) -> Any:
        """Return a deployment with the amounts of its instance type.

        Raises:
            SpecError: There is no such type.
        """
        if self.kind != Kind.DEPLOYMENT or self._site is None:
            return spec
        space = ResourceId.of_workspace(spec.workspace)
        fields = self.program.checked_fields(Located(self.place, space))
        if fields is None and spec.instance_type:
            record = self._site.target.record(space)
            fields = record.properties if record else None
        written = (fields or {}).get("instance_types") or {}
        if is_unknown(written):
            return spec
        known = {name: of_spec(InstanceType, one) for name, one in written.items()}
        own = {name: InstanceType.model_validate(one) for name, one in known.items()}
        fault = type_fault(spec, own)
        if fault:
            raise SpecError((fault,))
        return sized(spec, own)

    def _with_content(self, spec: Any) -> Any:
        """Return a spec with its content hashes. Raises SpecError for faults in files."""
        folder = SourceFolder(self.folder)
        faults = file_faults(spec, folder, self._served(spec))
        if faults:
            raise SpecError(faults)
        return with_content_hash(spec, folder)

    def _computed(self, inputs: Inputs, spec: Any) -> Inputs:
        """Return inputs with the computed ones added, so that a preview knows them."""
        pinned = "reference" in ROWS[self.kind].computed
        follows = {"reference": str(reference(spec))} if pinned else {}
        return replace(inputs, fields={**inputs_of(spec), **follows})

    def _served(self, spec: Any) -> Served:
        """Return the environment that a deployment pins, if it exists already."""
        none = Served(on_this_machine=self.place is not UNKNOWN and on_this_machine(self.place))
        asked = Reference.parse(getattr(spec, "environment", None) or "")
        if not asked.digest or self._site is None:
            return none
        environment = ResourceId(kind=Kind.ENVIRONMENT, workspace=spec.workspace, name=asked.asset)
        there = self._site.target.observe_one(environment).properties
        if there.get("content_hash") != asked.digest:
            return none
        # A record holds placeholders' values as digests, which cannot be a program's name.
        known = {} if holds_secret(there["command"]) else {"command": there["command"]}
        found = EnvironmentSpec.model_construct(**{**there, "command": (), **known})
        return replace(none, environments=(found,))

    def _missing(self, inputs: Inputs) -> tuple[Fault, ...]:
        """Look for what this resource needs, in the program and on the target."""
        found: tuple[Fault, ...] = ()
        if self._site is not None:
            needs = Needs(self.program, self._site)
            found = tuple(needs.missing(self.kind, inputs.fields))
            rights = Rights(self.program, self._site)
            found = found or tuple(rights.faults(self.kind, inputs.fields))
        address = address_of(self.kind, inputs.fields)
        if address:
            checked = Located(self.place, ResourceId.parse(address))
            self.program.note_checked(checked, inputs.fields)
        return found


def address_of(kind: Kind, fields: Fields) -> str:
    """Return the id of a resource with these inputs; empty while part of it is unknown."""
    row = ROWS[kind]
    if any(is_unknown(fields.get(part)) for part in row.identity):
        return ""
    named = of_spec(row.model_of(fields), fields)
    return identify(kind, row.model_of(fields).model_construct(None, **named)).address


def _fault_of(refusal: Refusal) -> Fault:
    return replace(refusal.fault, reason=f"{refusal.place}: {refusal.fault.reason}")


def _without_secrets(fault: Fault, inputs: Inputs) -> Fault:
    path, reason, remedy = (
        hidden(text, inputs.placeholders) for text in (fault.path, fault.reason, fault.remedy)
    )
    return replace(fault, path=path, reason=reason, remedy=remedy)
