"""The Content of a workspace on a Docker host: volumes of models and code, images of environments.

How a volume is filled and watched is in `volumes.py`. The document of an environment holds its spec
and the id of its image.
"""

from collections.abc import Callable, Iterable

from inference_provider.desired import DesiredResource
from inference_provider.observed import Kind, Record
from inference_provider.secret_text import Secrets
from inference_provider.spec import (
    DeploymentSpec,
    EnvironmentSpec,
    ModelSpec,
    Reference,
    WorkspaceSpec,
)
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.volumes import Volumes
from inference_provider.targets.images import Images, silent
from inference_provider.targets.kept_content import (
    CODE,
    MODEL,
    MOUNTED,
    missing,
    pinned_of,
    source_of_code,
    source_of_model,
)
from inference_provider.targets.kept_environments import KeptEnvironments, recorded_images
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State


class DockerContent:
    """Kept content of one workspace."""

    def __init__(self, host: DockerHost, records: HostRecords, images: Images) -> None:
        self._host = host
        self._records = records
        self._images = images
        self._state = State(records)
        self.environments = KeptEnvironments(records, self._state)
        self.volumes = Volumes(host, records)

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        spec = desired.spec
        if isinstance(spec, ModelSpec):
            self.volumes.keep(MODEL, source_of_model(spec, desired.base_dir), tell, renew=True)
        elif isinstance(spec, EnvironmentSpec):
            image = self._made(spec, tell, desired.placeholders, desired.base_dir)
            self.environments.note(spec, image)
        elif isinstance(spec, DeploymentSpec):
            code = source_of_code(spec, desired.base_dir)
            if code is not None:
                self.volumes.keep(CODE, code, tell, renew=True)

    def _made(
        self,
        spec: EnvironmentSpec,
        tell: Callable[[str], None] = silent,
        secrets: Secrets = (),
        base_dir: str | None = None,
    ) -> str:
        """Return the id of an environment's image, made as the workspace says."""
        workspace = self.workspace()
        return self._images.environment(
            spec,
            workspace.base_image,
            tell,
            secrets=secrets,
            base_dir=base_dir,
            registry=workspace.registry,
        )

    def workspace(self) -> WorkspaceSpec:
        """Return what is recorded of where images come from."""
        return recorded_images(self._state, self._records.workspace)

    # -- what is kept --------------------------------------------------------------------------

    def holds(self, kind: Kind, pinned: str) -> bool:
        digest = Reference.parse(pinned).digest
        if kind == Kind.MODEL:
            return not self.volumes.gone(MODEL, digest)
        return self.environments.holds(digest)

    def environment(self, pinned: str) -> EnvironmentSpec:
        return self.environments.spec(pinned)

    def fault(self, record: Record) -> str:
        fields = record.properties
        code = fields.get("code_configuration")
        if record.id.kind == Kind.MODEL:
            fault = self.volumes.gone(MODEL, fields["content_hash"])
            if not fault:
                fault = self.volumes.changed(MODEL, fields["content_hash"])
                return f"its kept content was changed by hand: {fault}" if fault else ""
            return f"its kept content is gone: {fault}"
        if record.id.kind == Kind.DEPLOYMENT:
            fault = self.volumes.gone(CODE, code["content_hash"]) if code else ""
            return f"its kept code is gone: {fault}" if fault else self._changed(record)
        if record.id.kind == Kind.ENVIRONMENT:
            return self._environment_fault(fields["content_hash"])
        return ""

    def _changed(self, record: Record) -> str:
        """Say what a person has changed of what the instances of a deployment read."""
        for kind, digest in pinned_of(record):
            if fault := self.volumes.changed(kind, digest):
                return f"its {kind} was changed by hand: {fault}"
        return ""

    def volumes_of(self, record: Record) -> set[str]:
        """Return the names of the volumes that instances of a deployment read."""
        return {self.volumes.name(kind, digest) for kind, digest in pinned_of(record)}

    def image_of(self, record: Record) -> str:
        """Return the id of the image that new instances of a deployment run; empty if unknown."""
        kept = self.environments.kept_of(record)
        return kept.image if kept else ""

    def newest_image_of(self, record: Record) -> str:
        """Return what they run once the next `up` has seen where a tag was moved to.

        In a registry that is a digest, which no instance runs yet.
        """
        kept = self.environments.kept_of(record)
        return (self._images.moved(kept.spec, kept.image) or kept.image) if kept else ""

    def _environment_fault(self, digest: str) -> str:
        kept = self.environments.kept(digest)
        if kept is None:
            return "what it is built from is gone"
        if kept.image not in self.volumes.there().images:
            return f"its image {kept.image[:19]} was removed"
        now = self._images.moved(kept.spec, kept.image)
        tag = f"the tag '{kept.spec.image}' was moved"
        return f"{tag}: to {now[:19]} from {kept.image[:19]}" if now else ""

    # -- what an instance is given -------------------------------------------------------------

    def image(self, environment: EnvironmentSpec) -> str:
        """Return the id of the image of a kept environment, which is made again if it is gone."""
        kept = self.environments.kept(environment.content_hash)
        if kept is not None and self._host.has_image(kept.image):
            return kept.image
        image = self._made(environment)
        self.environments.note(environment, image)
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
            self.volumes.keep(CODE, code)
            found.append(f"{self.volumes.name(CODE, code.content_hash)}:{MOUNTED}/{CODE}:ro")
        if unit.spec.model is not None:
            digest = Reference.parse(unit.spec.model).digest
            self.volumes.look_again()  # a volume that is mounted and not there would be made, empty
            if self.volumes.gone(MODEL, digest):
                raise missing("model", unit.spec.model)
            found.append(f"{self.volumes.name(MODEL, digest)}:{MOUNTED}/{MODEL}:ro")
        return found

    # -- what goes -----------------------------------------------------------------------------

    def drop(self, record: Record) -> None:
        if record.id.kind == Kind.MODEL:
            digest = record.properties["content_hash"]
            used = {Reference.parse(one).digest for one in self._state.named_content()}
            if digest not in used:  # another version may have the same files
                self.volumes.remove(MODEL, digest, 0.0)
        if record.id.kind == Kind.ENVIRONMENT:
            self.environments.drop(record)

    def prune(self, named: Iterable[str]) -> None:
        self.volumes.prune(named)
        self.environments.prune()
