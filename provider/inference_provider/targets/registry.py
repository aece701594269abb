"""A place -> the target that it names."""

import functools
import threading
from pathlib import Path

from inference_provider.errors import CapabilityMissing
from inference_provider.spec.target import Place, kind_of
from inference_provider.targets.base import Target
from inference_provider.targets.local.folders import state_folder
from inference_provider.targets.local.target import LocalTarget


def open_target(place: Place = "local") -> Target:
    """Open the target that a place names.

    `local` keeps its state in `$INFERENCE_STATE_DIR`, or in the user's own state folder. The memory
    target is not here: only tests use it, and make it themselves.

    Raises:
        CapabilityMissing: No target of that kind is supported yet.
    """
    kind = kind_of(place)
    if kind != "local":
        raise CapabilityMissing("open", f"target '{kind}'", "not supported yet", "use 'local'")
    with _opening:  # two concurrent first callers must get the same target
        return _local(state_folder())


_opening = threading.Lock()


@functools.cache
def _local(folder: Path) -> LocalTarget:
    """Return one target per folder, so that all threads of a process publish together."""
    return LocalTarget.open(folder)
