"""A place -> the target that it names.

Each kind has an opener, which imports its target: opening one kind loads nothing of the others.
"""

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING

from inference_provider.errors import CapabilityMissing
from inference_provider.secret_stores.opened import open_store
from inference_provider.spec.target import Place, kind_of
from inference_provider.workspace.engine import Engine

if TYPE_CHECKING:
    from inference_provider.targets.images import ImageBuilder


def open_target(place: Place = "local") -> Engine:
    """Open the target that a place names; all threads of a process get the same one.

    So they publish together. The memory target is not here: only tests use it, and make it
    themselves.

    Raises:
        CapabilityMissing: No target of that kind is supported yet.
    """
    kind = kind_of(place)
    opener = _OPENERS.get(kind)
    if opener is None:
        *others, last = (f"'{name}'" for name in _OPENERS)
        known = f"{', '.join(others)} or {last}"
        raise CapabilityMissing("open", f"target '{kind}'", "not supported yet", f"use {known}")
    with _opening:  # two concurrent first callers must get the same target
        where, make = opener(place)
        if (kind, where) not in _opened:
            _opened[kind, where] = make()
            _opened[kind, where].open_store = open_store
        return _opened[kind, where]


_opening = threading.Lock()
_opened: dict[tuple[str, Hashable], Engine] = {}

_Opener = Callable[[Place], tuple[Hashable, Callable[[], Engine]]]
"""Returns what makes a place the same as another of its kind, and what opens it."""


def _local(_place: Place) -> tuple[Hashable, Callable[[], Engine]]:
    """Open `$INFERENCE_STATE_DIR`, or the user's own state folder."""
    from inference_provider.targets.local.folders import state_folder  # noqa: PLC0415
    from inference_provider.targets.local.target import LocalTarget  # noqa: PLC0415

    folder = state_folder()
    return folder, lambda: LocalTarget.open(folder)


def _docker(place: Place) -> tuple[Hashable, Callable[[], Engine]]:
    """Open a Docker host; one that is named in two ways is two, which lock each other out."""
    from inference_provider.targets.docker.target import DockerTarget  # noqa: PLC0415

    return str(place), lambda: DockerTarget(place)


def _kubernetes(place: Place) -> tuple[Hashable, Callable[[], Engine]]:
    """Open a cluster; what the kubeconfig calls it is what it is."""
    from inference_provider.targets.kubernetes.target import KubernetesTarget  # noqa: PLC0415

    return str(place), lambda: KubernetesTarget(place, _engine)


def _engine() -> "ImageBuilder":
    """Return what builds images for clusters: the Engine that Docker's own command line takes."""
    from inference_provider.targets.docker.host import DockerHost  # noqa: PLC0415
    from inference_provider.targets.docker.images import HostImages  # noqa: PLC0415

    return HostImages(DockerHost("docker"))


_OPENERS: Mapping[str, _Opener] = {
    "local": _local,
    "docker": _docker,
    "kubernetes": _kubernetes,
}
