"""What all workspaces of this user share on this machine."""

import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from inference_provider.targets.local.store import file_lock


def machine_lock() -> AbstractContextManager[None]:
    """Hold what all of this user's workspaces share, those of other state folders too.

    Jobs of a CI runner have a state folder each, and one set of ports.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not folder.is_absolute() or not os.access(folder, os.W_OK):  # after `su` it is another's
        folder = Path(tempfile.gettempdir())
    path = folder / f"pulumi-inference-{os.getuid()}" / "machine.lock"
    return file_lock(path, "this machine's ports and GPUs")
