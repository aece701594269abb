"""What all dynamic providers share: one kind's check, diff, create, read, update and delete.

Goes in: the engine's property bags. Comes out: Pulumi's results. What a field means is the spec's
to say, what differs is `compare`'s, and only the target changes anything. An instance holds no
state, so that Pulumi stores no more of it than the name of its class.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import UNKNOWN

from inference_provider.actor import current_actor
from inference_provider.apply import hiding
from inference_provider.capabilities import Refusal, refusals
from inference_provider.desired import (
    DesiredResource,
    identify,
    reference,
    resolve,
    sealed_properties,
)
from inference_provider.dynamic import convert, needs
from inference_provider.dynamic.claims import (
    INCARNATION_KEY,
    ONLY_READ,
    claim_of,
    former_name,
)
from inference_provider.dynamic.convert import OWNER_KEY, PLACEHOLDERS_KEY, PROVIDER_KEY, Bag
from inference_provider.dynamic.holding import Deletion, faults_of_others
from inference_provider.dynamic.host import handled_urn, hear_a_stop, sense_last
from inference_provider.dynamic.program import Program
from inference_provider.dynamic.progress import row_progress
from inference_provider.errors import (
    MAX_SHOWN,
    Fault,
    SpecError,
    TargetError,
    TargetUnreachable,
)
from inference_provider.files import file_faults, with_content_hash
from inference_provider.files.program import Served
from inference_provider.files.wording import in_a_program
from inference_provider.observed import (
    Claim,
    Kind,
    ObservedResource,
    Presence,
    ResourceId,
    known_assets,
)
from inference_provider.ownership import is_superseded
from inference_provider.printable import one_line, printable
from inference_provider.secret_text import Secrets, hidden, holds_secret
from inference_provider.sharing import is_shared
from inference_provider.spec import (
    ChangeClass,
    DeploymentSpec,
    EnvironmentSpec,
    SpecModel,
    StackSpec,
)
from inference_provider.spec.fields import field_roles
from inference_provider.spec.kinds import ROWS
from inference_provider.targets.base import Target
from inference_provider.targets.choose import open_target

_NOT_CONTENT = frozenset({"workspace", "description", "tags"})
"""Fields of an asset that its reference does not depend on."""

_UNREAD = "try again, or let `pulumi up --refresh=false` repair it without reading"

DEGRADED_KEY = "degraded"
"""Input that only a read gives, and only for what does not run as recorded: no program writes it,
so the engine sees a difference, names it, and the update that follows mends it."""

_opener: Callable[[], Target] = open_target
_program = Program()


def open_targets_with(opener: Callable[[], Target]) -> None:
    """Choose what opens the target in this process, in which nothing is declared yet.

    It is the one of this machine, unless told.
    """
    global _opener, _program
    _opener, _program = opener, Program()


class KindProvider(ResourceProvider):
    """Base of one provider a kind."""

    kind: ClassVar[Kind]
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs, and inputs that check() computes: never written by a person."""
    serialize_as_secret_always = False  # by reference, nothing secret is in the pickle

    @property
    def _spec_type(self) -> type[SpecModel]:
        return ROWS[self.kind].model

    # -- check and diff: no network --------------------------------------------------------------

    def check(self, olds: Bag, news: Bag) -> CheckResult:
        fields = convert.written_fields(news, self.computed)
        fields = convert.model_paths(fields, _relative)
        owner, secrets = convert.plain(news.get(OWNER_KEY, "")), convert.placeholders_of(news)
        faults: tuple[Fault, ...] = ()
        try:
            if convert.is_unknown(fields):
                inputs = self._check_known(fields)
            else:
                new = not self._recorded(olds)
                inputs, faults = self._check_all(fields, owner, secrets, new=new)
            if not faults:
                faults = self._missing(inputs)
        except SpecError as exc:
            inputs, faults = fields, exc.faults
        # With a property the engine would print its value too: `value {<nil>}` for a nested one.
        failures = [
            CheckFailure("", hidden(_sentence(in_a_program(f)), secrets))
            for f in faults[:MAX_SHOWN]
        ]
        if len(faults) > MAX_SHOWN:
            failures.append(CheckFailure("", f"and {len(faults) - MAX_SHOWN} more"))
        kept = {name: news[name] for name in (PLACEHOLDERS_KEY,) if name in news}
        return CheckResult({**inputs, OWNER_KEY: owner, **kept}, failures)

    def _check_all(
        self, fields: Bag, owner: str, secrets: Secrets, *, new: bool
    ) -> tuple[Bag, tuple[Fault, ...]]:
        if not owner:
            raise SpecError((Fault(OWNER_KEY, "empty", "name the stack that owns it"),))
        spec = convert.parse(ROWS[self.kind].model_of(fields), fields)
        faults = file_faults(spec, Path.cwd(), _served(spec))
        if faults:
            raise SpecError(faults)
        hashed = with_content_hash(spec, Path.cwd())
        wanted = DesiredResource(
            id=identify(self.kind, hashed), spec=hashed, owner=owner, placeholders=secrets
        )
        with sense_last():
            target = _opener()
            refused = refusals([wanted], target.capabilities)
            others = faults_of_others(wanted, target, _program, handled_urn(), new=new)
        inputs = {**convert.inputs_of(hashed), **self._computed_inputs(hashed)}
        return inputs, (*map(_fault_of, refused), *others)

    def _missing(self, inputs: Bag) -> tuple[Fault, ...]:
        """Look for what this resource hangs on, in the program and on the target."""
        with sense_last():
            found = tuple(needs.missing(self.kind, inputs, _program, _opener()))
        _program.note_checked(_address(self.kind, inputs))
        return found

    def _check_known(self, fields: Bag) -> Bag:
        """Check what a preview knows; what waits, and what follows from it, stays unknown."""
        spec = convert.parse_known(self._spec_type, fields)
        waiting = {name: item for name, item in fields.items() if convert.is_unknown(item)}
        decides = self.kind == Kind.DEPLOYMENT or not waiting.keys() - _NOT_CONTENT
        if decides:
            faults = file_faults(spec, Path.cwd(), _served(spec))
            if faults:
                raise SpecError(faults)
            spec = with_content_hash(spec, Path.cwd())
            return {**convert.inputs_of(spec), **self._computed_inputs(spec), **waiting}
        later = dict.fromkeys(self.computed & {"content_hash", "reference"}, UNKNOWN)
        return {**convert.inputs_of(spec), **waiting, **later}

    def _computed_inputs(self, spec: Any) -> Bag:
        """Return inputs that follow from the others, so that a preview knows them."""
        return {"reference": reference(spec)} if "reference" in self.computed else {}

    def diff(self, _id: str, _olds: Bag, _news: Bag) -> DiffResult:
        """Name the fields that need a new resource; the engine itself finds what differs."""
        olds, news = convert.plain(_olds), convert.plain(_news)
        replaces = [
            name
            for name, role in field_roles(self._spec_type).items()
            if role.change == ChangeClass.REPLACE and name in news and news[name] != olds.get(name)
        ]
        # A new resource under the old id cannot stand beside it.
        same_place = bool(replaces) and _address(self.kind, news) in ("", _id)
        return DiffResult(changes=None, replaces=replaces, delete_before_replace=same_place)

    # -- create, update, delete, read ------------------------------------------------------------

    def create(self, props: Bag) -> CreateResult:
        outs = self._apply(props, claim_of(handled_urn()), new=True)
        return CreateResult(_address(self.kind, outs), outs)

    def update(self, _id: str, _olds: Bag, _news: Bag) -> UpdateResult:
        known = convert.plain(_olds).get(INCARNATION_KEY, "")
        return UpdateResult(self._apply(_news, claim_of(handled_urn(), known)))

    def _apply(self, props: Bag, claim: Claim, *, new: bool = False) -> Bag:
        inputs = {k: v for k, v in convert.plain(props).items() if k != PROVIDER_KEY}
        hear_a_stop()
        with sense_last():
            target, tell = _opener(), row_progress()
            spec = convert.parse(self._spec_type, convert.written_fields(inputs, self._outputs))
            wanted = self._desired(spec, inputs[OWNER_KEY], target)
            secrets = convert.placeholders_of(inputs)
            again = new and _program.was_read(claim.entry, wanted.id.address)
            asked = {"claim": claim, "placeholders": secrets, "made_again": again}
            wanted, before = wanted.model_copy(update=asked), target.record(wanted.id)
            if before is not None and is_shared(wanted, before):
                tell(wanted.id, f"shared: stack '{before.owner}' owns it")
                return {**inputs, **self._outputs_of(target.observe_one(wanted.id))}
            with hiding(secrets):
                there = target.apply(wanted, _actor(), tell)
            if new and before is not None and before.claim is None:
                tell(wanted.id, f"taken over: stack '{before.owner}' had made it")
        return {**inputs, **self._outputs_of(there), INCARNATION_KEY: claim.incarnation}

    @property
    def _outputs(self) -> frozenset[str]:
        return self.computed - set(self._spec_type.model_fields)

    def _desired(self, spec: SpecModel, owner: str, target: Target) -> DesiredResource:
        if isinstance(spec, DeploymentSpec):
            return _pinned(spec, owner, target)
        folder = str(Path.cwd())
        return DesiredResource(
            id=identify(self.kind, spec), spec=spec, owner=owner, base_dir=folder
        )

    def _outputs_of(self, there: ObservedResource) -> Bag:
        found: Bag = {name: text for name, text in there.outputs.items() if name in self.computed}
        for name, secret in there.secret_outputs.items():
            found[name] = secret.get_secret_value()
        if "generation" in self.computed and there.record is not None:
            found["generation"] = there.record.generation
        return found

    def delete(self, _id: str, _props: Bag) -> None:
        props, resource = convert.plain(_props), ResourceId.parse(_id)
        owner, known = props[OWNER_KEY], props.get(INCARNATION_KEY, "")
        other = _program.another(resource, handled_urn())
        with sense_last():
            Deletion(resource, owner, known, other, _actor(), row_progress()).run(_opener())

    def read(self, id_: str, props: Bag) -> ReadResult:
        held = convert.plain(props)
        by_id = not self._recorded(held)
        with sense_last():
            there = _opener().observe_one(self._asked_for(id_))
            if there.presence == Presence.UNKNOWN:
                raise TargetUnreachable("read", str(there.id), there.reason, _UNREAD)
            if there.presence == Presence.ABSENT and by_id:
                raise TargetError("read", str(there.id), "it is not there", "check its id")
        known = ONLY_READ if by_id else held.get(INCARNATION_KEY, "")
        if there.presence == Presence.ABSENT or self._is_another(there, held, known):
            return ReadResult("", {})  # None as the properties crashes the SDK
        if known != ONLY_READ:
            _program.note_read(handled_urn(), id_)
        claim = there.record.claim if there.record else None
        renamed = former_name(claim, handled_urn(), known)
        inputs = {**self._live_inputs(there, held), **renamed}
        carried = {INCARNATION_KEY: known} if known else {}
        return ReadResult(id_, {**inputs, **self._outputs_of(there), **carried}, inputs)

    @staticmethod
    def _is_another(there: ObservedResource, held: Bag, known: str) -> bool:
        """Whether another entry of this stack stands for what is there now, and this never will.

        An entry that the newer one took over stays until it is deleted: a rename that failed half
        way may be taken back, or all of it be destroyed.
        """
        mine = there.record is not None and there.record.owner == held.get(OWNER_KEY)
        if not mine or known == ONLY_READ or not is_superseded(there.record, known):
            return False
        claim = there.record.claim if there.record else None
        return claim is None or claim.older != known

    def _asked_for(self, id_: str) -> ResourceId:
        kind, _, _ = id_.partition("/")
        try:
            if kind == self.kind:
                return ResourceId.parse(id_)
        except ValueError:
            pass
        wanted = f"write it as {self.kind}/<workspace>/<name>"
        raise TargetError("read", f"{self.kind} '{id_}'", "this is not the id of one", wanted)

    def _recorded(self, props: Bag) -> Bag:
        """Return the fields of the last update; none when a program asks by id for the first time.

        The engine would take an answer of nothing to the latter for a resource without outputs.
        """
        known = set(self._spec_type.model_fields)
        return {name: item for name, item in props.items() if name in known}

    def _live_inputs(self, there: ObservedResource, props: Bag) -> Bag:
        recorded, secrets = self._recorded(props), convert.placeholders_of(props)
        live = sealed_properties(self._spec_type, there.properties, secrets)
        inputs = convert.live_inputs(recorded or live, live, secrets)
        if secrets:
            inputs[PLACEHOLDERS_KEY] = props[PLACEHOLDERS_KEY]
        if "reference" in self.computed:
            inputs["reference"] = there.outputs.get("reference", props.get("reference"))
        owner = there.record.owner if there.record else ""
        if self.kind == Kind.WORKSPACE and props.get(OWNER_KEY, owner) != owner:
            return convert.plain({**inputs, OWNER_KEY: props[OWNER_KEY]})  # type: ignore[no-any-return] # shared
        inputs[OWNER_KEY] = owner
        if there.degraded:
            inputs[DEGRADED_KEY] = there.degraded
        return convert.plain(inputs)  # type: ignore[no-any-return]


