"""Images that are built for a cluster: found in its workspace's registry, or built and pushed.

A cluster builds none: a Docker Engine that the client reaches does, where the registry lacks one.
An image's name says what is in it, so the same build is the same image, whoever made it.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import NamedTuple

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.images import (
    ImageBuilder,
    Images,
    Tell,
    environment_name,
    runtime_name,
)
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.fresh import Fresh
from inference_provider.targets.kubernetes.objects import NODE, Object
from inference_provider.targets.kubernetes.pods import architecture_of
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.manifests import digest_in

_FRESH_S = 10.0
"""How long the nodes that were listed count as all there are, seconds."""
_COMMON = ("amd64", "arm64")
"""Architectures that are asked for where neither nodes nor an Engine can be asked."""
_START = "start Docker or set DOCKER_HOST, or "
_SIGN_IN = "declare a connection of category ContainerRegistry, run `docker login`"
_INSTALLED = "leave registry out: packages are then installed in the pod"


class Wanted(NamedTuple):
    """An image that a workspace has built."""

    registry: str
    name: str
    """`inference-runtime:<hash>`; in the registry its architecture follows."""
    publish: Callable[[Tell], str]
    """Has it built and pushed; returns its name and digest."""
    path: str
    """The field that asks for it."""
    instead: str
    """What to do where nothing can build it."""

    def is_what(self, image: str) -> bool:
        """Whether an image was built as this one."""
        return image.startswith(f"{self.registry}/{self.name}-")


def architectures(client: Client) -> frozenset[str] | None:
    """Return those of a cluster's nodes; None where this user may not see nodes."""
    try:
        return frozenset(filter(None, map(_architecture, client.items(NODE))))
    except Forbidden:
        return None


def _architecture(node: Object) -> str:
    about = (node.get("status") or {}).get("nodeInfo") or {}
    is_linux = about.get("operatingSystem", "linux") == "linux"
    return str(about.get("architecture") or "") if is_linux else ""


class Found(NamedTuple):
    """What a registry has of an image."""

    image: str
    """Its name and digest there; empty for nothing."""
    is_told: bool = True
    """Whether it says so."""


