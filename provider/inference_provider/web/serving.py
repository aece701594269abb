"""What serves one workspace over HTTP, wherever its target is: a place goes in, and it answers.

A place says what it opened, and where it listens: `on_this_machine.py` opens one.
"""

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from inference_provider.console.connection import SERVER
from inference_provider.console.guard import Site
from inference_provider.errors import InferenceError, TargetError, TargetUnreachable
from inference_provider.router.table import Tls
from inference_provider.secret_stores.opened import open_store
from inference_provider.targets.web_told import UNSHOWN, note_shown, note_unshown
from inference_provider.web.application import Service, application
from inference_provider.web.declared import undeclared
from inference_provider.web.listener import Loop, listening
from inference_provider.web.log import Log
from inference_provider.web.pages import Pages, pages
from inference_provider.web.provider_keys import ProviderKeys
from inference_provider.web.refusals import Refusals
from inference_provider.web.source_ranges import Sources
from inference_provider.web.tls import Handshakes
from inference_provider.workspace.engine import Engine
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
    """Where fetched keys of an identity provider are kept, so that they survive a restart, and what
    the status of the workspace tells of the service."""
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
    keeps: Callable[[], None] = lambda: None
    """Keeps the folder elsewhere; called each second."""
    listens: Callable[[], None] = lambda: None
    """Called when it listens."""


def serve(place: Place) -> None:
    """Answer until this process is ended."""
    target, workspace, state = place.target, place.workspace, place.state
    target.only, target.open_store = workspace, open_store
    tls = state.tls()
    if (place.scheme == "https") != (tls is not None):
        sys.exit(undeclared(place.scheme))
    handshakes = _begun(tls.tls) if tls else None
    note_shown(place.folder)
    desk = target.desk(workspace)
    keys = ProviderKeys(place.folder, desk.provider)
    log = Log()
    refusals = Refusals(desk.note_refused, log=log)
    sources = Sources(state)
    site = _Sites(place, handshakes)
    shown = Pages(desk, target, keys.text, refusals, site.now, log=log)
    service = Service(
        desk,
        keys.text,
        refusals,
        router_url=place.router_url,
        sources=sources.get,
        pages=pages(shown) if place.pages else None,
        log=log,
    )

    def look_for_keys() -> None:
        keys.look()
        place.keeps()

    def look() -> None:
        place.look_on()
        sources.look()
        refusals.flush()

    for one in (look_for_keys, look):  # a provider may let it wait
        threading.Thread(target=_repeat, args=(log, one), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # or it would end at once
    try:
        listener = listening(place.host, place.port, log)
        place.listens()
        with listener, asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(_serve(place, service, listener, handshakes))
    finally:
        for change in shown.handlers.changing():  # of a split that somebody has begun
            change.join(_LAST_S)
        refusals.flush(at_end=True)


def _begun(tls: Tls) -> Handshakes:
    try:
        return Handshakes(tls)
    except (OSError, ValueError) as fault:
        sys.exit(f"{UNSHOWN}: {fault}; `inferctl up` with another one fixes it")


class _Sites:
    """By which names browsers find the pages: those of the certificate that is shown now."""

    def __init__(self, place: Place, handshakes: Handshakes | None) -> None:
        self._place, self._handshakes = place, handshakes
        self._of: tuple[Tls | None, Site] | None = None

    def now(self) -> Site:
        """Return them."""
        shown = self._handshakes.shown if self._handshakes else None
        if self._of is None or self._of[0] is not shown:  # reading a certificate takes time
            self._of = shown, self._place.site(shown)
        return self._of[1]


async def _serve(
    place: Place, service: Service, listener: socket.socket, handshakes: Handshakes | None
) -> None:
    given: dict[str, Any] = {"ssl_context_factory": lambda *_: handshakes} if handshakes else {}
    server = uvicorn.Server(uvicorn.Config(application(service), **SERVER, **given))
    kept = keep_certificate(server, place.state, place.folder, service.log, handshakes)
    watch = asyncio.create_task(kept)
    try:
        await server.serve(sockets=[listener])
    finally:
        watch.cancel()


async def keep_certificate(
    server: uvicorn.Server, state: State, folder: Path, log: Log, handshakes: Handshakes | None
) -> None:
    """Show the certificate of the workspace as it is now, and end what went by other settings.

    Looks each second, whatever fails.

    Args:
        server: Whose connections end.
        state: The workspace's, which has the certificate.
        folder: Where it is written down why that cannot be shown.
        log: Told too.
        handshakes: What is renewed; None where the server speaks plain HTTP.
    """
    while handshakes is not None:
        await asyncio.sleep(_PERIOD_S)
        try:
            await _renew(state, folder, log, handshakes)
            for one in [*server.server_state.connections]:
                if handshakes.is_over(one.transport.get_extra_info("ssl_object")):
                    one.shutdown()  # after what it has begun
        except Exception as fault:  # noqa: BLE001 - a task that ends would leave what was
            log.fault(fault)


async def _renew(state: State, folder: Path, log: Log, handshakes: Handshakes) -> None:
    try:
        kept = await asyncio.to_thread(state.tls)
        if kept is not None and kept.tls != handshakes.shown:
            handshakes.renew(kept.tls)
        note_shown(folder)
    except TargetUnreachable:  # nothing is known of it
        pass
    except (InferenceError, OSError, ValueError) as fault:
        with suppress(TargetError):  # a disk that is full: its log says it all the same
            note_unshown(folder, str(fault))
        log.tell(f"{UNSHOWN}: {fault}")


def _repeat(log: Log, look: Callable[[], None]) -> None:
    """Look for ever, and tell what fails."""
    while True:
        try:
            look()
        except Exception as fault:  # noqa: BLE001 - a thread that ends would leave what was
            log.fault(fault)
        time.sleep(_PERIOD_S)
