"""What a workspace's records keep of environments: a document of each, by the hash of its content.

A document is all that new instances need to know. It goes with the last record that names it,
because the spec in it may hold secrets.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from inference_provider.observed import Frozen, Kind, Record
from inference_provider.spec import EnvironmentSpec, Reference
from inference_provider.targets.kept_content import PRUNE_AGE_S, SECTION, document_of, missing
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import State

_KIND = "environment"


class Environment(Frozen):
    """What is recorded of an environment."""

    spec: EnvironmentSpec
    image: str
    """What its instances run in, as the target names images."""
    kept: datetime | None = None
    """When it was last made; not known of those of older releases."""


_parse = Environment.model_validate_json


class KeptEnvironments:
    """The documents of one workspace's environments."""

    def __init__(self, records: Records, state: State) -> None:
        self._records = records
        self._state = state

    def note(self, spec: EnvironmentSpec, image: str) -> None:
        """Record that an environment was made."""
        noted = Environment(spec=spec, image=image, kept=datetime.now(UTC)).model_dump_json()
        self._records.put(SECTION, document_of(_KIND, spec.content_hash), noted)

    def holds(self, digest: str) -> bool:
        return self._records.read(SECTION, document_of(_KIND, digest)) is not None

    def kept(self, digest: str) -> Environment | None:
        """Return what is recorded of an environment, by the hash of its content."""
        return self._state.document(SECTION, document_of(_KIND, digest), _parse)

    def kept_of(self, record: Record) -> Environment | None:
        """Return what is recorded of the environment that a resource is, or runs in."""
        return self.kept(environment_of(record))

    def spec(self, pinned: str) -> EnvironmentSpec:
        """Return a kept environment. Raises TargetError when it is missing."""
        kept = self.kept(Reference.parse(pinned).digest)
        if kept is None:
            raise missing(_KIND, pinned)
        return kept.spec

    def drop(self, record: Record) -> None:
        """Drop the environment that a deleted resource was, unless another names its content."""
        self._drop([document_of(_KIND, environment_of(record))], 0.0)

    def all(self) -> Iterator[Environment]:
        """Yield every environment of which there is a document that can be read."""
        for name in self._records.section(SECTION):
            if name.startswith(f"{_KIND}."):
                found = self._state.readable(SECTION, name, _parse)
                if found is not None:
                    yield found

    def prune(self) -> None:
        """Drop what no record names and that was not made recently."""
        self._drop(self._records.section(SECTION), PRUNE_AGE_S)

    def _drop(self, found: Iterable[str], age_s: float) -> None:
        with self._records.edit():
            records, unreadable = self._state.sorted_out()
            if unreadable:  # which may name any
                return
            used = {document_of(_KIND, environment_of(one)) for one in records}
            for name in {*found} - used:
                if name.startswith(f"{_KIND}.") and self._age_s(name) >= age_s:
                    self._records.drop(SECTION, name)

    def _age_s(self, name: str) -> float:
        """Return how long ago an environment was last made, seconds; unreadable ones are old."""
        found = self._state.readable(SECTION, name, _parse)
        kept = found.kept if found else None
        return (datetime.now(UTC) - kept).total_seconds() if kept else float("inf")


def environment_of(record: Record) -> str:
    """Return the hash of the environment that a resource is, or runs in; empty for any other."""
    if record.id.kind == Kind.ENVIRONMENT:
        return str(record.properties["content_hash"])
    return Reference.parse(record.properties.get("environment") or "").digest
