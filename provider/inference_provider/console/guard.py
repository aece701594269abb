"""Requests that nothing but a page of this console can have made, and the headers of all answers.

A name of somebody else's may lead to 127.0.0.1 (DNS rebinding), so the Host must be ours; and a
page of another site may send a form here, so the Origin of each change must be ours too.
"""

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_provider.console.framing import CLOSES, misframed
from inference_provider.console.gate import Browsers

_LINK = "Open the link that `inferctl console` shows in its terminal."
OPEN = ("/login", "/static/")
"""Paths that a browser may ask for before it is signed in."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # with no-referrer, a browser sends `Origin: null` with our own forms
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def names_of(port: int) -> tuple[str, ...]:
    """Return the Hosts under which a browser of this machine asks for a port.

    Not `localhost`, which may lead to ::1, where anybody on the machine may listen on this port.
    """
    return (f"127.0.0.1:{port}", *(("127.0.0.1",) if port == 80 else ()))


def cookie_name(port: int) -> str:
    """Return the name of a console's cookie: browsers send cookies to all ports of a host."""
    return f"inferctl-console-{port}"


class Site(NamedTuple):
    """Where browsers find the pages, and by what they are known there."""

    hosts: tuple[str, ...]
    """As browsers name it, with the port; the first is told."""
    cookie: str
    scheme: str = "http"
    door: str = ""
    """Path of the page on which somebody signs in; empty where the terminal shows a link."""


class Guard:
    """Refuses what does not come from a browser that is signed in here."""

    def __init__(self, app: ASGIApp, gate: Browsers, site: Callable[[], Site]) -> None:
        self._app, self._gate, self._site = app, gate, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(Request(scope)) if scope["type"] == "http" else None
        try:
            await (answer or self._app)(scope, receive, with_headers)
        except CancelledError:  # the console ends, and has waited long enough
            if not begun:
                await _refused(503, "The console has ended.")(scope, receive, with_headers)

    def _refusal(self, request: Request) -> ASGIApp | None:
        if fault := misframed(request.scope):
            return _refused(fault.status, fault.told, CLOSES)
        host, path, site = request.headers.get("host", ""), request.url.path, self._site()
        if host not in site.hosts:
            return _refused(421, f"This console is at {site.scheme}://{site.hosts[0]}/ only.")
        ours = request.headers.get("origin") == f"{site.scheme}://{host}"
        if request.method not in ("GET", "HEAD") and not ours:
            return _refused(403, "A page of another site sent this. Nothing was done.")
        browser = request.cookies.get(site.cookie, "")
        if self._gate.knows(browser):
            request.scope["browser"] = browser
        elif not path.startswith(OPEN):
            return self._to_the_door(request)
        return None

    def _to_the_door(self, request: Request) -> ASGIApp:
        """Lead who opens a page to where somebody signs in, and refuse all else."""
        door = self._site().door
        if door and request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate":
            return RedirectResponse(door, 303)
        told = f"Sign in at {door}." if door else _LINK
        return _refused(401, told)


def _refused(status: int, text: str, more: Mapping[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status, more)
