"""Documents of Records -> records, keys, blueprints, reservations, each in its own type.

A document is parsed once until it changes. An error about one that cannot be parsed names it but
never quotes it: it may hold a key.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import TypeAdapter

from inference_provider.errors import Busy, TargetError
from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.router.build import outbound_of
from inference_provider.secret_text import Secrets, hidden
from inference_provider.spec import AutoscaleRuleSpec, SpecModel, WorkspaceSpec
from inference_provider.spec.autoscale_rule import recorded_rule
from inference_provider.spec.fields import in_clear
from inference_provider.spec.kinds import ROWS
from inference_provider.spec.reference import Reference
from inference_provider.spec.secret_store import store_kind
from inference_provider.spec.workspace import recorded_space
from inference_provider.workspace import subjects
from inference_provider.workspace.corrupt import SHIFTS, corrupt
from inference_provider.workspace.documents import Documents
from inference_provider.workspace.kept_digests import BLUEPRINTS, PLACEHOLDERS, WEBHOOKS
from inference_provider.workspace.kept_keys import Keys, keys_document, keys_in
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.ports import Records
from inference_provider.workspace.reservation import Reservation
from inference_provider.workspace.secret_store import OpenStore, SecretStore, no_store
from inference_provider.workspace.signing import SigningKeys

T = TypeVar("T")

RECORDS = "records"
KEYS, SIGNING = "keys", "signing"
RESERVATIONS = "reservations"
TLS, ROUTER = "tls", "router"
CORRUPT = "corrupt"
"""Records that could not be read, set aside with consent."""
UNPUBLISHED = "unpublished"
"""Has a document while records are ahead of the router; who is killed meanwhile leaves it."""
PUBLICATION = "publication"
"""Lock that is held as long as that document is there on purpose."""


_SECRETS = TypeAdapter(Secrets)


class State(Documents):
    """What one workspace remembers. Writes belong inside `Records.edit()`."""

    def __init__(self, records: Records, open_store: OpenStore = no_store) -> None:
        super().__init__(records)
        self.secrets = SecretStore(records, lambda: self.of_workspace("secret_store"), open_store)
        """What connections hold."""

    # -- records -------------------------------------------------------------------------------

    def record(self, resource: ResourceId) -> Record | None:
        """Return the record of one resource: what was last applied."""
        found = self.document(RECORDS, _name(resource), Record.model_validate_json)
        return found and self.secrets.shown(found)

    def records(self) -> list[Record]:
        """Return all records as kept, by kind and name: a router pod can decrypt nothing."""
        return list(self.section(RECORDS, Record.model_validate_json).values())

    def sorted_out(self) -> tuple[list[Record], dict[ResourceId, str]]:
        """Return the records that can be read, and why the others cannot, by resource."""
        records, faults = [], {}
        for name, document in self._records.section(RECORDS).items():
            kind, _, rest = name.partition(".")
            try:
                record = self._value(RECORDS, name, document, Record.model_validate_json)
                records.append(self.secrets.shown(record))
            except TargetError as fault:
                if kind in Kind.__members__.values():
                    place = self._records.workspace
                    faults[ResourceId(kind=Kind(kind), workspace=place, name=rest)] = str(fault)
        return records, faults

    def is_closed(self, access: str) -> bool:
        """Whether instances have no way out, of a deployment with this access to the network."""
        record = self.own_record()
        return "disabled" in (access, record.properties.get("egress") if record else "")

    def set_aside(self, resource: ResourceId) -> None:
        """Move a record that cannot be read out of the way, and keep it for a person to see."""
        name = _name(resource)
        document = self._records.read(RECORDS, name)
        if document is not None:
            if resource.kind == Kind.CONNECTION:  # one that is applied again writes its secrets
                self.secrets.drop(resource.name)
            keys = self.keys(resource.name) if resource.kind == Kind.ENDPOINT else None
            text = hidden(document.decode(errors="replace"), keys or ())
            self._records.put(CORRUPT, name, text)  # nothing of it is compared any more
            subjects.forget(self._records, resource)
            self._records.drop(RECORDS, name)

    def recorded(self, kind: Kind) -> set[str]:
        """Return the names of one kind that have a record, even one that cannot be read."""
        names = (name.partition(".") for name in self._records.section(RECORDS))
        return {rest for found, _, rest in names if found == kind.value}

    def of_kind(self, kind: Kind, variant: str = "") -> list[Record]:
        """Return the records of one kind, and one variant of it if given, sorted by name."""
        found = self.of_kinds([kind])
        return [record for record in found if variant in ("", record.variant)]

    def of_kinds(self, kinds: Iterable[Kind]) -> list[Record]:
        """Return the records of some kinds, sorted by kind and name; parses no others."""
        beginnings = tuple(f"{kind.value}." for kind in kinds)
        documents = self._records.section(RECORDS)
        names = (name for name in documents if name.startswith(beginnings))
        parse = Record.model_validate_json
        found = (self._value(RECORDS, name, documents[name], parse) for name in names)
        return [self.secrets.shown(record) for record in found]

    def rule_of(self, deployment: ResourceId) -> AutoscaleRuleSpec | None:
        """Return the rule that decides a deployment's count; None where none does."""
        record = self.record(deployment.model_copy(update={"kind": Kind.AUTOSCALE_RULE}))
        return self._rule(record) if record else None

    def _rule(self, record: Record) -> AutoscaleRuleSpec | None:
        try:
            return recorded_rule(record.properties)
        except ValueError:
            raise corrupt(self._records.place(RECORDS, _name(record.id))) from None

    def rules(self) -> dict[str, AutoscaleRuleSpec]:
        """Return the rules that decide counts, by deployment; skips a record that is unreadable."""
        beginning, rules = f"{Kind.AUTOSCALE_RULE.value}.", dict[str, AutoscaleRuleSpec]()
        for name in (n for n in self._records.section(RECORDS) if n.startswith(beginning)):
            with suppress(TargetError):
                record = self.document(RECORDS, name, Record.model_validate_json)
                if record and (rule := self._rule(record)):
                    rules[record.id.name] = rule
        return rules

    def owners(self) -> frozenset[str]:
        """Return the owners of all records; skips a record that cannot be read."""
        found = set()
        for name, document in self._records.section(RECORDS).items():
            with suppress(TargetError):
                record = self._value(RECORDS, name, document, Record.model_validate_json)
                found.add(record.owner)
        return frozenset(found)

    def put_record(self, record: Record, placeholders: Secrets = ()) -> None:
        """Save a record, and the values of the placeholders in it."""
        name = _name(record.id)
        if placeholders:
            clear = [one.get_secret_value() for one in placeholders]
            self._records.put(PLACEHOLDERS, name, json.dumps(clear))
        else:
            self._records.drop(PLACEHOLDERS, name)
        kept = self.secrets.written(record)
        self._records.put(RECORDS, name, kept.model_dump_json(indent=1))

    def drop_record(self, resource: ResourceId) -> None:
        """Remove a resource's record, and what is kept with it.

        The secrets go first: who is killed in between leaves none that a new resource would take.
        """
        subjects.forget(self._records, resource)
        if resource.kind == Kind.ENDPOINT:
            self.drop_keys(resource.name)
            self.drop_signing(resource.name)
            self._records.drop(WEBHOOKS, resource.name)
        if resource.kind == Kind.CONNECTION:
            self.secrets.drop(resource.name)
        if resource.kind == Kind.DEPLOYMENT:
            self._records.drop(BLUEPRINTS, resource.name)
            self._records.drop(RESERVATIONS, resource.name)  # of somebody who was killed
        if resource.kind == Kind.TRAFFIC:
            self._records.drop(SHIFTS, resource.name)
        self._records.drop(PLACEHOLDERS, _name(resource))
        self._records.drop(RECORDS, _name(resource))

    def placeholders(self, resource: ResourceId) -> Secrets:
        """Return the values that a resource's placeholders had when it was last applied."""
        return self.document(PLACEHOLDERS, _name(resource), _SECRETS.validate_json) or ()

    # -- keys ----------------------------------------------------------------------------------

    def keys(self, endpoint: str) -> Keys | None:
        """Return primary and secondary key; None when they are gone or cannot be read."""
        try:
            return self.document(KEYS, endpoint, keys_in)
        except (TargetError, OSError):
            return None

    def put_keys(self, endpoint: str, keys: Keys) -> None:
        """Save both keys."""
        self._records.put(KEYS, endpoint, keys_document(keys))

    def drop_keys(self, endpoint: str) -> None:
        """Remove both keys, if it has any."""
        self._records.drop(KEYS, endpoint)

    def signing(self, endpoint: str) -> SigningKeys | None:
        """Return the keys that sign tokens; None when they are gone or cannot be read."""
        try:
            return self.document(SIGNING, endpoint, SigningKeys.model_validate_json)
        except (TargetError, OSError):
            return None

    def put_signing(self, endpoint: str, keys: SigningKeys) -> None:
        """Save the keys that sign tokens, in clear text."""
        self._records.put(SIGNING, endpoint, keys.document)

    def drop_signing(self, endpoint: str) -> None:
        """Remove the keys that sign tokens, if it has any."""
        self._records.drop(SIGNING, endpoint)

    # -- TLS -----------------------------------------------------------------------------------

    def tls(self) -> KeptTls | None:
        """Return what the router shows; None where it speaks plain HTTP.

        Raises:
            TargetError: It is to speak TLS, and its certificate is gone or cannot be read.
        """
        found = self.document(TLS, ROUTER, KeptTls.model_validate_json)
        if found is None and self.of_workspace("tls"):
            remedy = "restore it, or apply the stack again, which writes it again"
            raise TargetError("read", self._records.place(TLS, ROUTER), "it is gone", remedy)
        return found

    def edge(self) -> dict[str, Any]:
        """Return what a router's table says of all endpoints.

        Raises:
            TargetError: As `tls` does; or the workspace's record cannot be read. Without what it
                may say of source ranges, anybody could call.
        """
        kept, record = self.tls(), self.own_record()
        said = record.properties if record else {}
        return {
            "tls": kept.tls if kept else None,
            "sources": self.sources(),
            "trusted_proxies": tuple(said.get("trusted_proxies") or ()),
            "trusted_hops": said.get("trusted_hops") or 0,
            "outbound": outbound_of(said.get("outbound_rules") or ()),
        }

    def sources(self) -> tuple[str, ...]:
        """Return the ranges of addresses that may call; empty for all.

        Raises:
            TargetError: The workspace's record cannot be read.
        """
        record = self.own_record()
        return tuple(record.properties.get("allowed_source_ranges") or ()) if record else ()

    def recorded_sources(self) -> tuple[str, ...]:
        """Return the same ranges, for what runs only where the workspace is recorded.

        A router starts before that, in the first apply, and takes `sources`.

        Raises:
            TargetError: The workspace's record cannot be read, or is gone.
        """
        if self.own_record() is None:
            place = self._records.place(
                RECORDS, _name(ResourceId.of_workspace(self._records.workspace))
            )
            remedy = "restore it, or apply the stack again, which writes it again"
            raise TargetError("read", place, "it is gone", remedy)
        return self.sources()

    @property
    def scheme(self) -> str:
        """How URLs of the router begin."""
        return "https" if self.speaks_tls() else "http"

    def speaks_tls(self) -> bool:
        """Whether the router speaks TLS, even where its certificate is gone."""
        return self._records.read(TLS, ROUTER) is not None or bool(self.of_workspace("tls"))

    def of_workspace(self, field: str) -> Any:
        """Return what is recorded of the workspace itself; None where that cannot be read."""
        with suppress(TargetError):
            record = self.own_record()
            return record.properties.get(field) if record else None
        return None

    def own_record(self) -> Record | None:
        """Return the record of the workspace itself. Raises what `record` does."""
        return self.record(ResourceId.of_workspace(self._records.workspace))

    def own_spec(self) -> WorkspaceSpec:
        """Return the recorded workspace, as far as what a target makes for it depends on it."""
        record = self.own_record()
        return recorded_space(record.properties if record else {})

    def outbound_rules(self) -> Any:
        """Return the rules by which closed instances are let out."""
        return self.of_workspace("outbound_rules") or ()

    def store_kind(self) -> str:
        """Return what kind of secret store the workspace has."""
        return store_kind(self.of_workspace("secret_store"))

    def put_tls(self, kept: KeptTls) -> None:
        """Save what the router shows, with keys in clear text."""
        self._records.put(TLS, ROUTER, kept.document)

    def drop_tls(self) -> None:
        """Remove what the router shows, if it speaks TLS."""
        self._records.drop(TLS, ROUTER)

    # -- deployments ---------------------------------------------------------------------------

    def blueprint(self, deployment: str) -> Any:
        """Return a deployment's resolved spec with its secrets, from which instances start.

        None when it is gone or cannot be read: the next apply of the deployment writes a new one.
        """
        try:
            return self.document(BLUEPRINTS, deployment, _blueprint)
        except (TargetError, OSError):
            return None

    def put_blueprint(self, deployment: str, spec: SpecModel) -> None:
        """Save a deployment's resolved spec, with secrets in clear text."""
        self._records.put(BLUEPRINTS, deployment, json.dumps(in_clear(spec)))

    def reservations(self) -> dict[str, Reservation]:
        """Return the reservations of deployments being started, by `<endpoint>/<name>`."""
        return self.section(RESERVATIONS, Reservation.model_validate_json)

    def put_reservation(self, deployment: str, reservation: Reservation) -> None:
        self._records.put(RESERVATIONS, deployment, reservation.model_dump_json())

    def drop_reservation(self, deployment: str) -> None:
        self._records.drop(RESERVATIONS, deployment)

    def is_started_now(self, deployment: str) -> bool:
        """Whether what is reserved for a deployment is not left by somebody who was killed."""
        reserved = self._records.read(RESERVATIONS, deployment)
        return reserved is not None and self.is_changed_now(deployment)

    def is_changed_now(self, deployment: str) -> bool:
        """Whether somebody holds a deployment's lock."""
        with suppress(Busy), self._records.lock(deployment_lock(deployment), wait_s=0):
            return False
        return True

    # -- the router ----------------------------------------------------------------------------

    def is_unpublished(self) -> bool:
        """Whether a change was killed before the router served what it had recorded."""
        if not self._records.section(UNPUBLISHED):
            return False
        try:
            with self._records.lock(PUBLICATION, wait_s=0):
                return bool(self._records.section(UNPUBLISHED))
        except Busy:  # somebody publishes now
            return False

    def named_content(self) -> Iterator[str]:
        """Yield the pinned models and code hashes that are still referenced."""
        for record in self.of_kind(Kind.MODEL):
            yield record.pinned
        for record in self.of_kind(Kind.DEPLOYMENT):
            model, code = (record.properties.get(f) for f in ("model", "code_configuration"))
            if model:
                yield str(Reference.parse(model))
            if code:
                yield code["content_hash"]


def deployment_lock(name: str) -> str:
    """Return the lock that whoever changes a deployment holds."""
    return f"deployment.{name.replace('/', '.')}"


def _name(resource: ResourceId) -> str:
    return f"{resource.kind.value}.{resource.name}"


def _blueprint(document: bytes) -> SpecModel:
    fields = json.loads(document)
    return ROWS[Kind.DEPLOYMENT].model_of(fields).model_validate(fields)
