"""The operations on one resource, for any engine: check, diff, apply, read, delete.

Goes in: plain values of an engine's state (`held.py`). Comes out: the same, or an error of ours.
The spec says what a field means, `compare` finds what differs, and only the target changes
anything.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from inference_provider.apply import at_once, concurrently, hiding
from inference_provider.compare import compare, in_place, recorded_otherwise
from inference_provider.desired import (
    DesiredResource,
    identify,
    resolve,
    sealed_properties,
)
from inference_provider.errors import Fault, TargetError, TargetUnreachable
from inference_provider.handlers.check import Check, Opener, address_of
from inference_provider.handlers.claims import (
    ONLY_READ,
    claim_of,
    former_holder,
    stands_for_another,
)
from inference_provider.handlers.deletion import Deletion
from inference_provider.handlers.fields import (
    beyond_default,
    live_inputs,
    not_written,
    of_spec,
    parse,
    plain,
)
from inference_provider.handlers.held import (
    UNKNOWN,
    Call,
    Checked,
    Difference,
    Entry,
    Held,
    Inputs,
)
from inference_provider.handlers.places import (
    Located,
    goes_elsewhere,
    led_away,
    place_of,
    refuse_another_home,
)
from inference_provider.handlers.program import Program
from inference_provider.observed import (
    Actor,
    Kind,
    ObservedResource,
    Presence,
    Record,
    ResourceId,
    known_assets,
)
from inference_provider.plan import ActionKind
from inference_provider.rollout_end import await_rollouts
from inference_provider.sharing import is_shared
from inference_provider.spec import SpecModel, StackSpec
from inference_provider.spec.kinds import ASSETS, ROWS
from inference_provider.spec.reference import Reference
from inference_provider.spec.target import Home
from inference_provider.workspace.engine import Engine


class Handlers:
    """The operations on one resource of a kind."""

    def __init__(
        self, kind: Kind, program: Program, opener: Opener, folder: Path | None = None
    ) -> None:
        """Make the handlers of one kind in one program.

        Args:
            kind: The resource's kind.
            program: What is known about the program so far.
            opener: Opens the target that a place names.
            folder: Folder that paths in fields are relative to; the current one when left out.
        """
        self._kind, self._program, self._opener = kind, program, opener
        self._folder = folder or Path.cwd()
        self._row = ROWS[kind]

    def check(self, entry: Entry, written: Inputs, held: Inputs) -> Checked:
        """Fill in every default, or return all faults in what a user wrote.

        Args:
            entry: What declares it.
            written: What the user wrote; `UNKNOWN` where a preview does not know yet.
            held: Inputs that the state holds under this entry; without fields if there are none.
        """
        theirs = {n: v for n, v in written.fields.items() if n not in not_written(self._kind)}
        place = place_of(self._kind, written)
        check = Check(self._kind, self._program, self._opener, self._folder, place)
        new = not self._of_spec(held)
        found = check.run(entry, replace(written, fields=theirs), new=new)
        if not (new or held.home) and place == place_of(self._kind, held):
            # only a read has seen whether the resource is there
            found = replace(found, inputs=replace(found.inputs, home={}))
        fault = self._led_away(held, found.inputs)
        # what else was found is true of the wrong place
        return replace(found, faults=(fault,)) if fault else found

    def _led_away(self, held: Inputs, wanted: Inputs) -> Fault | None:
        """Say why a resource that is wanted elsewhere could not be deleted where it was."""
        place = place_of(self._kind, held)
        if place is UNKNOWN or Home(wanted.home).is_that_of(held.home) is not False:
            return None
        with suppress(TargetError):  # what cannot be asked does not say where it leads
            return led_away(held.home, self._opener(place).home())
        return None

    def diff(self, id_: str, held: Held, wanted: Inputs) -> Difference:
        """Compare what a state holds with checked inputs, without asking the target."""
        old, new = self._of_spec(held.inputs), self._of_spec(wanted)
        changes = compare(self._kind, old, new, wanted.placeholders)
        goes = goes_elsewhere(self._kind, held.inputs, wanted)
        if goes is None:
            changes = in_place(self._kind, changes)
        besides = _besides(held.inputs) != _besides(wanted)
        elsewhere = Home(wanted.home).is_that_of(held.inputs.home) is False
        moves = bool(goes) and self._kind != Kind.WORKSPACE and not elsewhere
        found = Difference(changes, besides, moves=moves, led_elsewhere=elsewhere)
        # A new resource with the old id, in the old place, cannot exist beside the old one.
        same_id = address_of(self._kind, wanted.fields) in ("", id_)
        before = bool(found.replaces) and same_id and not goes
        return replace(found, delete_before_replace=before)

    def create(self, call: Call, inputs: Inputs) -> tuple[str, Held]:
        """Create a resource, or adopt an existing one; return its id and what to hold."""
        held = self._apply(call, inputs, new=True)
        return address_of(self._kind, held.inputs.fields), held

    def update(self, call: Call, held: Held, inputs: Inputs) -> Held:
        """Update a resource to its inputs; return what to hold."""
        return self._apply(call, inputs, held.incarnation)

    def _apply(self, call: Call, inputs: Inputs, known: str = "", *, new: bool = False) -> Held:
        target, claim = self._open(inputs), claim_of(call.entry, known)
        wanted = self._desired(inputs, target)
        again = new and self._program.was_read(self._located(inputs, wanted.id), call.entry)
        wanted = wanted.model_copy(update={"claim": claim, "made_again": again})
        before = target.record(wanted.id)
        if before is not None and is_shared(wanted, before):
            call.progress(wanted.id, f"shared: stack '{before.owner}' owns it")
            return Held(inputs, self._outputs_of(target.observe_one(wanted.id)))
        for_each = concurrently(target, ActionKind.UPDATE, call.progress, at_once(target))
        with hiding(inputs.placeholders):
            there = target.apply(wanted, call.actor, call.progress, for_each)
            await_rollouts([wanted], target, call.progress)
        if new and before is not None and before.claim is None:
            call.progress(wanted.id, f"taken over: stack '{before.owner}' had made it")
        return Held(inputs, self._outputs_of(there), claim.incarnation)

    def _desired(self, inputs: Inputs, target: Engine) -> DesiredResource:
        follows = self._row.output_names
        fields = {n: v for n, v in inputs.fields.items() if n not in follows}
        spec = parse(self._row.model_of(fields), fields)
        if self._kind == Kind.DEPLOYMENT:
            spec = _pinned(spec, inputs.owner, target)
        return DesiredResource(
            id=identify(self._kind, spec),
            spec=spec,
            owner=inputs.owner,
            base_dir=str(self._folder),
            placeholders=inputs.placeholders,
        )

    def _outputs_of(self, there: ObservedResource) -> dict[str, Any]:
        names = self._row.output_names
        found: dict[str, Any] = {n: v for n, v in there.outputs.items() if n in names}
        for name, secret in there.secret_outputs.items():
            found[name] = secret.get_secret_value()
        if "generation" in names and there.record is not None:
            found["generation"] = there.record.generation
        return found

    def delete(self, call: Call, id_: str, held: Held) -> None:
        """Delete what an entry of a state stands for, unless another entry stands for it too."""
        resource, inputs = ResourceId.parse(id_), held.inputs
        other = self._program.another(self._located(inputs, resource), call.entry)

        def declares(one: ResourceId) -> bool:
            return self._program.has_checked(self._located(inputs, one))

        deletion = Deletion(resource, inputs.owner, held.incarnation, other, call, declares)
        deletion.run(self._open(inputs))

    def read(self, entry: Entry, id_: str, held: Held, actor: Actor) -> Held | None:
        """Return the live resource; None if it is gone, or another entry stands for it.

        Args:
            entry: What stands for it.
            id_: `Kind/workspace/name`.
            held: What the state holds; without fields when a program reads by id.
            actor: Who gets its keys, if the state has none or others.

        Raises:
            TargetUnreachable: The target did not answer.
            TargetError: A program reads by id what does not exist.
        """
        by_id = not self._of_spec(held.inputs)
        target = self._open(held.inputs)
        there = target.observe_one(self._asked_for(id_))
        if there.presence == Presence.UNKNOWN:
            raise TargetUnreachable("read", str(there.id), there.reason, "try again")
        if there.presence == Presence.ABSENT and by_id:
            raise TargetError("read", str(there.id), "it is not there", "check its id")
        known = ONLY_READ if by_id else held.incarnation
        taken = stands_for_another(there.record, held.inputs.owner, known)
        if there.presence == Presence.ABSENT or taken:
            return None
        if known != ONLY_READ:
            self._program.note_read(self._located(held.inputs, there.id), entry)
        inputs = self._live_inputs(there, held)
        if known != ONLY_READ and _owner(there.record) == inputs.owner and not inputs.home:
            inputs = replace(inputs, home=target.home().ids)  # an older release kept none
        former = former_holder(there.record, entry, known)
        outputs = self._outputs_of(there)
        if any(outputs[name] != held.outputs.get(name) for name in there.secret_outputs):
            with suppress(TargetError):  # who may only read is told of drift all the same
                target.note_reading(there.id, actor)
        return Held(replace(inputs, held_by=former), outputs, known)

    def _open(self, inputs: Inputs) -> Engine:
        place = place_of(self._kind, inputs)
        if place is UNKNOWN:
            reason = "the state names a place that this release does not know"
            raise TargetError("open", "the target", reason, "use the release that wrote it")
        target = self._opener(place)
        if inputs.home:
            refuse_another_home(inputs, self._named(inputs), target.home())
        return target

    def _named(self, inputs: Inputs) -> str:
        address = address_of(self._kind, inputs.fields)
        return str(ResourceId.parse(address)) if address else f"a {self._row.word}"

    def _located(self, inputs: Inputs, resource: ResourceId) -> Located:
        return Located(place_of(self._kind, inputs), resource)

    def _of_spec(self, inputs: Inputs) -> dict[str, Any]:
        return of_spec(self._row.model_of(inputs.fields), inputs.fields)

    def _asked_for(self, id_: str) -> ResourceId:
        kind, _, _ = id_.partition("/")
        try:
            if kind == self._kind:
                return ResourceId.parse(id_)
        except ValueError:
            pass
        wanted = f"write it as {self._kind}/<workspace>/<name>"
        raise TargetError("read", f"{self._kind} '{id_}'", "this is not a valid id", wanted)

    def _live_inputs(self, there: ObservedResource, held: Held) -> Inputs:
        was = held.inputs
        recorded, model = self._of_spec(was), self._row.model_of(there.properties)
        live = sealed_properties(model, there.properties, was.placeholders)
        fields = live_inputs(model, recorded or live, live, was.placeholders)
        fields |= beyond_default(model, recorded, live) if recorded else {}
        if "reference" in self._row.computed:
            known = held.outputs.get("reference")
            fields["reference"] = there.outputs.get("reference", known)
        found = replace(was, fields=plain(fields), degraded="", held_by="")
        owner = _owner(there.record)
        if self._kind == Kind.WORKSPACE and was.owner not in ("", owner):
            return found  # shared: another stack owns it
        return replace(found, owner=owner, degraded=there.degraded or recorded_otherwise(there))


def _owner(record: Record | None) -> str:
    return record.owner if record else ""


def _besides(inputs: Inputs) -> Inputs:
    """Return inputs without their fields, and without what is compared of itself."""
    return replace(inputs, fields={}, home={})


def _pinned(spec: Any, owner: str, target: Engine) -> SpecModel:
    """Resolve the deployment's references against the assets that its workspace holds."""
    named = (getattr(spec, row.word) for row in ASSETS)
    if all(Reference.parse(text).digest for text in named if text):  # the target need not be asked
        return cast("SpecModel", spec)
    stack = StackSpec(name=owner, deployments=(spec,))
    wanted = resolve(stack, known_assets=known_assets(target.observe([spec.workspace])))
    pinned = next(r.spec for r in wanted if r.id.kind == Kind.DEPLOYMENT)
    # the check gave it its instance type's amounts already, from the workspace that is meant
    assets = {row.word: getattr(pinned, row.word) for row in ASSETS}
    return cast("SpecModel", spec.model_copy(update=assets))
