"""The Content of a workspace on a Docker host: volumes of models and code, images of environments.

A volume is filled once, through a container that is never started, and then only read. A document
in the records says that it is complete: what a killed client left of one counts for nothing. The
document of an environment holds its spec and the id of its image.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import ValidationError

from inference_provider.desired import DesiredResource
from inference_provider.errors import Busy, OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.observed import Frozen, Kind, Record, ResourceId
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, Reference
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import TreeArchive
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import Images
from inference_provider.targets.docker.records import EMPTY_IMAGE, HostRecords
from inference_provider.targets.kept_content import (
    PRUNE_AGE_S,
    Source,
    changed_meanwhile,
    missing,
    reading,
    source_of_code,
    source_of_model,
)
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State, corrupt

SECTION = "content"
MODEL, CODE = "model", "code"
MOUNTED = "/var/azureml"
"""Folder of a container with the volumes `code` and `model`; `content` in each is the content."""
FILL_LIMIT_S = 3600.0
_INSIDE = "content"
_NOTED_AGAIN_S = 600.0
"""The time of the last use is written down when that much of it has passed."""
_FRESH_S = 0.5
"""How long a list of what the host has counts as new: an observation asks for each resource."""


class _Volume(Frozen):
    """What is recorded of a volume that is complete."""

    digest: str
    kept: datetime


class _Environment(Frozen):
    """What is recorded of an environment."""

    spec: EnvironmentSpec
    image: str
    """Id of its image."""


class _There(NamedTuple):
    """What a host has."""

    volumes: frozenset[str]
    images: frozenset[str]
    asked_s: float


class DockerContent:
    """Kept content of one workspace."""

    def __init__(self, host: DockerHost, records: HostRecords, images: Images) -> None:
        self._host = host
        self._records = records
        self._images = images
        self._state = State(records)
        self._parsed: dict[str, tuple[bytes, EnvironmentSpec]] = {}
        self._seen: _There | None = None

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        spec = desired.spec
        if isinstance(spec, ModelSpec):
            self._keep(MODEL, source_of_model(spec, desired.base_dir), tell)
        elif isinstance(spec, EnvironmentSpec):
            image = self._images.environment(
                spec, self._base_image(), tell, secrets=desired.placeholders
            )
            self._note_environment(spec, image)
        elif isinstance(spec, DeploymentSpec):
            code = source_of_code(spec, desired.base_dir)
            if code is not None:
                self._keep(CODE, code, tell)

    def _base_image(self) -> str | None:
        """Return the base image that the workspace names, if it names one."""
        name = self._records.workspace
        record = self._state.record(ResourceId(kind=Kind.WORKSPACE, workspace=name, name=name))
        return record.properties.get("base_image") if record else None

    # -- what is kept --------------------------------------------------------------------------

    def holds(self, kind: Kind, pinned: str) -> bool:
        digest = Reference.parse(pinned).digest
        if kind == Kind.MODEL:
            return not self._volume_fault(MODEL, digest)
        return self._records.read(SECTION, _named("environment", digest)) is not None

    def environment(self, pinned: str) -> EnvironmentSpec:
        digest = Reference.parse(pinned).digest
        name = _named("environment", digest)
        document = self._records.read(SECTION, name)
        if document is None:
            raise missing("environment", pinned)
        known = self._parsed.get(name)
        if known is None or known[0] is not document:
            known = document, self._read_environment(name, document).spec
            self._parsed[name] = known
        return known[1]

    def _read_environment(self, name: str, document: bytes) -> _Environment:
        try:
            return _Environment.model_validate_json(document)
        except ValidationError:
            raise corrupt(self._records.place(SECTION, name)) from None

    def _note_environment(self, spec: EnvironmentSpec, image: str) -> None:
        noted = _Environment(spec=spec, image=image).model_dump_json()
        self._records.put(SECTION, _named("environment", spec.content_hash), noted)

    def fault(self, record: Record) -> str:
        fields = record.properties
        code = fields.get("code_configuration")
        if record.id.kind == Kind.MODEL:
            fault = self._volume_fault(MODEL, fields["content_hash"])
            return f"its kept content is gone: {fault}" if fault else ""
        if record.id.kind == Kind.DEPLOYMENT and code:
            fault = self._volume_fault(CODE, code["content_hash"])
            return f"its kept code is gone: {fault}" if fault else ""
        if record.id.kind == Kind.ENVIRONMENT:
            return self._environment_fault(fields["content_hash"])
        return ""

    def _volume_fault(self, kind: str, digest: str) -> str:
        if self._records.read(SECTION, _named(kind, digest)) is None:
            return "it was never copied to the end"
        volume = self._volume(kind, digest)
        return "" if volume in self._there().volumes else f"volume {volume} was removed"

    def _environment_fault(self, digest: str) -> str:
        name = _named("environment", digest)
        document = self._records.read(SECTION, name)
        if document is None:
            return "what it is built from is gone"
        image = self._read_environment(name, document).image
        return "" if image in self._there().images else f"its image {image[:19]} was removed"

    def _there(self) -> _There:
        """Return what the host has, asked for once in an observation."""
        seen = self._seen
        if seen is None or time.monotonic() - seen.asked_s > _FRESH_S:
            asked_s = time.monotonic()
            volumes = frozenset(self._host.volumes(self._selecting))
            self._seen = seen = _There(volumes, frozenset(self._host.image_ids()), asked_s)
        return seen

    @property
    def _selecting(self) -> dict[str, list[str]]:
        return dict(names.selecting(self._records.workspace, names.CONTENT))

    def _volume(self, kind: str, digest: str) -> str:
        return names.content(self._records.workspace, kind, digest)

    # -- what an instance is given -------------------------------------------------------------

    def image(self, environment: EnvironmentSpec) -> str:
        """Return the id of the image of a kept environment, which is made again if it is gone."""
        name = _named("environment", environment.content_hash)
        document = self._records.read(SECTION, name)
        if document is not None:
            image = self._read_environment(name, document).image
            if self._host.has_image(image):
                return image
        image = self._images.environment(environment, self._base_image())
        self._note_environment(environment, image)
        return image

    def mounts(self, unit: Unit) -> list[str]:
        """Return the volumes that an instance reads, `<volume>:<folder>:ro`, all complete.

        Code is at `/var/azureml/code/content`, a model's folder or file in
        `/var/azureml/model/content`.

        Raises:
            TargetError: The model is gone, or the code and its source are.
        """
        found = []
        code = source_of_code(unit.spec, unit.base_dir)
        if code is not None:
            self._keep(CODE, code)
            found.append(f"{self._volume(CODE, code.content_hash)}:{MOUNTED}/{CODE}:ro")
        if unit.spec.model is not None:
            digest = Reference.parse(unit.spec.model).digest
            self._seen = None  # a volume that is mounted and not there would be made, empty
            if self._volume_fault(MODEL, digest):
                raise missing("model", unit.spec.model)
            found.append(f"{self._volume(MODEL, digest)}:{MOUNTED}/{MODEL}:ro")
        return found

    # -- a volume ------------------------------------------------------------------------------

    def _keep(
        self, kind: str, source: Source, tell: Callable[[str], None] = lambda _text: None
    ) -> None:
        """Copy content into its volume, whole or not at all, unless it is kept."""
        digest = source.content_hash
        if self._is_kept(kind, digest) and self._age_s(_named(kind, digest)) < _NOTED_AGAIN_S:
            return
        with self._alone(kind, digest, FILL_LIMIT_S):
            with self._records.edit():  # which reads what another client has kept or removed now
                kept = self._is_kept(kind, digest)
            if not kept:
                tell(f"copying {source.written} to the host")
                self._fill(kind, source)
            self._note(kind, digest)  # in use again, so `prune` leaves it
            self._seen = None

    def _alone(self, kind: str, digest: str, wait_s: float) -> AbstractContextManager[None]:
        return self._records.lock(f"{SECTION}.{_named(kind, digest)}", wait_s)

    def _is_kept(self, kind: str, digest: str) -> bool:
        self._seen = None
        return not self._volume_fault(kind, digest)

    def _note(self, kind: str, digest: str) -> None:
        noted = _Volume(digest=digest, kept=datetime.now(UTC))
        self._records.put(SECTION, _named(kind, digest), noted.model_dump_json())

    def _age_s(self, name: str) -> float:
        document = self._records.read(SECTION, name)
        try:
            noted = _Volume.model_validate_json(document or b"")
        except ValidationError:
            return float("inf")
        return (datetime.now(UTC) - noted.kept).total_seconds()

    def _fill(self, kind: str, source: Source) -> None:
        volume = self._volume(kind, source.content_hash)
        filler = f"{volume}.filling"
        labels = names.labels(self._records.workspace, names.CONTENT)
        self._host.remove(filler)  # of a client that was killed
        self._remove_volume(volume)
        try:
            with self._host.asked("copy", f"'{source.written}'") as api:
                api.create_volume(volume, labels=labels)
                bound = api.create_host_config(binds=[f"{volume}:/volume"])
                api.create_container(
                    EMPTY_IMAGE, ["-"], name=filler, labels=labels, host_config=bound
                )
            self._copy(source, filler)
        except BaseException:
            self._host.remove(filler)
            self._remove_volume(volume)
            raise
        self._host.remove(filler)

    def _copy(self, source: Source, filler: str) -> None:
        try:
            with reading(source):
                content = source.find()
                archive = TreeArchive(content, _INSIDE)
                self._send(archive, filler, source.written)
        except OSError as fault:
            reason = f"cannot read '{fault.filename}': {fault.strerror}"
            remedy = "make it readable for this user"
            raise TargetError("copy", f"'{source.written}'", reason, remedy) from fault
        if content.digest_of(archive.hashes) != source.content_hash:
            raise changed_meanwhile(source)

    def _send(self, archive: TreeArchive, filler: str, written: str) -> None:
        try:
            self._host.put_files(filler, "/volume", archive)
        except TargetUnreachable as lost:
            if archive.fault is not None:
                raise archive.fault from None
            if self._host.container(filler) is None:
                raise
            reason = "the Engine broke the copy off; the host's disk may be full"
            remedy = "free some space there, then run this again"
            place = str(self._host)
            raise OutOfCapacity("copy", f"'{written}'", reason, remedy, place) from lost

    def _remove_volume(self, volume: str) -> bool:
        """Remove a volume, unless a container has it; return whether it is gone."""
        self._seen = None
        try:
            self._host.remove_volume(volume)
        except TargetUnreachable:
            raise
        except TargetError:
            return False
        return True

    # -- what goes -----------------------------------------------------------------------------

    def drop(self, record: Record) -> None:
        if record.id.kind == Kind.MODEL:
            digest = record.properties["content_hash"]
            used = {Reference.parse(one).digest for one in self._state.named_content()}
            if digest not in used:  # another version may have the same files
                self._remove(MODEL, digest, 0.0)

    def prune(self, named: Iterable[str], age_s: float = PRUNE_AGE_S) -> None:
        """Remove models and code that nothing references and that were last kept longer ago."""
        pinned = [(Reference.parse(one).digest, one) for one in named]
        used = {_named(MODEL, d) if d else _named(CODE, one) for d, one in pinned}
        for kind, digest in [*self._volumes()]:
            name = _named(kind, digest)
            if name not in used and self._age_s(name) > age_s:
                self._remove(kind, digest, age_s)

    def _volumes(self) -> Iterator[tuple[str, str]]:
        """Yield kind and shortened digest of every volume, complete or not."""
        for volume in self._host.volumes(self._selecting):
            kind, digest = volume.split(".")[-2:]
            yield kind, digest

    def _remove(self, kind: str, digest: str, age_s: float) -> None:
        """Remove a volume and what is recorded of it, unless somebody uses or fills it."""
        with suppress(Busy), self._alone(kind, digest, 0):
            name, volume = _named(kind, digest), self._volume(kind, digest)
            with self._records.edit():  # as above
                is_old = self._age_s(name) >= age_s
            if is_old:
                self._host.remove(f"{volume}.filling")
                if self._remove_volume(volume):
                    self._records.drop(SECTION, name)

    def delete(self) -> None:
        """Remove every volume of the workspace, whatever it holds."""
        for container in self._host.containers(self._selecting):
            self._host.remove(container["Id"])
        for volume in self._host.volumes(self._selecting):
            self._host.remove_volume(volume)
        self._seen = None


def _named(kind: str, digest: str) -> str:
    return f"{kind}.{digest[:32]}"
