"""What pulls and builds images on a Docker host: the Engine, and its two builders.

An image's name says what is in it, so one that the host has is not built again; two clients that
want the same one build it once. What is built is decided in `targets/images.py`.

A person's own folder is built by BuildKit, as `docker build` does. It is asked without a session,
so it gets no secrets and pulls nothing private: what a Dockerfile names is pulled before. What is
generated is built by the classic builder: BuildKit would keep in its cache what installs packages,
which may have credentials of an index.
"""

import io
import json
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any, cast

from inference_provider.errors import Busy, TargetError, TargetUnreachable
from inference_provider.files.dockerfile import builds_nothing, images_in
from inference_provider.files.tree import Content
from inference_provider.quoting import without_secrets
from inference_provider.serving.image import STAGE_LABEL, default_base_image
from inference_provider.serving.installer_output import says_disk_is_full
from inference_provider.targets.docker import names
from inference_provider.targets.docker.archive import packed
from inference_provider.targets.docker.build_progress import COLOUR, Built, outcome
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.library import errors
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.records import make_empty_image
from inference_provider.targets.docker.registries import (
    Registries,
    auth_for,
    digests_of,
    parts_of,
    sign_in_remedy,
)
from inference_provider.targets.images import (
    NO_BASE,
    Tell,
    Wanted,
    build_failure,
    disk_full,
    own_python,
    silent,
)
from inference_provider.targets.kept_content import Source, changed_meanwhile, reading, unreadable
from inference_provider.targets.tree_archive import TreeArchive

BUILD_LIMIT_S = 3600
"""Large CUDA wheels over a slow network take this long; a build that is silent for longer hangs."""
_LABELS = (names.IMAGE, names.ROLE)
"""Of what was built; the second is that of older releases."""
_LOCKS = "image.build"
"""Stands where locks name a workspace; no workspace has a dot in its name."""
_FAILED = re.compile(r"The command '.*' returned a non-zero code: (\d+)")
_OF_THE_BUILDER = ("Step ", "---> ", "Removing intermediate container ", "Successfully ")


