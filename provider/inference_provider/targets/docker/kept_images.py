"""The images that were built on a host, who uses them, and how the others go.

Only images with our label are ever removed, and only by names that we gave them: what a person
named too stays.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Record
from inference_provider.serving.image import folder_build
from inference_provider.spec import Reference, WorkspaceSpec
from inference_provider.targets.docker import names
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.images import Images, Tell
from inference_provider.workspace.ports import KeptImage
from inference_provider.workspace.state import State

GRACE_S = 60.0
"""An image that was named later may be one that is recorded in a moment."""
_ROLES = ("environment", "folder", "runtime")

Workspaces = Callable[[], Iterable[tuple[str, State, DockerContent, DockerRouter]]]


class HostImageStore:
    """The images of one host."""

    def __init__(
        self,
        host: DockerHost,
        builder: HostImages,
        workspaces: Workspaces,
        grace_s: float = GRACE_S,
    ) -> None:
        self._host = host
        self._builder = builder
        self._images = Images(builder)
        self._workspaces = workspaces
        self._grace_s = grace_s

    def note(self, spec: WorkspaceSpec) -> str:
        if spec.runtime_image is not None:
            there = self._host.has_image(spec.runtime_image)
            return "" if there else f"image {spec.runtime_image} is pulled for its router"
        name = self._images.runtime_build(spec).build.name
        there = self._host.has_image(name)
        return "" if there else f"image {name} is built for its router, once on {self._host}"

    def runtime(self, spec: WorkspaceSpec, tell: Tell) -> str:
        wanted = self._images.runtime_build(spec)
        self._builder.built(wanted, tell)
        return wanted.build.name

    def push(self, image: str, to: str, tell: Tell) -> str:
        return self._builder.push(image, to, tell)

    def kept(self) -> tuple[KeptImage, ...]:
        with self._host.asked("list", "images") as api:
            listed = api.images(filters={"label": names.ROLE})
        users = self._users() if listed else {}
        found = (
            KeptImage(
                _name(image),
                image["Id"],
                image["Size"] // 2**20,
                next((users[n] for n in (image["Id"], _name(image)) if n in users), ""),
            )
            for image in listed
            if image["Labels"][names.ROLE] in _ROLES
        )
        return tuple(sorted(found))

    def _users(self) -> Mapping[str, str]:
        """Return who uses an image, by its id or name."""
        found = {one["ImageID"]: f"container {names.of(one)}" for one in self._host.containers({})}
        for workspace, state, content, router in self._workspaces():
            with suppress(TargetError):  # a first `up` has begun it
                found[router.listens().image] = f"the router of workspace '{workspace}'"
            for record in state.records():
                kept = content.kept(_environment_of(record))
                if kept is not None:
                    found[kept.image] = str(record.id)
                    if kept.spec.build is not None:
                        found[folder_build(kept.spec.build).name] = str(record.id)
        return found

    def remove(self, image: KeptImage) -> bool:
        there = self._host.image(image.id)
        if there is None:
            return True
        if self._is_new(there):
            return False
        ours = [name for name in there["RepoTags"] or () if _is_ours(name)]
        for name in ours or ([] if there["RepoTags"] else [image.id]):
            try:
                with self._host.asked("remove", f"image {name}") as api:
                    api.remove_image(name)
            except TargetError:  # another image is built on it, or a container was made of it
                return False
        return not self._host.has_image(image.id)

    def _is_new(self, image: Mapping[str, Any]) -> bool:
        named = datetime.fromisoformat(image["Metadata"]["LastTagTime"])
        return (datetime.now(UTC) - named).total_seconds() < self._grace_s


def _environment_of(record: Record) -> str:
    """Return the hash of the environment that a resource is, or runs in; empty for any other."""
    if record.id.kind == Kind.ENVIRONMENT:
        return str(record.properties["content_hash"])
    return Reference.parse(record.properties.get("environment") or "").digest


def _name(image: Mapping[str, Any]) -> str:
    tags = [name for name in image["RepoTags"] or () if name.startswith("inference-")]
    return str(tags[0] if tags else image["Id"][:19])


def _is_ours(name: str) -> bool:
    return name.rpartition("/")[2].startswith(tuple(f"inference-{role}:" for role in _ROLES))
