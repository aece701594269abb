"""What registries have, asked through the Engine of a host, which may reach more than a client.

Who asks is whom a connection of the workspace names (`targets/sign_in.py`), else whom Docker's
configuration names.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from inference_provider.errors import TargetError
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.sign_in import is_signed_in, login_for
from inference_provider.workspace.registry_login import Login

_ASK_S = 5.0
"""Longest wait for a registry, seconds: a host without a way out is not asked again and again."""
_FRESH_S = 60.0
"""How long an answer counts as new: one command asks once for each name."""


def sign_in_remedy() -> str:
    """Say what helps where a registry refuses this user."""
    if not is_signed_in():
        return "run `docker login` for its registry, or name one that the host reaches"
    return "declare a connection of category ContainerRegistry, or run `docker login`"


def auth_for(image: str) -> dict[str, str] | None:
    """Return as whom an image is pulled or pushed; None for whom Docker's configuration names."""
    return _auth_of(login_for(image))


def _auth_of(login: Login | None) -> dict[str, str] | None:
    if login is None:
        return None
    return {"username": login.username, "password": login.password.get_secret_value()}


class Published(NamedTuple):
    """What a registry has under a name."""

    digest: str
    """Of its manifest, or of its list of manifests; empty when it has none of this name."""
    platforms: tuple[tuple[str, str], ...] = ()
    """Systems and architectures that it is for; empty where the registry does not say."""


class Registries:
    """The registries that one host reaches."""

    def __init__(self, host: DockerHost) -> None:
        self._host = host
        self._asked: dict[tuple[str, Login | None], tuple[float, Published | None]] = {}

    def ask(self, image: str) -> Published | None:
        """Return what the registry of an image has; None where it does not say."""
        asked = image, login_for(image)
        asked_s, answer = self._asked.get(asked, (-_FRESH_S, None))
        if time.monotonic() - asked_s > _FRESH_S:
            answer = self._answer(*asked)
            self._asked[asked] = time.monotonic(), answer
        return answer

    def forget(self, image: str) -> None:
        """Ask for an image again that was pushed in the meantime."""
        for asked in [one for one in self._asked if one[0] == image]:
            self._asked.pop(asked, None)

    def _answer(self, image: str, login: Login | None) -> Published | None:
        from docker.auth import (  # noqa: PLC0415 - only this target needs it
            encode_header,
            get_config_header,
            resolve_repository_name,
        )

        try:
            with self._host.asked("ask", f"the registry of image '{image}'") as api:
                own = _auth_of(login)
                host = resolve_repository_name(image)[0]
                header = encode_header(own) if own else get_config_header(api, host)
                url = f"{api.base_url}/v{api.api_version}/distribution/{quote(image, safe='')}/json"
                given = {"X-Registry-Auth": header} if header else {}
                said = api.get(url, headers=given, timeout=_ASK_S)
        except TargetError:
            return None
        if said.status_code == 404:
            return Published("")
        if said.status_code != 200:
            return None
        found = said.json()
        platforms = [(one["os"], one["architecture"]) for one in found["Platforms"] or ()]
        return Published(found["Descriptor"]["digest"], tuple(p for p in platforms if all(p)))


def digests_of(image: str, known: Iterable[str]) -> frozenset[str]:
    """Return the digests under which a host pulled an image from the repository of its name.

    Args:
        image: `registry/name:tag`; with `@sha256:…` it never moves, so there are none.
        known: Of all repositories, `registry/name@sha256:…`.
    """
    if "@" in image:
        return frozenset()
    repository = _familiar(parts_of(image)[0])
    pairs = (one.partition("@") for one in known)
    return frozenset(digest for name, _, digest in pairs if _familiar(name) == repository)


def parts_of(image: str) -> tuple[str, str]:
    """Return repository and tag of a name; a port is part of the first."""
    folder, slash, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{folder}{slash}{name}", tag or "latest"


def _familiar(repository: str) -> str:
    """Return a repository's name as the Engine lists it."""
    for prefix in ("index.docker.io/", "docker.io/", "library/"):
        repository = repository.removeprefix(prefix)
    return repository
