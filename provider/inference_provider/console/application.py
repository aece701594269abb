"""The console as an ASGI application: paths, and the edge where an error becomes a page."""

import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from inference_provider.console import (
    chat,
    consume,
    drifted,
    endpoint,
    logs,
    overview,
    rights,
    trial,
    waive,
)
from inference_provider.console.answers import Refused, error_page, page
from inference_provider.console.forms import FIELD_OF_TOKEN, FORM_BYTES, read_form
from inference_provider.console.gate import Gate
from inference_provider.console.guard import Guard, Site, cookie_name, names_of
from inference_provider.console.opened import Asked, Console
from inference_provider.errors import InferenceError, SpecError, TargetUnreachable
from inference_provider.secret_text import hidden

Handler = Callable[[Asked], Response]
_Endpoint = Callable[[Request], Awaitable[Response]]

OF_ENDPOINT = "/endpoints/{workspace}/{endpoint}"
PAGES: dict[str, Handler] = {
    "/": overview.overview,
    "/drift": drifted.drift,
    "/drift/verdict": drifted.drift_verdict,
    "/drift/waive": waive.waive,
    "/journal/{workspace}": rights.journal,
    OF_ENDPOINT: endpoint.endpoint,
    f"{OF_ENDPOINT}/logs": logs.logs,
    f"{OF_ENDPOINT}/test": trial.trial,
    f"{OF_ENDPOINT}/chat": chat.chat,
    f"{OF_ENDPOINT}/consume": consume.consume,
    f"{OF_ENDPOINT}/access": rights.rights,
}
"""What a browser reads."""
ACTS: dict[str, Handler] = {
    "/drift/fix": drifted.plan_fix,
    "/drift/fix/apply": drifted.apply_fix,
    "/drift/waive": waive.plan_waiver,
    "/drift/waive/apply": waive.apply_waiver,
    f"{OF_ENDPOINT}/split": endpoint.plan_split,
    f"{OF_ENDPOINT}/split/apply": endpoint.apply_split,
    f"{OF_ENDPOINT}/test": trial.call,
    f"{OF_ENDPOINT}/chat": chat.say,
    f"{OF_ENDPOINT}/consume": consume.reveal,
}
"""What a form of ours asks for."""
SIGN_OUT = "/sign-out"
MOST_BYTES = {
    f"{OF_ENDPOINT}/test": (trial.BODY_MIB << 20) + FORM_BYTES,
    f"{OF_ENDPOINT}/chat": chat.FORM_MIB << 20,
}
"""The largest forms, where they are larger than others."""


def application(console: Console, port: int) -> ASGIApp:
    """Return the console on one port of this machine, whose terminal shows links to sign in."""
    cookie = cookie_name(port)
    login = Route("/login", partial(_login, console, cookie), methods=["GET"])
    site = Site(names_of(port), cookie)
    return guarded(console, [login], lambda: site)


def guarded(console: Console, doors: Iterable[Route], site: Callable[[], Site]) -> ASGIApp:
    """Return the pages, for browsers that are signed in.

    Args:
        console: What they show.
        doors: Where somebody signs in.
        site: Returns where browsers find them now.
    """
    acts: dict[str, Handler] = {**ACTS, SIGN_OUT: partial(_sign_out, site)}
    routes = [
        *doors,
        Mount("/static", StaticFiles(packages=[("inference_provider.console", "static")])),
        *(Route(path, _reads(console, path, one), methods=["GET"]) for path, one in PAGES.items()),
        *(Route(path, _acts(console, path, one), methods=["POST"]) for path, one in acts.items()),
    ]
    inner = Starlette(routes=routes, exception_handlers={HTTPException: _plain})
    return Guard(inner, console.gate, site)


async def _login(console: Console, cookie: str, request: Request) -> Response:
    if request.method == "HEAD":  # as previews of links ask: it must not use the link up
        told = "Open this link in a browser."
        return PlainTextResponse(f"{told}\n", 405, {"allow": "GET"})
    assert isinstance(console.gate, Gate)
    browser = console.gate.sign_in(request.query_params.get("token", ""))
    if not browser:
        told = "This link was used already, or is wrong. The terminal of the console shows another."
        return PlainTextResponse(f"{told}\n", 403)
    # a page that leads on, since a redirect from elsewhere would not bring a strict cookie back
    answer = page("login", Asked(console, request)._replace(request=_as(request, browser)).shown)
    answer.set_cookie(cookie, browser, httponly=True, samesite="strict")
    return answer


def _as(request: Request, browser: str) -> Request:
    request.scope["browser"] = browser
    return request


def _sign_out(where_now: Callable[[], Site], asked: Asked) -> Response:
    asked.console.gate.sign_out(asked.browser)
    site = where_now()
    where = f"Sign in again at {site.door}." if site.door else "Its terminal shows a link."
    answer = PlainTextResponse(f"Signed out of the console. {where}\n")
    secure = site.scheme == "https"
    answer.delete_cookie(site.cookie, httponly=True, samesite="strict", secure=secure)
    return answer


def _reads(console: Console, path: str, handler: Handler) -> _Endpoint:
    async def answer(request: Request) -> Response:
        return await _run(Asked(console, request), path, handler)

    return answer


def _acts(console: Console, path: str, handler: Handler) -> _Endpoint:
    most_bytes = MOST_BYTES.get(path, FORM_BYTES)

    async def answer(request: Request) -> Response:
        asked = Asked(console, request)
        try:
            asked = asked._replace(form=await read_form(request, most_bytes))
        except Refused as refused:
            return error_page(asked.shown, refused.status, refused.told)
        except ClientDisconnect:
            return PlainTextResponse("The form did not come whole. Nothing was done.\n", 400)
        if not console.gate.is_own_form(asked.browser, asked.form.text(FIELD_OF_TOKEN)):
            told = "This form is not of a page that this browser was shown. Nothing was done."
            return error_page(asked.shown, 403, told, asked.typed)
        return await _run(asked, path, handler)

    return answer


async def _run(asked: Asked, path: str, handler: Handler) -> Response:
    work = partial(_answered, asked, path, handler)
    try:
        changes, handlers = handler is endpoint.apply_split, asked.console.handlers
        return await handlers.run(work, changes=changes, browser=asked.browser)
    except Refused as refused:
        return error_page(asked.shown, refused.status, refused.told, asked.typed)


def _answered(asked: Asked, path: str, handler: Handler) -> Response:
    try:
        return handler(asked.console.admit(asked, path))
    except Refused as refused:
        return error_page(asked.shown, refused.status, refused.told, asked.typed)
    except InferenceError as exc:
        return error_page(asked.shown, _status(exc), str(exc), asked.typed)
    except Exception as exc:  # noqa: BLE001 - the edge: one sentence, no traceback
        told = (asked.console.failed or partial(_failed, asked))(exc)
        return error_page(asked.shown, 500, told, asked.typed)


def _failed(asked: Asked, exc: Exception) -> str:
    if asked.console.session.traceback:
        sys.stderr.write(hidden(traceback.format_exc()))
    return f"{type(exc).__name__}: {exc}; `inferctl --traceback console` shows where"


def _status(error: InferenceError) -> int:
    if isinstance(error, SpecError):
        return 400
    return 503 if isinstance(error, TargetUnreachable) else 409


def _plain(_request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    told = {404: "There is no such page.", 405: "This page takes no such request."}
    return PlainTextResponse(f"{told.get(status, 'This cannot be read.')}\n", status)
