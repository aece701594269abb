"""The process: `python -m inference_provider.web FOLDER WORKSPACE HOST PORT SCHEME PAGES VERSION`.

It runs under the workspace's supervisord, apart from what scales, moves splits and scores: when it
ends, nobody gets new tokens, and nothing else happens. Whoever starts it replaces it where any of
its arguments should be another.
"""

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from inference_provider.console.connection import SERVER
from inference_provider.errors import InferenceError
from inference_provider.secret_stores.opened import open_store
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.target import LocalTarget
from inference_provider.targets.local.web_process import PAGES, is_the_web_process, web_folder
from inference_provider.web.application import Service, application
from inference_provider.web.listener import Loop, listening
from inference_provider.web.log import Log
from inference_provider.web.pages import Pages, pages
from inference_provider.web.provider_keys import ProviderKeys
from inference_provider.web.refusals import Refusals
from inference_provider.web.site import site_of
from inference_provider.web.tls import context_of, renew
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.state import State

_PERIOD_S = 1.0
_LAST_S = 5.0
_NICENESS = 10
"""Below what scores, where both want the processor."""


def main() -> None:
    """Answer until this process is ended, or its supervisord is."""
    root, workspace, host, port, scheme, with_pages, _version = sys.argv[1:]
    parent = os.getppid()
    target = _OneWorkspace.open(Path(root))
    target.only, target.open_store = workspace, open_store
    if not is_the_web_process(target.local.router(workspace).supervisor):
        sys.exit("it runs under the workspace's supervisord alone; `inferctl up` starts it")
    os.nice(_NICENESS)
    folders = Folders(target.local.router(workspace).folders.root, workspace)
    state = State(FileRecords(folders))
    tls = state.tls()
    if (scheme == "https") != (tls is not None):
        sys.exit(f"it is to speak {scheme}, which the workspace does not; `inferctl up` mends it")
    context = context_of(tls.tls) if tls else None
    desk = target.desk(workspace)
    keys = ProviderKeys(web_folder(folders), desk.provider)
    log = Log()
    refusals = Refusals(desk.note_refused, log=log)
    sources = _Sources(state)
    site = site_of(host, int(port), tls.tls if tls else None)
    shown = Pages(desk, target, keys.text, refusals, site, log)
    service = Service(
        desk,
        keys.text,
        refusals,
        router_url=lambda: target.local.router(workspace).address().url,
        sources=sources.get,
        pages=pages(shown) if with_pages == PAGES else None,
        log=log,
    )
    threading.Thread(target=_repeat, args=(log, keys.look), daemon=True).start()

    def look() -> None:
        if os.getppid() != parent:
            os._exit(1)  # the next supervisord starts another
        sources.look()
        refusals.flush()

    threading.Thread(target=_repeat, args=(log, look), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # or it would end at once
    try:
        listener = listening(host, int(port), log)
        with listener, asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(_serve(service, listener, context, state, tls))
    finally:
        for change in shown.handlers.changing():  # of a split that somebody has begun
            change.join(_LAST_S)
        refusals.flush(at_end=True)


class _OneWorkspace(LocalTarget):
    """The target, as if it had no other workspace: pages show all that there are."""

    only = ""

    def workspaces(self) -> tuple[str, ...]:
        return (self.only,)


class _Sources:
    """The addresses that may ask, read each second: so no request is held up by a disk."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._found: tuple[str, ...] | None = None
        self.look()

    def look(self) -> None:
        found = None
        try:
            found = tuple(self._state.edge()["sources"])
        finally:
            self._found = found

    def get(self) -> tuple[str, ...] | None:
        """Return ranges, empty for all; None where nobody knows, so that nobody may ask."""
        return self._found


async def _serve(
    service: Service,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    state: State,
    shown: KeptTls | None,
) -> None:
    given: dict[str, Any] = {"ssl_context_factory": lambda *_: context} if context else {}
    config = uvicorn.Config(application(service), **SERVER, **given)
    server = uvicorn.Server(config)
    watch = asyncio.create_task(_keep_certificate(server, context, state, shown, service))
    try:
        await server.serve(sockets=[listener])
    finally:
        watch.cancel()


async def _keep_certificate(
    server: uvicorn.Server,
    context: ssl.SSLContext | None,
    state: State,
    shown: KeptTls | None,
    service: Service,
) -> None:
    """Show a new certificate; where only a process that starts again can, end this one."""
    while context is not None and shown is not None:
        await asyncio.sleep(_PERIOD_S)
        try:
            kept = await asyncio.to_thread(state.tls)
            if kept is None or kept.tls == shown.tls:
                continue
            if not renew(context, shown.tls, kept.tls, by_name=service.pages is not None):
                server.should_exit = True
                return
            shown = kept
        except (InferenceError, OSError, ValueError) as fault:
            told = "the certificate of the workspace cannot be shown, and the one before stays"
            service.log.tell(f"{told}: {fault}")


def _repeat(log: Log, look: Callable[[], None]) -> None:
    """Look for ever, and tell what fails."""
    while True:
        try:
            look()
        except Exception as fault:  # noqa: BLE001 - a thread that ends would leave what was
            log.fault(fault)
        time.sleep(_PERIOD_S)


if __name__ == "__main__":
    try:
        main()
    except InferenceError as fault:
        sys.exit(str(fault))
    except Exception:  # noqa: BLE001 - whatever it is, it ends the process
        traceback.print_exc()
        os._exit(1)
