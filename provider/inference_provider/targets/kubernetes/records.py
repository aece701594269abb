"""The Records of a workspace in a cluster: a Secret a document (`snapshot.py`), locks by Leases.

The revision counts edits. A client that has read one revision reads only its number until another
client has edited. Every write names the version that it replaces, so a client that lost its lock
without noticing writes nothing.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from inference_provider.errors import OutOfCapacity, OwnedByAnother, TargetError
from inference_provider.observed import Actor, JournalEntry
from inference_provider.targets.documents import Sections, journal_of
from inference_provider.targets.kubernetes import names, snapshot
from inference_provider.targets.kubernetes.applied import foreign
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.locks import Held, LeaseLocks
from inference_provider.targets.kubernetes.objects import (
    CONFIG_MAP,
    SECRET,
    Object,
    labels_of,
    name_of,
    selector,
    version_of,
)
from inference_provider.targets.kubernetes.refusals import Conflict, NamespaceEnds, NotThere
from inference_provider.targets.kubernetes.snapshot import REVISION, Snapshot, Writer, secret_name
from inference_provider.targets.kubernetes.together import Together
from inference_provider.targets.shared_documents import SharedDocuments
from inference_provider.workspace.state import RECORDS

T = TypeVar("T")

_AT_ONCE, _FEW = 8, 2
_FRESH_S = 1.0
"""A look at a large workspace takes about as long, and reads its records once."""
_EDIT, _HOLD = "edit", "up"
_JOURNAL = "inference.journal"
_JOURNAL_ENTRIES, _JOURNALS = 500, 10
"""Entries of one ConfigMap of the journal, and how many of them are kept."""
_TAKEN = 20
"""Names of the ring that others may have taken, one after another."""
_JOURNAL_BYTES, _LINE_BYTES, _FIELDS = 400_000, 5_000, 20
"""Size from which on the next ConfigMap is begun, which may have a mebibyte; of one entry; and how
many fields of a longer one are kept."""


class ClusterRecords(SharedDocuments):
    """Documents and journal of one workspace."""

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        self.workspace = workspace
        self.namespace = namespace
        self._client = client
        self._locks = LeaseLocks(client, namespace, workspace)
        self._store: _Store = _Store(client, Writer(workspace, namespace), self._locks)
        super().__init__(self._store, _FRESH_S)
        self._journal = _Journal(client, namespace, workspace)
        self._holding: tuple[ExitStack, Actor] | None = None
        """Who is to hold the workspace once its namespace is there."""

    def make(self) -> None:
        """Make what an edit begins with, unless it is there.

        Raises:
            OwnedByAnother: The namespace has another workspace.
        """
        first = self._store.writer.revision(0, owners=())
        with suppress(Conflict):
            self._client.create(first)
        self.refuse_another()
        self._forget()

    def refuse_another(self) -> None:
        """Raise OwnedByAnother if the namespace has another workspace: names repeat in it."""
        if other := self.another():
            place, reason = f"namespace '{self.namespace}'", f"it has workspace '{other}'"
            raise OwnedByAnother("use", place, reason, "name another namespace", str(self._client))

    def another(self) -> str:
        """Return the workspace that the namespace has instead of this one; empty for none."""
        there = self._client.get(SECRET, self.namespace, REVISION)
        found = labels_of(there).get(names.WORKSPACE, "") if there else ""
        return "" if found == self.workspace else found

    def delete(self) -> None:
        """Remove all documents, the journal and the locks."""
        for kind, role in ((SECRET, names.RECORD), (CONFIG_MAP, names.JOURNAL)):
            chosen = selector(names.selecting(self.workspace, role))
            self._client.delete_all(kind, self.namespace, chosen)
        self._locks.clear()
        self._forget()

    # -- documents -----------------------------------------------------------------------------

    def put(self, section: str, name: str, text: str) -> None:
        if (size := snapshot.length_in_edit(text)) > snapshot.LONGEST_BYTES:
            reason = f"{size:,} bytes, and a Secret holds {snapshot.LONGEST_BYTES:,}"
            raise OutOfCapacity("write", self.place(section, name), reason, "make it smaller")
        super().put(section, name, text)

    def commit(self) -> int:
        """Let others read what this thread's edit has done so far; return its revision.

        When the edit is undone, the documents from before it are a revision of their own.
        """
        self._commit()
        return self._store.revision

    def _commit(self) -> None:
        records = self._documents.everything().get(RECORDS, {}).values()  # in any order
        self._store.owners = snapshot.owners_of(filter(None, records))
        super()._commit()

    def edited(self) -> Iterator[str]:
        """Say which documents somebody has changed past every client, who and when."""
        self.exists()  # read them, if nobody has
        for name, said in self._store.edited.items():
            yield f"{SECRET.name} {name}: {said}"

    def take_over(self) -> None:
        """Count the documents that somebody has changed as ours: what they say now is recorded."""
        with self._locks.lock(_EDIT):
            for one in self._store.listed():
                if foreign(one):
                    about = {**one["metadata"], "managedFields": [{}]}
                    self._client.replace({**one, "metadata": about})
            self._forget()  # before another thread edits what this would empty

    @contextmanager
    def lock(self, name: str, wait_s: float | None = None) -> Iterator[None]:
        with self._locks.lock(name, wait_s):
            self._expire()
            yield

    def refuse_lost(self) -> None:
        """Raise Busy if another client may change what this one does by now."""
        self._locks.refuse_lost()

    @contextmanager
    def hold(self, actor: Actor) -> Iterator[None]:
        with ExitStack() as held:
            self._holding = held, actor
            try:
                with suppress(NotThere, NamespaceEnds):  # `hold_made` does it once there is one
                    self.hold_made()
                yield
            finally:
                self._holding = None

    def hold_made(self) -> None:
        """Keep others out of a workspace whose namespace is there now, if somebody holds it.

        Raises:
            Busy: Somebody else holds it already.
        """
        if self._holding is not None:
            held, actor = self._holding
            held.enter_context(self._locks.lock(_HOLD, 0, str(actor)))
            self._locks.tidy()
            self._expire()
            self._holding = None

    def place(self, section: str, name: str) -> str:
        called = secret_name(section, name)
        return f"Secret {called} of namespace '{self.namespace}' in {self._client}"

    def note(self, entry: JournalEntry) -> None:
        self._journal.append(entry)

    def journal(self) -> tuple[JournalEntry, ...]:
        return self._journal.entries()


class _Store:
    """Documents as Secrets."""

    def __init__(self, client: Client, writer: Writer, locks: LeaseLocks) -> None:
        self.writer = writer
        self._client = client
        self._locks = locks
        self._seen = Snapshot(0, {}, {}, (), {})
        self._held: Held | None = None
        self.owners: frozenset[str] | None = None
        """The stacks that own something after the next write; None if that is not known."""

    @property
    def revision(self) -> int:
        """Number of the last edit that this process has read or made."""
        return self._seen.revision

    @property
    def edited(self) -> Mapping[str, str]:
        """What somebody has changed past every client, as it was when all was last listed."""
        return self._seen.edited

    def forget(self) -> None:
        self._seen = Snapshot(0, {}, {}, (), {})

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._locks.lock(_EDIT) as held:
            self._held = held
            yield

    def read(self) -> Sections | None:
        namespace = self.writer.namespace
        now = self._client.get(SECRET, namespace, REVISION)
        if now is not None and version_of(now) == self._seen.versions.get(REVISION):
            return None
        if now is None or labels_of(now).get(names.WORKSPACE) != self.writer.workspace:
            self._refuse_orphans()
            self.forget()
            return {}
        self._seen = snapshot.read(self.listed())
        return self._seen.documents

    def _refuse_orphans(self) -> None:
        """Raise if records are there: nobody may take their workspace for one that is gone."""
        if snapshot.read(self.listed()).documents.get(RECORDS):
            place = f"Secret '{REVISION}' in namespace '{self.writer.namespace}'"
            reason = f"it is gone or has lost its labels, and records of '{self.writer.workspace}'"
            remedy = "restore it from a copy of the namespace; nothing was changed"
            raise TargetError("read", place, f"{reason} are there", remedy, str(self._client))

    def listed(self) -> list[Object]:
        chosen = selector(names.selecting(self.writer.workspace, names.RECORD))
        return self._client.items(SECRET, self.writer.namespace, chosen)

    def write(self, changed: Sections) -> None:
        seen = self._known()
        self._seen = seen._replace(versions={})
        owners, self.owners = self.owners, None
        if REVISION not in seen.versions:
            return  # the workspace was deleted in this edit
        self._refuse_lost()
        versions = dict(seen.versions)
        if seen.intents:  # a client died before it had put its edit in place
            self._put_in_place(seen.pending, versions)
        number = seen.revision + 1
        intent = f"{number}.{uuid.uuid4().hex[:8]}"
        made = [name_of(self._client.create(one)) for one in self.writer.intents(intent, changed)]
        self._refuse_lost()
        revision = self.writer.revision(number, intent, versions[REVISION], owners)
        try:
            versions[REVISION] = version_of(self._client.replace(revision))
        except Conflict:
            self._delete(made)
            raise self._locks.taken_over() from None
        # whoever lost its lock before it had committed cannot commit any more: its intent may go
        self._seen = Snapshot(number, {}, versions, (*made, *seen.intents), changed)

    def _known(self) -> Snapshot:
        """Return what was read, or is there now where what follows a write has failed.

        Raises:
            Busy: Another client has written since.
        """
        seen = self._seen
        if REVISION in seen.versions or not seen.revision:
            return seen
        found = snapshot.read(self.listed())
        if found.revision != seen.revision:
            raise self._locks.taken_over()
        return found

    def settle(self) -> None:
        seen, self._seen = self._seen, self._seen._replace(versions={})
        versions = dict(seen.versions)
        with suppress(TargetError):  # the next edit does it
            self._put_in_place(seen.pending, versions)
            self._delete(seen.intents)
            self._seen = Snapshot(seen.revision, {}, versions, (), {})

    def _refuse_lost(self) -> None:
        """Raise Busy if this edit, or what it is a step of, may be another client's by now."""
        self._locks.refuse_lost()
        if self._held is not None and self._held.lost:
            raise self._locks.taken_over()

    def _put_in_place(self, changed: Sections, versions: dict[str, str]) -> None:
        todo = [(s, n, document) for s, found in changed.items() for n, document in found.items()]

        def put(one: tuple[str, str, bytes | None]) -> None:
            self._refuse_lost()  # who has taken it over does this, and may have dropped some since
            section, name, document = one
            called = secret_name(section, name)
            version = versions.pop(called, "")
            if document is None:
                self._client.delete(SECRET, self.writer.namespace, called, version=version)
                return
            secret = self.writer.document(section, name, document, version)
            write = self._client.replace if version else self._created
            versions[called] = version_of(write(secret))

        _side_by_side(put, todo)

    def _created(self, secret: Object) -> Object:
        """Make a document; one that is there and that no list finds for its labels is replaced."""
        try:
            return self._client.create(secret)
        except Conflict:
            there = self._client.get_like(secret)
            if there is None or not snapshot.has_lost_labels(there, secret):
                raise
            about = {**secret["metadata"], "resourceVersion": version_of(there)}
            return self._client.replace({**secret, "metadata": about})

    def _delete(self, secrets: Iterable[str]) -> None:
        namespace = self.writer.namespace
        _side_by_side(lambda name: self._client.delete(SECRET, namespace, name), list(secrets))


