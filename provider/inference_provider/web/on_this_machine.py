"""The service of a workspace of this machine: a program of the workspace's supervisord."""

import os
import sys
from functools import partial
from pathlib import Path

from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.target import LocalTarget
from inference_provider.targets.local.web_process import is_the_web_process, web_folder
from inference_provider.targets.web_service import PAGES
from inference_provider.web.declared import await_declared
from inference_provider.web.serving import OneWorkspace, Place
from inference_provider.web.site import site_of
from inference_provider.workspace.state import State

_NICENESS = 10
"""Below what scores, where both want the processor."""


class _Target(OneWorkspace, LocalTarget):
    """This machine, as if it had no other workspace."""


def opened(root: Path, *given: str) -> Place:
    """Open a state folder, for a process that ends with the supervisord that has started it."""
    workspace, host, port, scheme, pages, _version = given
    parent = os.getppid()
    target = _Target.open(root)
    router = target.local.router(workspace)
    if not is_the_web_process(router.supervisor):
        sys.exit("it runs under the workspace's supervisord alone; `inferctl up` starts it")
    os.nice(_NICENESS)
    folders = Folders(router.folders.root, workspace)

    def look_on() -> None:
        if os.getppid() != parent:
            os._exit(1)  # the next supervisord starts another

    state = State(FileRecords(folders))
    await_declared(state, scheme, look_on)
    return Place(
        target=target,
        workspace=workspace,
        state=state,
        router_url=lambda: router.address().url,
        folder=web_folder(folders),
        host=host,
        port=int(port),
        scheme=scheme,
        site=partial(site_of, host, int(port)),
        pages=pages == PAGES,
        look_on=look_on,
    )
