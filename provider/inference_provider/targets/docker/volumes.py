"""Volumes of models and code on a Docker host, by the hash of what is in them.

A volume is filled once, through a container that is never started, and then only read. A document
in the records says that it is complete: what a killed client left of one counts for nothing. One
that a person has changed stays until the instances that read it are replaced; its successor has
another number.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ConfigDict

from inference_provider.errors import Busy, OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.observed import Frozen
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import VOLUME, HostRecords, hold_volume
from inference_provider.targets.docker.sealed import Mount, edited, noted
from inference_provider.targets.kept_content import (
    CODE,
    INSIDE,
    MODEL,
    MOUNTED,
    PRUNE_AGE_S,
    SECTION,
    Source,
    changed_meanwhile,
    document_of,
    documents_in_use,
    reading,
    unreadable,
)
from inference_provider.targets.tree_archive import TreeArchive
from inference_provider.workspace.state import State

_PLACES = (f"{MOUNTED}/{MODEL}", f"{MOUNTED}/{CODE}")
FILL_LIMIT_S = 3600.0
_NOTED_AGAIN_S = 600.0
"""The time of the last use is written down when that much of it has passed."""
_FRESH_S = 0.5
"""How long a list of what the host has counts as new: an observation asks for each resource."""


class _Volume(Frozen):
    """What is recorded of a volume that is complete."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    digest: str
    kept: datetime
    number: int = 0
    """Which of the volumes that have held it, if a person has changed one."""
    files: dict[str, int] = {}
    """Sizes of its files, by path, as far as they are looked at."""


class There(NamedTuple):
    """What a host has."""

    volumes: frozenset[str]
    images: frozenset[str]
    instances: tuple[Mapping[str, Any], ...]
    """Containers of the workspace's instances, as they are listed."""
    asked_s: float