class _Journal:
    """Entries in a ring of ConfigMaps; one is added by one request, without a lock."""

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = names.labels(workspace, names.JOURNAL)
        self._selector = selector(names.selecting(workspace, names.JOURNAL))
        self._name = ""
        self.append = Together[JournalEntry, None](self._append)

    def _append(self, entries: Sequence[JournalEntry]) -> None:
        lines = {
            f"{entry.time:%Y%m%dT%H%M%S.%f}.{uuid.uuid4().hex[:6]}": _line(entry)
            for entry in entries
        }
        change = {"data": lines}
        try:
            there = self._add(change)
        except NotThere:  # the ring has gone round since, or the workspace was made again
            self._name = ""
            there = self._add(change)
        size = sum(map(len, there["data"].values()))
        if len(there["data"]) >= _JOURNAL_ENTRIES or size >= _JOURNAL_BYTES:
            self._name = self._begin(int(self._name.rpartition(".")[2]) + 1)

    def _add(self, change: Object) -> Object:
        if not self._name:
            self._name = next(reversed(self._names()), "") or self._begin(1)
        return self._client.merge(CONFIG_MAP, self._namespace, self._name, change)

    def _names(self) -> list[str]:
        return sorted(map(name_of, self._listed()))

    def _listed(self) -> list[Object]:
        return self._client.items(CONFIG_MAP, self._namespace, self._selector)

    def _begin(self, number: int) -> str:
        """Begin a ConfigMap of the ring, and remove the oldest."""
        for free in range(number, number + _TAKEN + 1):
            name = f"{_JOURNAL}.{free:06d}"
            about = {"name": name, "namespace": self._namespace, "labels": self._labels}
            one = {"apiVersion": CONFIG_MAP.api, "kind": CONFIG_MAP.name, "metadata": about}
            try:
                self._client.create(one)
                break
            except Conflict:
                if name in self._names():  # another client was first
                    break
                if free == number + _TAKEN:
                    raise
                # else it is somebody else's, or has lost its labels
        for old in self._names()[:-_JOURNALS]:
            self._client.delete(CONFIG_MAP, self._namespace, old)
        return name

    def entries(self) -> tuple[JournalEntry, ...]:
        lines = [item for one in self._listed() for item in (one.get("data") or {}).items()]
        return journal_of(text for _, text in sorted(lines))


def _line(entry: JournalEntry) -> str:
    text = entry.model_dump_json()
    if len(text) <= _LINE_BYTES:
        return text
    shown = (*entry.fields[:_FIELDS], f"and {len(entry.fields) - _FIELDS} more")
    return entry.model_copy(update={"fields": shown}).model_dump_json()


def _side_by_side(do: Callable[[T], object], todo: Sequence[T]) -> None:
    """Do something with each, several at once."""
    if len(todo) <= _FEW:
        for one in todo:
            do(one)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(do, todo))
