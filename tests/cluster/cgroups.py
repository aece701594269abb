"""The control groups under which the kubelet makes those of its pods."""

import os
import time
from pathlib import Path

from tests.cluster.places import NETWORK, say

_ROOT = Path("/sys/fs/cgroup")
_LIMIT_S = 20.0


def make() -> None:
    for root in _hierarchies():
        (root / NETWORK).mkdir(exist_ok=True)


def remove() -> None:
    """Remove them, as soon as the kernel has ended what ran there."""
    until_s = time.monotonic() + _LIMIT_S
    for root in _hierarchies():
        for folder, _, _ in os.walk(root / NETWORK, topdown=False):
            while not _removed(folder):
                if time.monotonic() > until_s:
                    say(f"cannot remove {folder}: a process still runs there")
                    return
                time.sleep(0.05)


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _hierarchies() -> list[Path]:
    """List the roots of the machine's control groups, one for each controller in version 1."""
    if (_ROOT / "cgroup.procs").exists():
        return [_ROOT]
    return [one for one in sorted(_ROOT.iterdir()) if (one / "cgroup.procs").exists()]
