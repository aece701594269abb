"""What a kubelet changes in the kernel of this machine, kept and put back."""

import json
from pathlib import Path

from tests.cluster.places import Places

_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
_ROOT = Path("/proc/sys")


def keep(at: Places) -> None:
    found = {name: (_ROOT / name).read_text() for name in _SETTINGS}
    _file(at).write_text(json.dumps(found))


def put_back(at: Places) -> None:
    """Put back what was kept, if anything was."""
    if _file(at).exists():
        for name, value in json.loads(_file(at).read_text()).items():
            (_ROOT / name).write_text(value)


def _file(at: Places) -> Path:
    return at.run / "kernel.json"