class BuiltImages:
    """What is built for the workspaces of one cluster.

    Args:
        engine: Returns what builds and pushes.
        nodes: Returns the architectures of nodes; None where that is not known.
        ask: Returns the digest of an image in its registry, without an Engine; as its `digest`.
    """

    def __init__(
        self,
        engine: Callable[[], ImageBuilder],
        nodes: Callable[[], frozenset[str] | None],
        ask: Callable[[str], str | None] = digest_in,
    ) -> None:
        self._open = engine
        self._nodes = Fresh(nodes)
        self._ask = ask
        self._named: dict[tuple[str | None, str | None], str] = {}

    @cached_property
    def _engine(self) -> ImageBuilder:
        return self._open()

    @cached_property
    def _images(self) -> Images:
        return Images(self._engine)

    def runtime(self, space: WorkspaceSpec) -> Wanted | None:
        """Return the image of a workspace's router; None where it is named, or nobody builds it."""
        if space.runtime_image or not space.registry:
            return None
        made_of = space.base_image, space.cluster.storage.url
        if made_of not in self._named:  # all of this package is read for it
            self._named[made_of] = runtime_name(space)
        publish = partial(self._publish_runtime, space)
        name, instead = self._named[made_of], f"{_START}name a runtime_image"
        return Wanted(space.registry, name, publish, "registry", instead)

    def _publish_runtime(self, space: WorkspaceSpec, tell: Tell) -> str:
        return self._images.publish_runtime(space, tell)

    def environment(self, resource: DesiredResource, space: WorkspaceSpec) -> Wanted | None:
        """Return the image of an environment; None where it brings one, or has packages in pods."""
        spec = resource.spec
        if not space.registry or not (name := environment_name(spec, space.base_image)):
            return None
        publish = partial(self._publish_environment, resource, space)
        path, instead = ("build", "name its image") if spec.build else ("", _INSTALLED)
        return Wanted(space.registry, name, publish, path, f"{_START}{instead}")

    def _publish_environment(
        self, resource: DesiredResource, space: WorkspaceSpec, tell: Tell
    ) -> str:
        hidden, folder = resource.placeholders, resource.base_dir
        return self._images.publish_environment(
            resource.spec, space, tell, secrets=hidden, base_dir=folder
        )

    # -- found, or built -----------------------------------------------------------------------

    def made(self, wanted: Wanted, kept: str, tell: Tell) -> str:
        """Return by which name and digest an image is pulled; build and push it if needed.

        Args:
            wanted: The image.
            kept: What pods have run so far.
            tell: Told what is done.

        Raises:
            TargetError: Nothing can build it; or it cannot be built or pushed.
        """
        found = self.look(wanted, kept)
        if found.image:
            return found.image
        if fault := self._unbuildable(wanted, found):
            raise TargetError("build", f"image {wanted.name}", fault.reason, fault.remedy)
        return wanted.publish(tell)

    def is_outdated(self, space: WorkspaceSpec, image: str) -> bool:
        """Whether the router of a workspace runs another image than would be built for it now."""
        wanted = self.runtime(space)
        return wanted is not None and not wanted.is_what(image)

    def fault(self, wanted: Wanted, kept: str) -> Fault | None:
        """Say why an image that is still to be built cannot be."""
        if wanted.is_what(kept):
            return None
        found = self.look(wanted, kept)
        return None if found.image else self._unbuildable(wanted, found)

    def _unbuildable(self, wanted: Wanted, found: Found) -> Fault | None:
        lacks = f"image {wanted.name} is not in {wanted.registry}, and"
        if not found.is_told:
            lacks = f"{wanted.registry} does not say whether it has image {wanted.name}, and"
        try:
            system, architecture = self._engine.platform()
        except TargetError as silent:
            reason = f"{lacks} {silent.resource} cannot build it: {silent.reason}"
            login = "" if found.is_told else f"{_SIGN_IN}, "
            return Fault(wanted.path, reason, login + wanted.instead)
        nodes = self._nodes.within(_FRESH_S)
        if not nodes or (system == "linux" and architecture in nodes):
            return None
        reason = f"{lacks} Docker builds for {system}/{architecture}, while the cluster's nodes are"
        remedy = f"set DOCKER_HOST to an Engine of theirs, or {wanted.instead.removeprefix(_START)}"
        return Fault(wanted.path, f"{reason} {', '.join(sorted(nodes))}", remedy)

    def look(self, wanted: Wanted, kept: str) -> Found:
        """Ask the registry for an image; one that says nothing has what pods already run."""
        known, said = wanted.is_what(kept), []
        for architecture in self._possible(architecture_of(kept) if known else ""):
            image = f"{wanted.registry}/{wanted.name}-{architecture}"
            said.append(digest := self._digest(image))
            if digest:
                return Found(f"{image}@{digest}")
        is_told = None not in said
        return Found(kept if known and not is_told else "", is_told)

    def _digest(self, image: str) -> str | None:
        found = None
        with suppress(TargetError):  # there is no Engine, which only what has to be built needs
            found = self._engine.digest(image)
        with suppress(TargetError):  # no secret store says as whom; a push tells that
            return self._ask(image) if found is None else found
        return None

    def _possible(self, known: str) -> list[str]:
        """Return the architectures that an image may be for: what it is for now comes first."""
        found = self._nodes.within(_FRESH_S) or self._architecture_of_engine() or _COMMON
        return sorted({*found, *([known] if known else ())}, key=lambda one: (one != known, one))

    def _architecture_of_engine(self) -> tuple[str, ...]:
        try:
            return (self._engine.platform()[1],)
        except TargetError:
            return ()
