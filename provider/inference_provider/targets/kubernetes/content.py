"""The Content of a workspace in a cluster: archives on a volume there, environments in the records.

An environment is what pods build, each in the image whose Python runs it; or, where its workspace
has a registry, an image that has it. Its document holds its spec and the name of that image.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress

from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetUnreachable
from inference_provider.observed import Kind, Record
from inference_provider.serving.image import base_image, image_as_it_is, installs_from
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, Reference
from inference_provider.targets.images import own_python
from inference_provider.targets.kept_content import (
    CODE,
    MODEL,
    source_of_code,
)
from inference_provider.targets.kept_environments import environment_of
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.built_images import BuiltImages
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content_manifests import (
    Fetched,
    built_from,
    environment_key,
    environment_secret,
    key_of,
    secret_name,
)
from inference_provider.targets.kubernetes.content_passes import VARIABLE, environment_pass
from inference_provider.targets.kubernetes.content_store import ContentStore
from inference_provider.targets.kubernetes.instance_manifests import Given
from inference_provider.targets.kubernetes.kept_archives import KeptArchives
from inference_provider.targets.kubernetes.objects import SECRET, name_of, selector
from inference_provider.targets.kubernetes.observed_objects import workloads_in
from inference_provider.targets.kubernetes.pods import architecture_of
from inference_provider.targets.shared_content import SharedContent, Tell
from inference_provider.targets.sign_in import nobody, signed_in
from inference_provider.workspace.ports import Records, Unit
from inference_provider.workspace.registry_login import ReadLogins


class KubernetesContent(SharedContent):
    """Kept content of one workspace."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        records: Records,
        store: ContentStore | None = None,
        *,
        built: BuiltImages | None = None,
        router_image: Callable[[], str] = lambda: "",
    ) -> None:
        """Open it; `router_image` returns what the router's pods run."""
        self._built = built
        self._logins: ReadLogins = nobody
        self._router_image = router_image
        self._client = client
        self._namespace = namespace
        self._store = store or ContentStore(
            client, namespace, records.workspace, recorded=self._recorded_token
        )
        self.archives = KeptArchives(self._store, records)
        super().__init__(records, self.archives)

    def sign_in(self, logins: ReadLogins) -> None:
        """Push images, and ask for them, as these users from then on."""
        self._logins = logins

    def signed_in(self) -> AbstractContextManager[None]:
        """For the time of a block, whoever pushes does so as the workspace's users."""
        return signed_in(self._logins)

    def _recorded_token(self) -> str:
        return (self._records.read(names.ADDRESS, names.CONTENT) or b"").decode()

    def fault(self, record: Record) -> str:
        try:
            return super().fault(record)
        except TargetUnreachable as silent:  # what serves goes on without it
            return f"its kept content is not known: {silent.reason}"

    def keep(self, desired: DesiredResource, tell: Tell) -> None:
        if isinstance(desired.spec, DeploymentSpec):
            self._on_new_base(Reference.parse(desired.spec.environment).digest)
        super().keep(desired, tell)

    def _on_new_base(self, digest: str) -> None:
        """Have an environment that no deployment runs in built on the base image of today.

        The one that it was made for may be the reason why nothing runs in it.
        """
        kept, space = self.environments.kept(digest), self.workspace()
        if kept is None or space.registry or not space.base_image:
            return
        now = self._image_now(kept.spec)
        if now == kept.image:
            return
        records, unreadable = self._state.sorted_out()
        used = {environment_of(one) for one in records if one.id.kind == Kind.DEPLOYMENT}
        if not unreadable and digest not in used:
            self.environments.note(kept.spec, now)

    # -- what an instance is given -------------------------------------------------------------

    def _image_for(self, environment: DesiredResource, tell: Tell) -> str:
        wanted = self._built and self._built.environment(environment, self.workspace())
        if not self._built or not wanted:  # pods install packages, and say so
            return self._image_now(environment.spec)
        kept = self.environments.kept(environment.spec.content_hash)
        with self.signed_in():
            return self._built.made(wanted, kept.image if kept else "", tell)

    def _image_now(self, spec: EnvironmentSpec) -> str:
        return image_as_it_is(spec) or base_image(spec, self.workspace().base_image, own_python())

    def image(self, environment: EnvironmentSpec) -> str:
        """Return the image that instances of an environment run in, the same on every machine."""
        kept = self.environments.kept(environment.content_hash)
        return kept.image if kept is not None else self._image_now(environment)

    def runtime_image(self) -> str:
        """Return the image of pods of the workspace's own, named or built."""
        return self.workspace().runtime_image or self._router_image()

    def assets(self, unit: Unit) -> dict[str, str]:
        """Return the hashes of the archives that an instance fetches, `model` and `code`.

        Raises:
            TargetError: The model is gone, or the code and its source are.
        """
        found = {}
        code = source_of_code(unit.spec, unit.base_dir)
        if code is not None:
            found[CODE] = self.archives.keep(CODE, code).archive
        noted = self.archives.noted(MODEL, self._model_of(unit))
        if noted is not None:
            found[MODEL] = noted.archive
        return found

    def given(self, unit: Unit) -> Given:
        """Return what the pods of an instance are given; all of it is kept.

        Raises:
            TargetError: As `assets`.
        """
        environment, image = unit.environment, self.image(unit.environment)
        fetched = Fetched(
            runtime_image=self.runtime_image(),
            image=image,
            built=image != environment.image and bool(architecture_of(image)),
            environment=environment,
            assets=self.assets(unit),
            resources=unit.spec.resources,
        )
        if fetched.installs:
            key = environment_key(environment, fetched.image)
            shown = {VARIABLE: environment_pass(self._store.token(), key)}
            found = {**installs_from(os.environ), **built_from(environment), **shown}
            secret = environment_secret(self._records.workspace, self._namespace, key, found)
            self._client.apply(secret, force=True)
        return fetched.given()

    # -- what goes -----------------------------------------------------------------------------

    def prune(self, named: Iterable[str]) -> None:
        self.environments.prune()
        keys = {environment_key(one.spec, one.image) for one in self.environments.all()}
        keys |= self._keys_in_use()
        with suppress(TargetUnreachable):  # what is left is unused, and goes with a later one
            self.archives.prune(named, keys)
        self._drop_secrets({secret_name(key) for key in keys})

    def _keys_in_use(self) -> set[str]:
        """Return the keys of environments whose pods may start again: a base image may change."""
        chosen = selector(names.selecting(self._records.workspace, names.INSTANCE))
        found = workloads_in(self._client, self._namespace, chosen)
        return {key for one in found if (key := key_of(one))}

    def _drop_secrets(self, used: set[str]) -> None:
        """Remove the Secrets of environments that nobody builds any more."""
        chosen = selector(names.selecting(self._records.workspace, names.CONTENT))
        for one in self._client.items(SECRET, self._namespace, chosen):
            name = name_of(one)
            if name.startswith(secret_name("")) and name not in used:
                self._client.delete(SECRET, self._namespace, name)
