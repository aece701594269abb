"""What a plan says of images in a cluster: which way each is taken, and which cannot be made."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, TargetError
from inference_provider.serving.image import image_as_it_is
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.kubernetes.built_images import BuiltImages, Wanted
from inference_provider.targets.kubernetes.content import KubernetesContent

_NO_BUILDS = (
    "a cluster builds no images, and the workspace names no registry to build one for",
    "set the workspace's registry, or build and push it, and name it as the environment's image",
)


class PlannedImages:
    """The images of the workspaces of one cluster.

    Args:
        built: What is built for them.
        content: Returns the content of a workspace; None where the workspace is not there.
    """

    def __init__(
        self, built: BuiltImages, content: Callable[[str], KubernetesContent | None]
    ) -> None:
        self._built = built
        self._content = content

    def workspace_faults(self, spec: WorkspaceSpec) -> Iterator[Fault]:
        """Say why the image of its router cannot be made."""
        wanted = self._built.runtime(spec)
        if wanted and (fault := self._fault(wanted, self.router_of(spec.name), spec.name)):
            yield fault

    def environment_faults(
        self, resource: DesiredResource, space: WorkspaceSpec | None
    ) -> Iterator[Fault]:
        """Say why the image of an environment cannot be made."""
        space = space or self._recorded(resource.id.workspace)
        if space is None:
            return
        if space.registry is None and resource.spec.build is not None:
            yield Fault("build", *_NO_BUILDS)
        wanted = self._built.environment(resource, space)
        kept = self._image_of(resource)
        if wanted and (fault := self._fault(wanted, kept, resource.id.workspace)):
            yield fault

    def _fault(self, wanted: Wanted, kept: str, workspace: str) -> Fault | None:
        with self._signed_in(workspace):
            return self._built.fault(wanted, kept)

    def _signed_in(self, workspace: str) -> AbstractContextManager[None]:
        """Ask registries as users that a workspace's connections name, where it is there."""
        with suppress(TargetError):  # what cannot be read is told by who reads it for more
            if content := self._content(workspace):
                return content.signed_in()
        return nullcontext()

    def notes(self, resource: DesiredResource, space: WorkspaceSpec | None) -> Iterator[str]:
        """Say which image a workspace's router or an environment runs, and who makes it."""
        spec = resource.spec
        if isinstance(spec, WorkspaceSpec):
            if wanted := self._built.runtime(spec):
                yield f"its router's {self._told(wanted, self.router_of(spec.name), spec.name)}"
            return
        space = space or self._recorded(resource.id.workspace) or WorkspaceSpec()
        if wanted := self._built.environment(resource, space):
            told = self._told(wanted, self._image_of(resource), resource.id.workspace)
            yield f"its {told}"
        elif brought := image_as_it_is(spec):
            yield f"its image {brought} runs as it is"
        else:
            yield "its packages are installed in the pods, and kept for the next ones"

    def _told(self, wanted: Wanted, kept: str, workspace: str) -> str:
        with self._signed_in(workspace):
            there = self._built.look(wanted, kept)
        how = "is in" if there.image else "is built by Docker, and pushed to"
        return f"image {wanted.name} {how} {wanted.registry}"

    # -- what is there -------------------------------------------------------------------------

    def _recorded(self, workspace: str) -> WorkspaceSpec | None:
        with suppress(TargetError):  # what cannot be read is told by who reads it for more
            content = self._content(workspace)
            return content.workspace() if content else None
        return None

    def router_of(self, workspace: str) -> str:
        """Return the image of a router that is there; empty where that is not known."""
        with suppress(TargetError):  # a document that cannot be read names nothing
            content = self._content(workspace)
            return content.runtime_image() if content else ""
        return ""

    def _image_of(self, environment: DesiredResource) -> str:
        with suppress(TargetError):  # as above
            content = self._content(environment.id.workspace)
            kept = content and content.environments.kept(environment.spec.content_hash)
            return kept.image if kept else ""
        return ""
