"""Models and code of a workspace in a cluster, as archives by their hash.

A document in the records says which archive holds some content. The content pod knows how long ago
each was used, so nobody needs a lock: whoever uses one touches it, and who removes one names how
long it must have lain unused.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from pydantic import ValidationError

from inference_provider.errors import TargetUnreachable
from inference_provider.observed import Frozen
from inference_provider.targets.kept_content import (
    CODE,
    INSIDE,
    MODEL,
    PRUNE_AGE_S,
    SECTION,
    Source,
    changed_meanwhile,
    document_of,
    documents_in_use,
    reading,
    unreadable,
)
from inference_provider.targets.kubernetes.content_store import Changed, ContentStore
from inference_provider.targets.tree_archive import TreeArchive
from inference_provider.workspace.ports import Records


class Archive(Frozen):
    """What is recorded of a model or of code."""

    digest: str
    """Hash of the content."""
    archive: str
    """Sha256 of the archive that holds it."""
    size: int
    """Bytes of the archive."""


class KeptArchives:
    """The models and code of one workspace."""

    def __init__(self, store: ContentStore, records: Records) -> None:
        self._store = store
        self._records = records

    def keep(
        self, kind: str, source: Source, tell: Callable[[str], None] = lambda _text: None
    ) -> Archive:
        """Copy content into the cluster unless it is kept; return its archive.

        Raises:
            TargetError: It cannot be read, or has changed since the plan.
            OutOfCapacity: The volume is full.
        """
        noted = self.noted(kind, source.content_hash)
        if noted is not None and self._store.has(noted.archive):
            return noted
        archive = self._copied(source, tell)
        self._records.put(SECTION, document_of(kind, archive.digest), archive.model_dump_json())
        return archive

    def _copied(self, source: Source, tell: Callable[[str], None]) -> Archive:
        """Read content twice: its name is the hash of all that is sent."""
        try:
            with reading(source):
                content = source.find()
                first, hashed, size = TreeArchive(content, INSIDE), hashlib.sha256(), 0
                for part in first:
                    hashed.update(part)
                    size += len(part)
                if content.digest_of(first.hashes) != source.content_hash:
                    raise changed_meanwhile(source)
                name = hashed.hexdigest()
                if not self._store.has(name):
                    tell(f"copying {source.written} to the cluster")
                    self._store.put(name, size, lambda: iter(TreeArchive(content, INSIDE)))
        except OSError as fault:
            raise unreadable(source, fault) from fault
        except Changed as fault:
            raise changed_meanwhile(source) from fault
        return Archive(digest=source.content_hash, archive=name, size=size)

    def noted(self, kind: str, digest: str) -> Archive | None:
        """Return what is recorded of some content; None where that cannot be read."""
        document = self._records.read(SECTION, document_of(kind, digest))
        try:
            return Archive.model_validate_json(document) if document else None
        except ValidationError:
            return None

    def gone(self, kind: str, digest: str) -> str:
        """Say why content is not there; empty when it is."""
        noted = self.noted(kind, digest)
        if noted is None:
            return "it was never copied to the end"
        there = noted.archive in self._store.listed().assets
        return "" if there else "it is no longer on the content volume"

    def changed(self, kind: str, digest: str) -> str:
        """Return empty: an archive whose bytes have changed is another one."""
        del kind, digest
        return ""

    def remove(self, kind: str, digest: str) -> None:
        """Remove content, and the archive unless other content is in the same."""
        noted = self.noted(kind, digest)
        self._records.drop(SECTION, document_of(kind, digest))
        if noted is not None and noted.archive not in {one.archive for _, one in self._all()}:
            with suppress(TargetUnreachable):  # nothing names it any more, so it is pruned later
                self._store.remove(noted.archive)

    def prune(self, named: Iterable[str], environments: Iterable[str]) -> None:
        """Remove what nothing references and nobody has used recently.

        Args:
            named: Pinned models and hashes of code that are referenced.
            environments: Keys of the environments that are.
        """
        there, keys = self._store.listed(fresh=True), set(environments)
        used = documents_in_use(named)
        noted = [*self._all()]
        kept = {one.archive for name, one in noted if name in used}
        lost = {one.archive for name, one in noted if name not in used} - there.assets.keys()
        for name, digest in there.environments.items():
            if name.partition(".")[0] in keys:
                kept.add(digest)
            elif there.assets.get(digest, PRUNE_AGE_S) >= PRUNE_AGE_S:
                self._store.forget(name)
        old = [d for d, idle_s in there.assets.items() if idle_s >= PRUNE_AGE_S and d not in kept]
        gone = {digest for digest in old if self._store.remove(digest, PRUNE_AGE_S)}
        if gone or lost:
            self._drop_gone(gone | lost, used)

    def _drop_gone(self, gone: set[str], used: set[str]) -> None:
        """Drop the documents of archives, unless somebody has copied one again meanwhile."""
        with self._records.edit():
            there = self._store.listed(fresh=True).assets
            for name, one in [*self._all()]:
                if one.archive in gone and one.archive not in there and name not in used:
                    self._records.drop(SECTION, name)

    def _all(self) -> Iterator[tuple[str, Archive]]:
        """Yield name and content of every document of a model or of code."""
        for name, document in self._records.section(SECTION).items():
            if name.startswith((f"{MODEL}.", f"{CODE}.")):
                try:
                    yield name, Archive.model_validate_json(document)
                except ValidationError:
                    continue
