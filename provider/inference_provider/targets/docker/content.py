"""The Content of a workspace on a Docker host: volumes of models and code, images of environments.

How a volume is filled and watched is in `volumes.py`. The document of an environment holds its spec
and the id of its image.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from inference_provider.desired import DesiredResource
from inference_provider.observed import Frozen, Kind, Record, ResourceId
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
from inference_provider.targets.docker.volumes import (
    CODE,
    MODEL,
    MOUNTED,
    SECTION,
    Volumes,
    document_of,
)
from inference_provider.targets.images import Images, silent
from inference_provider.targets.kept_content import (
    PRUNE_AGE_S,
    missing,
    source_of_code,
    source_of_model,
)
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State


class Environment(Frozen):
    """What is recorded of an environment."""

    spec: EnvironmentSpec
    image: str
    """Id of its image."""
    kept: datetime | None = None
    """When it was last made; not known of those of older releases."""


class DockerContent:
    """Kept content of one workspace."""

    def __init__(self, host: DockerHost, records: HostRecords, images: Images) -> None:
        self._host = host
        self._records = records
        self._images = images
        self._state = State(records)
        self.volumes = Volumes(host, records)

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        spec = desired.spec
        if isinstance(spec, ModelSpec):
            self.volumes.keep(MODEL, source_of_model(spec, desired.base_dir), tell, renew=True)
        elif isinstance(spec, EnvironmentSpec):
            image = self._made(spec, tell, desired.placeholders, desired.base_dir)
            self._note_environment(spec, image)
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
        name = self._records.workspace
        record = self._state.record(ResourceId(kind=Kind.WORKSPACE, workspace=name, name=name))
        fields = record.properties if record else {}
        where = {name: fields.get(name) for name in ("base_image", "registry", "runtime_image")}
        return WorkspaceSpec(**where)

    # -- what is kept --------------------------------------------------------------------------

    def holds(self, kind: Kind, pinned: str) -> bool:
        digest = Reference.parse(pinned).digest
        if kind == Kind.MODEL:
            return not self.volumes.gone(MODEL, digest)
        return document_of("environment", digest) in self._records.section(SECTION)

    def environment(self, pinned: str) -> EnvironmentSpec:
        kept = self.kept(Reference.parse(pinned).digest)
        if kept is None:
            raise missing("environment", pinned)
        return kept.spec

    def _note_environment(self, spec: EnvironmentSpec, image: str) -> None:
        noted = Environment(spec=spec, image=image, kept=datetime.now(UTC)).model_dump_json()
        self._records.put(SECTION, document_of("environment", spec.content_hash), noted)

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
        for kind, digest in _pinned(record):
            if fault := self.volumes.changed(kind, digest):
                return f"its {kind} was changed by hand: {fault}"
        return ""

    def volumes_of(self, record: Record) -> set[str]:
        """Return the names of the volumes that instances of a deployment read."""
        return {self.volumes.name(kind, digest) for kind, digest in _pinned(record)}

    def kept(self, digest: str) -> Environment | None:
        """Return what is recorded of an environment, by the hash of its content."""
        name = document_of("environment", digest)
        return self._state.document(SECTION, name, Environment.model_validate_json)

    def image_of(self, record: Record) -> str:
        """Return the id of the image that new instances of a deployment run; empty if unknown."""
        kept = self.kept(environment_of(record))
        return kept.image if kept else ""

    def newest_image_of(self, record: Record) -> str:
        """Return what they run once the next `up` has seen where a tag was moved to.

        In a registry that is a digest, which no instance runs yet.
        """
        kept = self.kept(environment_of(record))
        return (self._images.moved(kept.spec, kept.image) or kept.image) if kept else ""

    def _environment_fault(self, digest: str) -> str:
        kept = self.kept(digest)
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
        kept = self.kept(environment.content_hash)
        if kept is not None and self._host.has_image(kept.image):
            return kept.image
        image = self._made(environment)
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
            self._drop_environments([document_of("environment", environment_of(record))], 0.0)

    def prune(self, named: Iterable[str]) -> None:
        self.volumes.prune(named)
        self._drop_environments(self._records.section(SECTION), PRUNE_AGE_S)

    def _drop_environments(self, found: Iterable[str], age_s: float) -> None:
        """Drop what no record names and that was last made longer ago: a spec may hold secrets."""
        with self._records.edit():
            records, unreadable = self._state.sorted_out()
            if unreadable:  # which may name any
                return
            used = {document_of("environment", environment_of(one)) for one in records}
            for name in {*found} - used:
                if name.startswith("environment.") and self._age_s(name) >= age_s:
                    self._records.drop(SECTION, name)

    def _age_s(self, name: str) -> float:
        """Return how long ago an environment was last made, seconds; unreadable ones are old."""
        found = self._state.readable(SECTION, name, Environment.model_validate_json)
        kept = found.kept if found else None
        return (datetime.now(UTC) - kept).total_seconds() if kept else float("inf")


def environment_of(record: Record) -> str:
    """Return the hash of the environment that a resource is, or runs in; empty for any other."""
    if record.id.kind == Kind.ENVIRONMENT:
        return str(record.properties["content_hash"])
    return Reference.parse(record.properties.get("environment") or "").digest


def _pinned(record: Record) -> list[tuple[str, str]]:
    """Return kind and hash of the code and the model of a deployment."""
    model, code = (record.properties.get(name) for name in ("model", "code_configuration"))
    found = [(CODE, code["content_hash"])] if code else []
    return [*found, (MODEL, Reference.parse(model).digest)] if model else found
