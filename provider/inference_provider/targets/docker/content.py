"""The Content of a workspace on a Docker host: volumes of models and code, images of environments.

How a volume is filled and watched is in `volumes.py`. The document of an environment holds its spec
and the id of its image.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress

from inference_provider.desired import DesiredResource
from inference_provider.errors import SecretsInjectionError, SecretStoreUnreachable
from inference_provider.observed import Record
from inference_provider.secret_text import Secrets
from inference_provider.spec import EnvironmentSpec
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.volumes import Volumes
from inference_provider.targets.images import Images, Tell, silent
from inference_provider.targets.kept_content import CODE, MODEL, MOUNTED, pinned_of, source_of_code
from inference_provider.targets.kept_environments import Environment
from inference_provider.targets.shared_content import SharedContent
from inference_provider.targets.sign_in import nobody, signed_in
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.registry_login import ReadLogins


class DockerContent(SharedContent):
    """Kept content of one workspace."""

    def __init__(self, host: DockerHost, records: HostRecords, images: Images) -> None:
        self._host = host
        self._images = images
        self.volumes = Volumes(host, records)
        self._logins: ReadLogins = nobody
        super().__init__(records, self.volumes)

    def sign_in(self, logins: ReadLogins) -> None:
        """Pull and push as these users from then on."""
        self._logins = logins

    def signed_in(self) -> AbstractContextManager[None]:
        """For the time of a block, whoever pulls does so as the workspace's users."""
        return signed_in(self._logins)

    def _image_for(self, environment: DesiredResource, tell: Tell) -> str:
        given = environment.placeholders, environment.base_dir
        return self._made(environment.spec, tell, *given)

    def _made(
        self,
        spec: EnvironmentSpec,
        tell: Tell = silent,
        secrets: Secrets = (),
        base_dir: str | None = None,
    ) -> str:
        """Return the id of an environment's image, made as the workspace says."""
        workspace = self.workspace()
        with self.signed_in():
            return self._images.environment(
                spec,
                workspace.base_image,
                tell,
                secrets=secrets,
                base_dir=base_dir,
                registry=workspace.registry,
            )

    def _moved(self, kept: Environment) -> str:
        with self.signed_in(), suppress(SecretsInjectionError, SecretStoreUnreachable):
            return self._images.moved(kept.spec, kept.image)
        return ""  # which its connection tells

    # -- what is kept --------------------------------------------------------------------------

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
        return (self._moved(kept) or kept.image) if kept else ""

    def _image_fault(self, kept: Environment) -> str:
        if kept.image not in self.volumes.there().images:
            return f"its image {kept.image[:19]} was removed"
        now = self._moved(kept)
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
            self.volumes.keep(CODE, code, renew=False)
            found.append((CODE, code.content_hash))
        self.volumes.look_again()  # a volume that is mounted and not there would be made, empty
        if digest := self._model_of(unit):
            found.append((MODEL, digest))
        return [f"{self.volumes.name(kind, hash_)}:{MOUNTED}/{kind}:ro" for kind, hash_ in found]

    # -- what goes -----------------------------------------------------------------------------

    def prune(self, named: Iterable[str]) -> None:
        self.volumes.prune(named)
        self.environments.prune()