class HostImages:
    """The ImageBuilder of one host."""

    def __init__(self, host: DockerHost) -> None:
        self._host = host
        self._locks = HostLocks(host, _LOCKS)
        self._registry = Registries(host)

    def platform(self) -> tuple[str, str]:
        return self._platform

    def any_with_a_shell(self, workspace_base: str | None) -> str:
        """Return the id of an image of a router's container, else of the base image."""
        for image in self.listed():
            if "runtime" in (image["Labels"].get(label) for label in _LABELS):
                return str(image["Id"])
        base = workspace_base or default_base_image(own_python())
        return self.pull(base, NO_BASE, silent)

    def listed(self) -> list[dict[str, Any]]:
        """Return the images with our label: what was built here, and what others built on that."""
        found: dict[str, dict[str, Any]] = {}
        with self._host.asked("list", "images") as api:
            for label in _LABELS:
                found |= {one["Id"]: one for one in api.images(filters={"label": label})}
        return [*found.values()]

    @cached_property
    def _platform(self) -> tuple[str, str]:
        with self._host.asked("ask", str(self._host)) as api:
            there = api.version()
        return there["Os"], there["Arch"]

    # -- pulled --------------------------------------------------------------------------------

    def fault(self, image: str) -> str:
        here = self._host.image(image)
        if here is not None:
            return self._misfit((here["Os"], here["Architecture"]))
        there = self._registry.ask(image)
        if there is None:
            return ""
        if not there.digest:
            return "neither the host nor its registry has it"
        fits = self._platform in there.platforms or not there.platforms
        return "" if fits else self._misfit(there.platforms[0])

    def _misfit(self, made_for: tuple[str, str]) -> str:
        mine = self._platform
        return (
            ""
            if made_for == mine
            else f"it is for {'/'.join(made_for)}, the host is {'/'.join(mine)}"
        )

    def named_now(self, image: str) -> str | None:
        here = self._host.image(image)
        return None if here is None else self._newer(image, here) or str(here["Id"])

    def _newer(self, image: str, here: Mapping[str, Any]) -> str:
        """Return the digest that its registry has for a name, if the host's was pulled before."""
        pulled = digests_of(image, here["RepoDigests"] or ())
        if not pulled:  # made on the host: whoever has the name in a registry is somebody else
            return ""
        there = self._registry.ask(image)
        return there.digest if there and there.digest not in pulled else ""

    def pull(self, image: str, remedy: str, tell: Tell, *, newest: bool = False) -> str:
        here = self._host.image(image)
        if here is None or (newest and self._newer(image, here)):
            tell(f"pulling image {image}")
            here = self._pulled(image, remedy)
        misfit = self._misfit((here["Os"], here["Architecture"]))
        if misfit:
            remedy = f"name an image for {'/'.join(self._platform)}"
            raise TargetError("use", f"image '{image}'", misfit, remedy, str(self._host))
        return str(here["Id"])

    def _id(self, image: str) -> str | None:
        found = self._host.image(image)
        return str(found["Id"]) if found else None

    def _pulled(self, image: str, remedy: str) -> dict[str, Any]:
        user = auth_for(image)
        with self._host.asked("pull", f"image '{image}'") as api:
            try:
                parts = api.pull(image, stream=True, decode=True, auth_config=user)
                said = [part.get("error", "") for part in parts]
            except errors().APIError as refused:
                said = [str(refused.explanation or refused)]
        found, why = self._host.image(image), " ".join(without_secrets(" ".join(said)).split())
        if says_disk_is_full(why):
            raise disk_full("pull", f"image '{image}'", str(self._host))
        if found is None or why:
            lacks = (
                "does not have it, and cannot" if found is None else "has an older one, and cannot"
            )
            reason = f"the host {lacks} pull it: {why[:400] or 'no answer'}"
            raise TargetError("use", f"image '{image}'", reason, remedy, str(self._host))
        return found

    # -- built ---------------------------------------------------------------------------------

    def has(self, wanted: Wanted) -> bool:
        return self._host.has_image(wanted.build.name) or self._is_published(wanted)

    def build(self, wanted: Wanted, tell: Tell) -> str:
        found = self._host.image(wanted.build.name)
        if found is not None and self._is_pushed(wanted, found):
            return str(found["Id"])
        make_empty_image(self._host)
        try:
            with self._alone(wanted.build.name, BUILD_LIMIT_S):
                return self._whole(wanted, tell)
        except Busy as busy:
            reason = "another client has been building it for an hour"
            raise Busy("build", wanted.what, reason, busy.remedy) from busy

    def _whole(self, wanted: Wanted, tell: Tell) -> str:
        """Return the id of an image that is there, and in its registry."""
        name = wanted.build.name
        image = self._id(name) or self._published(wanted, tell) or self._build_new(wanted, tell)
        if not self._is_pushed(wanted, self._host.image(name) or {}):
            self.push(name, self._in_registry(wanted), tell)
        return image

    def _alone(self, name: str, wait_s: float) -> AbstractContextManager[None]:
        return self._locks.lock(name.replace(":", "."), wait_s)

    def _build_new(self, wanted: Wanted, tell: Tell) -> str:
        if wanted.build.base:
            self.pull(wanted.build.base, wanted.without_base, tell)
        self.remove_stages_of_the_dead(wanted.build.name)
        tell(wanted.starts)
        try:
            said = self._said_by(wanted) if wanted.source is None else self._of_folder(wanted, tell)
        finally:
            self._remove_stage(wanted.build.name)
        found = self._id(wanted.build.name)
        if found is None:
            raise build_failure(wanted, said, str(self._host))
        tell("image built")
        return found

    def _said_by(self, wanted: Wanted) -> str:
        """Build, and return what was printed: a failure is said there, with HTTP status 200."""
        with self._host.asked("build", wanted.what) as api:
            stream = api.build(
                fileobj=io.BytesIO(packed(wanted.build.files, 0o755)),
                custom_context=True,
                dockerfile=wanted.build.dockerfile,
                tag=wanted.build.name,
                labels=_labels(wanted),
                rm=True,
                forcerm=True,
                network_mode="host",
                timeout=BUILD_LIMIT_S,
                decode=True,
            )
            parts = list(stream)
        return _of_its_commands("".join(p.get("stream") or p.get("error") or "" for p in parts))

    def _of_folder(self, wanted: Wanted, tell: Tell) -> str:
        """Build of a folder; the image gets its name once all that was sent is as it was planned.

        Raises:
            TargetError: The folder is not there, or has changed since; or what its Dockerfile is
                built on cannot be pulled.
        """
        source = cast("Source", wanted.source)
        try:
            with reading(source):
                content = source.find()
                self._pull_named(wanted, content, tell)
                archive = TreeArchive(content, ".")
                built = self._sent(wanted, archive)
                if built.image is None:
                    return built.said
                changed = content.digest_of(archive.hashes) != source.content_hash
        except OSError as fault:
            raise unreadable(source, fault) from fault
        if changed:
            self._remove_unnamed(built.image)
            raise changed_meanwhile(source)
        self._tag(built.image, wanted.build.name)
        return ""

    def _pull_named(self, wanted: Wanted, content: Content, tell: Tell) -> None:
        """Pull what a Dockerfile names: BuildKit would ask its client for credentials."""
        file = dict(content.files).get(os.path.normpath(wanted.build.dockerfile))
        text = file.read_text("utf-8", errors="replace") if file else ""
        if builds_nothing(text):  # the plan saw another
            raise changed_meanwhile(cast("Source", wanted.source))
        for image in images_in(text, self._platform):
            self.pull(image, f"load it on the host, or change {wanted.dockerfile}", tell)

    def _remove_unnamed(self, image: str) -> None:
        """Remove what was built of other content than planned, unless that is another's image."""
        if not (self._host.image(image) or {}).get("RepoTags"):
            asked = self._host.asked("clean up after", f"image {image}")
            with asked as api, suppress(errors().APIError):
                api.remove_image(image)

    def _sent(self, wanted: Wanted, archive: TreeArchive) -> Built:
        """Have BuildKit build what is sent."""
        try:
            return self._build_sent(wanted, archive)
        except TargetUnreachable:
            if archive.fault is not None:  # which looks like one of the connection
                raise archive.fault from None
            raise

    def _build_sent(self, wanted: Wanted, archive: TreeArchive) -> Built:
        asked = {
            "version": "2",
            "dockerfile": wanted.build.dockerfile,
            "labels": json.dumps(_labels(wanted)),
            "networkmode": "host",
        }
        with self._host.asked("build", wanted.what) as api:
            answer = api.post(
                f"{api.base_url}/v{api.api_version}/build",
                params=asked,
                data=archive,
                headers={"Content-Type": "application/x-tar"},
                stream=True,
                timeout=BUILD_LIMIT_S,
            )
            with answer:
                _raise_for(answer)
                return outcome(json.loads(line) for line in answer.iter_lines() if line)

    # -- a registry of the workspace's -----------------------------------------------------------

    def _in_registry(self, wanted: Wanted) -> str:
        """Return the name that an image has there: what is in it depends on the architecture."""
        return f"{wanted.registry}/{wanted.build.name}-{self._platform[1]}"

    def _is_pushed(self, wanted: Wanted, found: Mapping[str, Any]) -> bool:
        if wanted.registry is None:
            return True
        return bool(digests_of(self._in_registry(wanted), found.get("RepoDigests") or ()))

    def _published(self, wanted: Wanted, tell: Tell) -> str | None:
        """Pull an image that another host has built; None where its registry does not have it."""
        if not self._is_published(wanted):
            return None
        there = self._in_registry(wanted)
        image = self.pull(there, "remove it there, and it is built again", tell)
        self._tag(image, wanted.build.name)
        return image

    def _is_published(self, wanted: Wanted) -> bool:
        there = wanted.registry and self._registry.ask(self._in_registry(wanted))
        return bool(there and there.digest)

    def _tag(self, image: str, name: str) -> None:
        with self._host.asked("name", f"image {image}") as api:
            api.tag(image, *parts_of(name))

    def push(self, image: str, to: str, tell: Tell) -> str:
        tell(f"pushing image {to}")
        self._tag(image, to)
        with self._host.asked("push", f"image '{to}'") as api:
            user = auth_for(to)
            said = list(api.push(*parts_of(to), stream=True, decode=True, auth_config=user))
        why = " ".join(without_secrets(" ".join(one.get("error", "") for one in said)).split())
        if why:
            what, told = f"image '{to}'", why[:400]
            raise TargetError("push", what, told, sign_in_remedy(), str(self._host))
        return next((one["aux"]["Digest"] for one in said if "Digest" in one.get("aux", ())), "")

    def digest(self, image: str) -> str | None:
        there = self._registry.ask(image)
        return None if there is None else there.digest

    def publish(self, wanted: Wanted, tell: Tell) -> str:
        name = self._in_registry(wanted)
        if not (digest := self.digest(name)):
            self.build(wanted, tell)
            self._registry.forget(name)
            digest = self.digest(name)
        if not digest:  # what was pushed once is not pushed again, and somebody has removed it
            digest = self.push(wanted.build.name, name, tell)
        return f"{name}@{digest}"

    # -- stages ----------------------------------------------------------------------------------

    def remove_stages_of_the_dead(self, own: str = "") -> None:
        """Remove what builds left whose clients were killed; those that go on hold their locks."""
        found = self._stages().keys() - {own}
        if found:
            make_empty_image(self._host)
        for name in found:
            with suppress(Busy), self._alone(name, 0):
                self._remove_stage(name)

    def _remove_stage(self, name: str) -> None:
        """Remove what installed the packages: its layers may hold credentials of an index."""
        for image in self._stages().get(name, ()):
            asked = self._host.asked("clean up after", f"image {name}")
            with asked as api, suppress(errors().APIError):  # a person has made a container of it
                api.remove_image(image)

    def _stages(self) -> Mapping[str, list[str]]:
        """Return the ids of the last layers of stages that install, by the name of their image."""
        filters = {"label": STAGE_LABEL, "dangling": True}
        found: dict[str, list[str]] = {}
        with self._host.asked("list", "images") as api:
            for image in api.images(filters=filters):
                found.setdefault(image["Labels"][STAGE_LABEL], []).append(image["Id"])
        return found


def _labels(wanted: Wanted) -> dict[str, str]:
    role = wanted.build.name.partition(":")[0].removeprefix("inference-")
    return {**wanted.build.labels, names.IMAGE: role}


def _raise_for(answer: Any) -> None:
    """Raise what the Engine says when it refuses a request as a whole."""
    from requests.exceptions import HTTPError  # noqa: PLC0415

    try:
        answer.raise_for_status()
    except HTTPError as refused:
        errors().create_api_error_from_http_exception(refused)


def _of_its_commands(said: str) -> str:
    """Return what the commands of a build printed, without the builder's own lines and colours."""
    plain = COLOUR.sub("", said)  # or a secret would be in pieces
    lines = [line.strip() for line in _FAILED.sub(r"\n(exit code \1)", plain).splitlines()]
    own = [line for line in lines if line and not line.startswith(_OF_THE_BUILDER)]
    return "\n".join([line for line in own if not line.startswith("(exit code ")] or own)
