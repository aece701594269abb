"""A place -> the target that is there."""

import functools
import threading
from pathlib import Path

from inference_provider.errors import CapabilityMissing
from inference_provider.spec.target import Place, kind_of
from inference_provider.targets.base import Target
from inference_provider.targets.local.folders import state_folder
from inference_provider.targets.local.target import LocalTarget


def open_target(place: Place = "local") -> Target:
    """Open what a place names.

    `local` has its state folder at `$INFERENCE_STATE_DIR`, or in the user's own. A memory target is
    made by the test that uses it, and kept from users.

    Raises:
        CapabilityMissing: No target of that kind is supported yet.
    """
    kind = kind_of(place)
    if kind != "local":
        raise CapabilityMissing("open", f"target '{kind}'", "not supported yet", "use 'local'")
    with _opening:  # two first callers at once open one
        return _local(state_folder())


_opening = threading.Lock()


@functools.cache
def _local(folder: Path) -> LocalTarget:
    """Return one target a folder: the threads of a process publish what waits together."""
    return LocalTarget.open(folder)
