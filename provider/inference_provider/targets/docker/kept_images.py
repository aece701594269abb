"""The images that were built on a host, who uses them, and how the others go.

Only images with our label are ever removed, and only by names that we gave them. What is built on
one has its label too, so an image without such a name may be a person's.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.serving.image import folder_build
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.docker import names
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.images import Images, Tell
from inference_provider.workspace.image_store import KeptImage
from inference_provider.workspace.state import State

GRACE_S = 60.0
"""An image that was named later may be one that is recorded in a moment."""

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

    def runtime(self, spec: WorkspaceSpec, tell: Tell, more: tuple[str, ...] = ()) -> str:
        wanted = self._images.runtime_build(spec, more)
        self._builder.build(wanted, tell)
        return wanted.build.name

    def push(self, image: str, to: str, tell: Tell) -> str:
        return self._builder.push(image, to, tell)

    def kept(self) -> tuple[KeptImage, ...]:
        listed = self._builder.listed()
        users = self._users() if listed else {}
        found = []
        for image in listed:
            ours, others = _names(image)
            if ours:
                name = min(ours, key=len)
                user = users.get(image["Id"]) or users.get(name, "")
                if user or not others:
                    found.append(KeptImage(name, image["Id"], image["Size"] // 2**20, user))
        return tuple(sorted(found))

    def _users(self) -> Mapping[str, str]:
        """Return who uses an image, by its id or name."""
        found = {one["ImageID"]: f"container {names.of(one)}" for one in self._host.containers({})}
        for workspace, state, content, router in self._workspaces():
            with suppress(TargetError):  # a first `up` has begun it
                found[router.listens().image] = f"the router of workspace '{workspace}'"
            for record in state.records():
                kept = content.environments.kept_of(record)
                if kept is not None:
                    found[kept.image] = str(record.id)
                    if kept.spec.build is not None:
                        found[folder_build(kept.spec.build).name] = str(record.id)
        return found

    def clean(self) -> None:
        self._builder.remove_stages_of_the_dead()

    def remove(self, image: KeptImage) -> bool:
        there = self._host.image(image.id)
        if there is None:
            return True
        ours, others = _names(there)
        if others or self._is_new(there):
            return False
        for name in ours:
            try:
                with self._host.asked("remove", f"image {name}") as api:
                    api.remove_image(name)
            except TargetError:  # another image is built on it, or a container was made of it
                return False
        return not self._host.has_image(image.id)

    def _is_new(self, image: Mapping[str, Any]) -> bool:
        named = datetime.fromisoformat(image["Metadata"]["LastTagTime"])
        if named.year == 1:  # nobody named it on this host
            named = datetime.fromisoformat(image["Created"])
        return (datetime.now(UTC) - named).total_seconds() < self._grace_s


def _names(image: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names that we gave an image, and those that others did."""
    given = [name for name in image["RepoTags"] or () if name != "<none>:<none>"]
    ours = [name for name in given if names.is_image(name)]
    return ours, [name for name in given if name not in ours]
