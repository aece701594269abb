"""A workspace of this machine without a record: started by its first `up`, and cleared away.

What is left of one that was interrupted is nobody's.
"""

import shutil
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from inference_provider.errors import InferenceError, TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.local.addresses import choose_address
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.leftovers import end_processes
from inference_provider.targets.local.machine import machine_lock
from inference_provider.targets.local.orphans import daemons
from inference_provider.targets.local.router import LocalRouter

DAEMON_WAIT_S = 10.0
"""Seconds between SIGTERM and SIGKILL of a supervisord that does not answer; its router ends
sooner."""


class UnmadeWorkspace:
    """A workspace that its first `up` makes."""

    def __init__(self, router: LocalRouter, spec: WorkspaceSpec) -> None:
        self._router = router
        self._folders = router.folders
        self._spec = spec

    def is_recorded(self) -> bool:
        return self._folders.is_recorded

    def lock(self) -> AbstractContextManager[None]:
        return machine_lock()

    def start(self) -> None:
        host, port = self._spec.bind_address, self._spec.router_port
        self._folders.save_address(choose_address(self._folders.root, host, port))
        self._router.bring_up(lambda: ())

    def clear_away(self) -> None:
        clear_away(self._router)


def clear_away(router: LocalRouter) -> None:
    """End and remove what a first `up` left; its logs, which may say why it failed, stay."""
    folder = router.folders.folder
    if not folder.exists():
        return
    with suppress(InferenceError):  # a supervisord that does not answer is ended by signal
        router.shut_down()
    end_processes(daemons(router.folders.supervisor_folder), DAEMON_WAIT_S)
    router.shut_down()  # the router, where its supervisord could not end it
    for started in (
        router.folders.supervisor_folder,
        router.folders.router_folder,
        folder / "records",
    ):
        shutil.rmtree(started, ignore_errors=True)
    (folder / "records" / f"Workspace.{router.folders.workspace}.json").unlink(missing_ok=True)
    router.folders.drop_address()


def delete_unrecorded(router: LocalRouter) -> None:
    """End and remove a workspace of which nothing is recorded: it is nobody's.

    Raises:
        TargetError: Something is recorded, and only the file that says where it listens is lost.
    """
    folders = router.folders
    if not folders.folder.exists():
        return
    with machine_lock():
        if not folders.is_recorded:
            clear_away(router)
            folders.remove()
        elif not folders.exists:
            raise TargetError(
                "delete",
                f"workspace '{folders.workspace}'",
                f"its workspace.json is lost, and {folders.folder} still has its records",
                "run `inferctl up`, which makes that file again, then delete it",
            )


def unrecorded(root: Path) -> list[str]:
    """Return the workspaces without a record whose supervisord runs."""
    notes = (root / "workspaces").glob("*/supervisor/supervisord.pid")
    folders = [Folders(root, note.parents[1].name) for note in notes]
    unknown = [one for one in folders if not one.exists]
    return [one.workspace for one in unknown if daemons(one.supervisor_folder)]