class Volumes:
    """The volumes of one workspace's content."""

    def __init__(self, host: DockerHost, records: HostRecords) -> None:
        self._host = host
        self._records = records
        self._state = State(records)
        self._seen: There | None = None

    def keep(
        self,
        kind: str,
        source: Source,
        tell: Callable[[str], None] = lambda _text: None,
        *,
        renew: bool = True,
    ) -> None:
        """Copy content into its volume, whole or not at all, unless it is kept.

        Args:
            kind: `model` or `code`.
            source: Where it is on this machine.
            tell: Told that it is copied.
            renew: Whether to copy it, too, if a person has changed the copy.
        """
        digest = source.content_hash
        kept = self._is_kept(kind, digest, renew=renew)
        if kept and self._age_s(document_of(kind, digest)) < _NOTED_AGAIN_S:
            return
        with self._alone(kind, digest, FILL_LIMIT_S):
            with self._records.edit():  # which reads what another client has kept or removed now
                kept = self._is_kept(kind, digest, renew=renew)
            found = self._noted(kind, digest)
            if found is None or not kept:
                tell(f"copying {source.written} to the host")
                found = self._fill(kind, source, found.number if found else 0)
            self._note(kind, found)  # in use again, so `prune` leaves it
            self._seen = None

    def _alone(self, kind: str, digest: str, wait_s: float) -> AbstractContextManager[None]:
        return self._records.lock(f"{SECTION}.{document_of(kind, digest)}", wait_s)

    def _is_kept(self, kind: str, digest: str, *, renew: bool) -> bool:
        self._seen = None
        if self.gone(kind, digest):
            return False
        return not renew or not self.changed(kind, digest)

    def look_again(self) -> None:
        """Forget what the host had, so that it is asked again."""
        self._seen = None

    def _note(self, kind: str, volume: _Volume) -> None:
        used = volume.model_copy(update={"kept": datetime.now(UTC)})
        self._records.put(SECTION, document_of(kind, volume.digest), used.model_dump_json())

    def _noted(self, kind: str, digest: str) -> _Volume | None:
        return self._read(document_of(kind, digest))

    def _read(self, name: str) -> _Volume | None:
        return self._state.readable(SECTION, name, _Volume.model_validate_json)

    def _age_s(self, name: str) -> float:
        found = self._read(name)
        return (datetime.now(UTC) - found.kept).total_seconds() if found else float("inf")

    def gone(self, kind: str, digest: str) -> str:
        """Say why content is not there; empty when it is."""
        if self._records.read(SECTION, document_of(kind, digest)) is None:
            return "it was never copied to the end"
        volume = self.name(kind, digest)
        return "" if volume in self.there().volumes else f"volume {volume} was removed"

    def changed(self, kind: str, digest: str) -> str:
        """Say what a person has changed in a volume that an instance mounts."""
        found, volume = self._noted(kind, digest), self.name(kind, digest)
        mounts = (
            Mount(one["Id"], mount["Destination"])
            for one in self.there().instances
            for mount in one["Mounts"]
            if mount.get("Name") == volume
        )
        mount = next(mounts, None)
        if found is None or mount is None:
            return ""
        fault = edited(self._host, mount, found.files)
        return f"{fault} in volume {volume}" if fault else ""

    def there(self) -> There:
        """Return what the host has, asked for once in an observation."""
        seen = self._seen
        if seen is None or time.monotonic() - seen.asked_s > _FRESH_S:
            asked_s = time.monotonic()
            volumes = frozenset(self._host.volumes(self._selecting))
            images = frozenset(self._host.image_ids())
            selecting = names.selecting(self._records.workspace, names.INSTANCE)
            instances = tuple(self._host.containers(selecting))
            self._seen = seen = There(volumes, images, instances, asked_s)
        return seen

    @property
    def _selecting(self) -> dict[str, list[str]]:
        return dict(names.selecting(self._records.workspace, names.CONTENT))

    def name(self, kind: str, digest: str) -> str:
        """Return the name of the volume that holds some content now."""
        found = self._noted(kind, digest)
        return names.content(self._records.workspace, kind, digest, found.number if found else 0)

    def _fill(self, kind: str, source: Source, number: int = 0) -> _Volume:
        digest = source.content_hash
        while not self._emptied(kind, digest, number):  # an instance reads it, until it is replaced
            number += 1
        volume = names.content(self._records.workspace, kind, digest, number)
        filler = f"{volume}.filling"
        labels = names.labels(self._records.workspace, names.CONTENT)
        try:
            hold_volume(self._host, volume, filler, labels)
            sizes = self._copy(source, filler)
        except BaseException:
            self._host.remove(filler)
            self._remove_volume(volume)
            raise
        self._host.remove(filler)
        return _Volume(digest=digest, kept=datetime.now(UTC), number=number, files=noted(sizes))

    def _emptied(self, kind: str, digest: str, number: int) -> bool:
        volume = names.content(self._records.workspace, kind, digest, number)
        self._host.remove(f"{volume}.filling")  # of a client that was killed
        return self._remove_volume(volume)

    def _copy(self, source: Source, filler: str) -> dict[str, int]:
        try:
            with reading(source):
                content = source.find()
                archive = TreeArchive(content, INSIDE)
                self._send(archive, filler, source.written)
        except OSError as fault:
            raise unreadable(source, fault) from fault
        if content.digest_of(archive.hashes) != source.content_hash:
            raise changed_meanwhile(source)
        return archive.sizes

    def _send(self, archive: TreeArchive, filler: str, written: str) -> None:
        try:
            self._host.put_files(filler, VOLUME, archive)
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

    def prune(self, named: Iterable[str], age_s: float = PRUNE_AGE_S) -> None:
        """Remove models and code that nothing references and that were last kept longer ago."""
        used = documents_in_use(named)
        for kind, digest in [*self._volumes()]:
            name = document_of(kind, digest)
            if name not in used and self._age_s(name) > age_s:
                self.remove(kind, digest, age_s)
        for volume in self._host.volumes(self._selecting):
            kind, digest = names.kind_and_digest(volume)
            if volume == self.name(kind, digest):
                continue
            with suppress(Busy), self._alone(kind, digest, 0):
                if volume != self.name(kind, digest):  # changed by hand, and no longer read
                    self._remove_volume(volume)

    def _volumes(self) -> Iterable[tuple[str, str]]:
        """Return kind and shortened digest of every volume, complete or not."""
        return {names.kind_and_digest(one) for one in self._host.volumes(self._selecting)}

    def _numbers(self, kind: str, digest: str) -> Iterator[int]:
        first = names.content(self._records.workspace, kind, digest)
        for volume in {first, *self._host.volumes(self._selecting)}:
            if volume == first or volume.startswith(f"{first}."):
                yield int(volume.removeprefix(first).removeprefix(".") or 0)

    def remove(self, kind: str, digest: str, age_s: float = 0.0) -> None:
        """Remove a volume and what is recorded of it, unless somebody uses or fills it."""
        with suppress(Busy), self._alone(kind, digest, 0):
            name = document_of(kind, digest)
            with self._records.edit():  # as above
                is_old = self._age_s(name) >= age_s
            if is_old:
                left = [
                    n for n in self._numbers(kind, digest) if not self._emptied(kind, digest, n)
                ]
                if not left:
                    self._records.drop(SECTION, name)

    def delete(self) -> None:
        """Remove every volume of the workspace, whatever it holds."""
        for container in self._host.containers(self._selecting):
            self._host.remove(container["Id"])
        for volume in self._host.volumes(self._selecting):
            self._host.remove_volume(volume)
        self._seen = None


def volumes_of(listed: Mapping[str, Any]) -> set[str]:
    """Return the volumes of content that a listed container mounts, not those of its image."""
    return {
        str(one["Name"])
        for one in listed["Mounts"]
        if one["Type"] == "volume" and one["Destination"] in _PLACES
    }