def _served(spec: SpecModel) -> Served:
    """Return the environment of a deployment, once that is there."""
    asked = getattr(spec, "environment", None) or ""
    pinned, _, digest = asked.removeprefix("azureml:").partition("@sha256:")
    if not digest:
        return Served()
    environment = ResourceId(kind=Kind.ENVIRONMENT, workspace=spec.workspace, name=pinned)  # type: ignore[attr-defined]
    with sense_last():
        there = _opener().observe_one(environment).properties
    if there.get("content_hash") != digest:
        return Served()
    # A record has what placeholders stood for as digests: that is no program's name.
    known = {} if holds_secret(there["command"]) else {"command": there["command"]}
    return Served((EnvironmentSpec.model_construct(**{**there, "command": (), **known}),))


def _address(kind: Kind, fields: Mapping[str, Any]) -> str:
    """Return the id of a resource with these inputs; empty while a part of it is unknown."""
    spec_type = ROWS[kind].model
    named = {n: v for n, v in fields.items() if n in spec_type.model_fields}
    identity = ("workspace", "name", "version", "endpoint", "deployment")
    if any(convert.is_unknown(named.get(part)) for part in identity):
        return ""
    return identify(kind, spec_type.model_construct(None, **named)).address


def _pinned(spec: DeploymentSpec, owner: str, target: Target) -> DesiredResource:
    """Resolve the deployment's references against the assets that its workspace holds."""
    assets = known_assets(target.observe([spec.workspace]))
    stack = StackSpec(name=owner, deployments=(spec,))
    wanted = resolve(stack, str(Path.cwd()), assets)
    return next(resource for resource in wanted if resource.id.kind == Kind.DEPLOYMENT)


def _actor() -> Any:
    return current_actor("pulumi")


def _relative(path: Any) -> Any:
    """Return a path relative to the program's folder: an absolute one differs by machine."""
    if not isinstance(path, str) or not os.path.isabs(path):
        return path
    return os.path.relpath(path)


def _fault_of(refusal: Refusal) -> Fault:
    return replace(refusal.fault, reason=f"{refusal.place}: {refusal.fault.reason}")


def _sentence(fault: Fault) -> str:
    where = f"{one_line(fault.path)}: " if fault.path else ""
    return where + printable(fault.reason + (f"; {fault.remedy}" if fault.remedy else ""))
