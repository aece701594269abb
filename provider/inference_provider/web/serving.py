"""What serves one workspace over HTTP, wherever its target is: a place goes in, and it answers.

A place says what it opened, and where it listens: `on_this_machine.py` opens one.
"""

import asyncio
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from inference_provider.console.connection import SERVER
from inference_provider.console.guard import Site
from inference_provider.errors import InferenceError
from inference_provider.router.table import Tls
from inference_provider.secret_stores.opened import open_store
from inference_provider.web.application import Service, application
from inference_provider.web.listener import Loop, listening
from inference_provider.web.log import Log
from inference_provider.web.pages import Pages, pages
from inference_provider.web.provider_keys import ProviderKeys
from inference_provider.web.refusals import Refusals
from inference_provider.web.tls import context_of, renew
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.state import State

_PERIOD_S = 1.0
_LAST_S = 5.0


class OneWorkspace(Engine):
    """A target as if it had no other workspace: pages show all that there are.

    A place derives its target from it, before the class of its kind.
    """

    only = ""

    def workspaces(self) -> tuple[str, ...]:
        return (self.only,)


@dataclass(frozen=True)
class Place:
    """Where a workspace is that is served."""

    target: OneWorkspace
    workspace: str
    state: State
    """The workspace's records, which are read each second."""
    router_url: Callable[[], str]
    """Where the endpoints are called."""
    folder: Path
    """Where fetched keys of an identity provider are kept, so that they survive a restart."""
    host: str
    """Address that it listens on."""
    port: int
    scheme: str
    """`http` or `https`: what whoever started it took the workspace to speak."""
    site: Callable[[Tls | None], Site]
    """By which names browsers find it, given the certificate that it shows."""
    pages: bool
    """Whether it serves the console."""
    look_on: Callable[[], None] = lambda: None
    """Ends this process where it may not go on; called each second."""
    listens: Callable[[], None] = lambda: None
    """Called when it listens."""


def serve(place: Place) -> None:
    """Answer until this process is ended."""
    target, workspace, state = place.target, place.workspace, place.state
    target.only, target.open_store = workspace, open_store
    tls = state.tls()
    if (place.scheme == "https") != (tls is not None):
        remedy = "`inferctl up` mends it"
        sys.exit(f"it is to speak {place.scheme}, which the workspace does not; {remedy}")
    context = context_of(tls.tls) if tls else None
    desk = target.desk(workspace)
    keys = ProviderKeys(place.folder, desk.provider)
    log = Log()
    refusals = Refusals(desk.note_refused, log=log)
    sources = _Sources(state)
    site = place.site(tls.tls if tls else None)
    shown = Pages(desk, target, keys.text, refusals, site, log)
    service = Service(
        desk,
        keys.text,
        refusals,
        router_url=place.router_url,
        sources=sources.get,
        pages=pages(shown) if place.pages else None,
        log=log,
    )
    threading.Thread(target=_repeat, args=(log, keys.look), daemon=True).start()

    def look() -> None:
        place.look_on()
        sources.look()
        refusals.flush()

    threading.Thread(target=_repeat, args=(log, look), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # or it would end at once
    try:
        listener = listening(place.host, place.port, log)
        place.listens()
        with listener, asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(_serve(service, listener, context, state, tls))
    finally:
        for change in shown.handlers.changing():  # of a split that somebody has begun
            change.join(_LAST_S)
        refusals.flush(at_end=True)


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
