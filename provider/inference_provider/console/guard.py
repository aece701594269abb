"""Requests that nothing but a page of this console can have made, and the headers of all answers.

A name of somebody else's may lead to 127.0.0.1 (DNS rebinding), so the Host must be ours; and a
page of another site may send a form here, so the Origin of each change must be ours too.
"""

from asyncio import CancelledError
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_provider.console.gate import Gate

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
    """Return the Hosts under which a browser of this machine asks for a port."""
    found = [f"127.0.0.1:{port}", f"localhost:{port}"]
    return (*found, *(("127.0.0.1", "localhost") if port == 80 else ()))


def cookie_name(port: int) -> str:
    """Return the name of a console's cookie: browsers send cookies to all ports of a host."""
    return f"inferctl-console-{port}"


class Guard:
    """Refuses what does not come from a browser that is signed in here."""

    def __init__(self, app: ASGIApp, gate: Gate, hosts: Iterable[str], cookie: str) -> None:
        self._app, self._gate, self._cookie = app, gate, cookie
        self._hosts = tuple(hosts)

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
        host, path = request.headers.get("host", ""), request.url.path
        if host not in self._hosts:
            return _refused(421, f"This console is at http://{self._hosts[0]}/ only.")
        if request.method not in ("GET", "HEAD") and not _is_ours(request.headers, host):
            return _refused(403, "A page of another site sent this. Nothing was done.")
        browser = request.cookies.get(self._cookie, "")
        if self._gate.knows(browser):
            request.scope["browser"] = browser
        elif not path.startswith(OPEN):
            told = "Open the link that `inferctl console` shows in its terminal."
            return _refused(401, told)
        return None


def _is_ours(headers: Headers, host: str) -> bool:
    return headers.get("origin") == f"http://{host}"


def _refused(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status)
