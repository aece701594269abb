"""What this machine and its user allow: one lock for all workspaces, paths, limits."""

import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from inference_provider.targets.local.store import Store, file_lock

SOCKET_PATH_LIMIT = 96
"""A Unix socket's path may have 107 bytes; supervisord adds a suffix of its own while it binds."""
OTHER_FOLDER = "set INFERENCE_STATE_DIR to another folder"


def machine_lock() -> AbstractContextManager[None]:
    """Hold what all of this user's workspaces share, those of other state folders too.

    Jobs of a CI runner have a state folder each, and one set of ports.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not folder.is_absolute() or not os.access(folder, os.W_OK):  # after `su` it is another's
        folder = Path(tempfile.gettempdir())
    path = folder / f"pulumi-inference-{os.getuid()}" / "machine.lock"
    return file_lock(path, "this machine's ports and GPUs")


def shown(path: Path) -> str:
    """Write a path for a person; its bytes may be no text."""
    return os.fsencode(path).decode(errors="backslashreplace")


def path_fault(store: Store) -> str:
    """Say why a workspace cannot run in its folder; empty when it can."""
    path = os.fsencode(store.supervisor_folder / "s.sock")
    try:
        path.decode()
    except UnicodeDecodeError:
        return f"the state folder's path is no UTF-8 text: {shown(store.root)}"
    if len(path) > SOCKET_PATH_LIMIT:
        return (
            f"the state folder's path is too long: a socket of workspace '{store.workspace}' has"
            f" {len(path)} bytes with it, and may have {SOCKET_PATH_LIMIT}: {shown(store.root)}"
        )
    return ""
