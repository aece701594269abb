"""The base of all dynamic providers: Pulumi's calls, answered by the handlers of one kind.

Goes in: the engine's property bags. Comes out: Pulumi's results. A provider object has no state, so
Pulumi stores only the name of its class.
"""

from typing import ClassVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from inference_provider.actor import current_actor
from inference_provider.dynamic import convert
from inference_provider.dynamic.claims import entry_of
from inference_provider.dynamic.convert import Bag
from inference_provider.dynamic.host import forward_cancel, readable_errors, served_urn
from inference_provider.dynamic.progress import row_progress
from inference_provider.errors import MAX_SHOWN, Fault, TargetUnreachable
from inference_provider.files.wording import in_a_program
from inference_provider.handlers import Call, Entry, Handlers, Held, Opener, Program
from inference_provider.handlers.state_keys import HOME_KEY, PLACE_KEY
from inference_provider.observed import Kind, ResourceId
from inference_provider.printable import one_line, printable
from inference_provider.targets.registry import open_target

_opener: Opener = open_target
_program = Program()


def open_targets_with(opener: Opener) -> None:
    """Replace what opens targets in this process, and forget all that was declared.

    Unless this is called, the registry opens them.
    """
    global _opener, _program
    _opener, _program = opener, Program()


class KindProvider(ResourceProvider):
    """Base of the providers, one per kind."""

    kind: ClassVar[Kind]
    serialize_as_secret_always = False  # pickled by reference, so the pickle holds no secret

    @property
    def _handlers(self) -> Handlers:
        return Handlers(self.kind, _program, _opener)

    def check(self, olds: Bag, news: Bag) -> CheckResult:
        with readable_errors():
            written, held = convert.inputs_of(news), convert.inputs_of(olds)
            checked = self._handlers.check(_entry(), written, held)
        # Given a property, the engine would also print its value: `{<nil>}` for a nested one.
        shown = [CheckFailure("", _sentence(fault)) for fault in checked.faults[:MAX_SHOWN]]
        if len(checked.faults) > MAX_SHOWN:
            shown.append(CheckFailure("", f"and {len(checked.faults) - MAX_SHOWN} more"))
        return CheckResult(convert.bag_of_inputs(checked.inputs), shown)

    def diff(self, _id: str, _olds: Bag, _news: Bag) -> DiffResult:
        """Tell the engine whether anything differs, and which fields need a new resource.

        The SDK passes on no more than this; which fields roll is shown in the resource's row.
        When something differs, `changes` stays unset: the engine then finds the properties itself,
        shows each, and honours `replaceOnChanges`. When nothing does, the engine is told, since it
        would otherwise show a default added by a newer release as a change.
        """
        with readable_errors():
            held, wanted = convert.held_of(self.kind, _olds), convert.inputs_of(_news)
            found = self._handlers.diff(_id, held, wanted)
        if found.rolls:
            row_progress()(ResourceId.parse(_id), f"rolling: {', '.join(found.rolls)}")
        return DiffResult(
            changes=None if found.any else False,
            replaces=[
                *found.replaces,
                *([PLACE_KEY] if found.moves else []),
                *([HOME_KEY] if found.led_elsewhere else []),
            ],
            delete_before_replace=found.delete_before_replace,
        )

    def create(self, props: Bag) -> CreateResult:
        forward_cancel()
        with readable_errors():
            id_, held = self._handlers.create(_call(), convert.inputs_of(props))
        return CreateResult(id_, convert.bag_of_held(held))

    def update(self, _id: str, _olds: Bag, _news: Bag) -> UpdateResult:
        forward_cancel()
        with readable_errors():
            held, inputs = convert.held_of(self.kind, _olds), convert.inputs_of(_news)
            held = self._handlers.update(_call(), held, inputs)
        return UpdateResult(convert.bag_of_held(held))

    def delete(self, _id: str, _props: Bag) -> None:
        with readable_errors():
            self._handlers.delete(_call(), _id, convert.held_of(self.kind, _props))

    def read(self, id_: str, props: Bag) -> ReadResult:
        with readable_errors():
            held = self._read(id_, convert.held_of(self.kind, props))
        if held is None:
            return ReadResult("", {})  # None as the properties would crash the SDK
        return ReadResult(id_, convert.bag_of_held(held), convert.bag_of_inputs(held.inputs))

    def _read(self, id_: str, held: Held) -> Held | None:
        try:
            return self._handlers.read(_entry(), id_, held, current_actor("pulumi"))
        except TargetUnreachable as exc:
            remedy = "try again, or let `pulumi up --refresh=false` repair it without reading"
            raise TargetUnreachable("read", exc.resource, exc.reason, remedy) from exc


def _entry() -> Entry:
    return entry_of(served_urn())


def _call() -> Call:
    return Call(_entry(), current_actor("pulumi"), row_progress())


def _sentence(fault: Fault) -> str:
    said = in_a_program(fault)
    where = f"{one_line(said.path)}: " if said.path else ""
    return where + printable(said.reason + (f"; {said.remedy}" if said.remedy else ""))
