"""The workspace service as an ASGI application: paths, and the edge where an error is an answer.

Who is refused learns nothing: 401 says that a token is asked for, 403 does not say whether there is
such an endpoint. Why is in the journal.
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference_provider.console.answers import Refused
from inference_provider.console.framing import CLOSES, misframed
from inference_provider.console.handlers import Handlers
from inference_provider.errors import InferenceError, SpecError, TargetError
from inference_provider.observed import Record
from inference_provider.spec.base import ResourceName
from inference_provider.web.log import Log
from inference_provider.web.rates import Rates
from inference_provider.web.refusals import Refusals
from inference_provider.web.source_ranges import address_of, is_in
from inference_provider.workspace.bearer import LONGEST_BYTES, Unproven
from inference_provider.workspace.desk import Caller, Desk, Fetched, NotAllowed
from inference_provider.workspace.tokens import DEFAULT_LIFETIME

BODY_BYTES = 4096
_NAME = TypeAdapter(ResourceName)
_BEARER = "Bearer "
_NOBODY = "Show a token: `Authorization: Bearer …`."
_NOT_YOURS = "You may not do this, or there is no such endpoint."
NOT_NOW = "The records of the workspace cannot be used now. Ask again later."
_ASKED = {"find": 404, "make a token of": 409, "show the keys of": 409}
"""What is refused of an endpoint, by the operation that an error names."""
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Refusal(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(
        self, status: int, told: str, *, why: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(told)
        self.status, self.told = status, told
        self.why = why
        """For the journal; empty where nothing is written down."""
        self.headers = headers or {}


@dataclass(frozen=True)
class Service:
    """What answers the requests of one workspace."""

    desk: Desk
    fetched: Fetched
    """Keys of identity providers, as they were fetched last; it waits for nobody."""
    refusals: Refusals
    router_url: Callable[[], str]
    """Where the endpoints are called."""
    sources: Callable[[], tuple[str, ...] | None] = tuple
    """Ranges of addresses that may ask; empty for all, None for nobody."""
    pages: ASGIApp | None = None
    """What answers all other paths; None where nothing does."""
    clock: Callable[[], float] = time.monotonic
    """Seconds that only go on."""
    rates: Rates = field(default_factory=Rates)
    log: Log = field(default_factory=Log)
    handlers: Handlers = field(default_factory=Handlers)


Work = Callable[[Service, Caller, str, bytes], Any]
"""From who asks, the endpoint and the body: what is answered, as JSON."""


def application(service: Service) -> ASGIApp:
    """Return the service."""
    routes: list[BaseRoute] = [
        Route("/health", _health, methods=["GET"]),
        Route("/endpoints", _asked(service, _endpoints), methods=["GET"]),
        Route("/endpoints/{endpoint}/token", _asked(service, _token), methods=["POST"]),
        Route("/endpoints/{endpoint}/listKeys", _asked(service, _keys), methods=["POST"]),
    ]
    if service.pages is not None:
        routes.append(Mount("/", service.pages))
    inner = Starlette(routes=routes, exception_handlers={HTTPException: _plain})
    inner.router.redirect_slashes = False  # it would lead where a Host says
    return _Edge(inner, service)


class _Edge:
    """Lets in the addresses that may ask, and nobody else, before anything is read."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer, ranges = self._app, self._service.sources()
        if ranges is None:
            answer = _told(503, NOT_NOW)
        elif scope["type"] == "http" and not is_in(scope, ranges):
            answer = _told(403, "Not from this address.")
        elif scope["type"] == "http" and (fault := misframed(scope)):
            answer = _told(fault.status, fault.told, CLOSES)
        await answer(scope, receive, send)


# -- what is asked ---------------------------------------------------------------------------------


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "Healthy"}, headers=_HEADERS)


def _endpoints(service: Service, caller: Caller, _endpoint: str, _body: bytes) -> Any:
    url = service.router_url()
    return {"value": [_shown(one, url) for one in service.desk.endpoints(caller)]}


def _shown(record: Record, url: str) -> dict[str, str]:
    name = record.id.name
    mode = str(record.properties.get("auth_mode"))
    return {"name": name, "authMode": mode, "scoringUri": f"{url}/endpoints/{name}/score"}


def _token(service: Service, caller: Caller, endpoint: str, body: bytes) -> Any:
    return service.desk.token(caller, endpoint, _lifetime(body)).answer


def _lifetime(body: bytes) -> timedelta:
    """Return what a body asks for: nothing, or `{"minutes": 10}`."""
    if not body.strip():
        return DEFAULT_LIFETIME
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON.") from None
    minutes = asked.get("minutes") if isinstance(asked, dict) and len(asked) == 1 else None
    if isinstance(minutes, bool) or not isinstance(minutes, int) or abs(minutes) > 1_000_000:
        raise Refusal(400, 'The body may be left out, or be {"minutes": 10}.')
    return timedelta(minutes=minutes)


def _keys(service: Service, caller: Caller, endpoint: str, _body: bytes) -> Any:
    primary, secondary = service.desk.keys(caller, endpoint)
    return {
        "primaryKey": primary.get_secret_value(),
        "secondaryKey": secondary.get_secret_value(),
    }


# -- how it is answered ----------------------------------------------------------------------------


def _asked(service: Service, work: Work) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            body = await _body(request)
            return await service.handlers.run(partial(_answered, service, work, request, body))
        except Refused as full:  # too many wait
            return _told(full.status, "Too many requests wait. Ask again.", {"retry-after": "1"})
        except Refusal as refusal:
            return _told(refusal.status, refusal.told)
        except ClientDisconnect:
            return _told(400, "The body did not come whole.")

    return answer


async def _body(request: Request) -> bytes:
    read = b""
    async for piece in request.stream():
        read += piece
        if len(read) > BODY_BYTES:
            raise Refusal(413, f"A body has {BODY_BYTES} bytes at the most.")
    return read


def _answered(service: Service, work: Work, request: Request, body: bytes) -> Response:
    who = address_of(request.scope)
    try:
        caller = _caller(service, request)
        who = caller.actor.user
        _refuse_too_many(service, caller)
        endpoint = request.path_params.get("endpoint", "")
        if endpoint and not _is_name(endpoint):
            raise Refusal(403, _NOT_YOURS, why="a name that no endpoint has")
        return JSONResponse(work(service, caller, endpoint, body), headers=_HEADERS)
    except NotAllowed as denied:
        refusal = Refusal(403, _NOT_YOURS, why=str(denied))
    except Refusal as said:
        refusal = said
    except Exception as fault:  # noqa: BLE001 - the edge: no traceback, which may show a token
        refusal = _failed(service, fault)
    if refusal.why:
        service.refusals.add(refusal.status, who, refusal.why)
    return _told(refusal.status, refusal.told, refusal.headers)


def _caller(service: Service, request: Request) -> Caller:
    try:
        return service.desk.caller(_bearer(request), service.fetched)
    except Unproven as said:
        headers = {"www-authenticate": "Bearer"}
        raise Refusal(401, _NOBODY, why=str(said), headers=headers) from None


def _is_name(text: str) -> bool:
    try:
        return bool(_NAME.validate_python(text))
    except ValidationError:
        return False


def _bearer(request: Request) -> str:
    """Return the token of a request. Raises Unproven."""
    shown = request.headers.getlist("authorization")
    if len(shown) != 1:
        raise Unproven("no token was shown" if not shown else "it shows several tokens")
    if not shown[0].startswith(_BEARER) or len(shown[0]) > LONGEST_BYTES:
        raise Unproven("no token was shown")
    return shown[0].removeprefix(_BEARER)


def _refuse_too_many(service: Service, caller: Caller) -> None:
    wait_s = service.rates.wait_s(caller.principal, service.clock())
    if wait_s:
        told = f"Ask again in {wait_s} s."
        headers = {"retry-after": str(wait_s)}
        raise Refusal(429, told, why="above a request a second for long", headers=headers)


def _failed(service: Service, fault: Exception) -> Refusal:
    """Return what is told of a failure: to who may, what is wrong with what is asked for.

    All else is the owner's to know: where records are, and what is in them.
    """
    if isinstance(fault, SpecError):
        return Refusal(400, "; ".join(map(str, fault.faults)))
    if isinstance(fault, TargetError) and fault.operation in _ASKED:
        return Refusal(_ASKED[fault.operation], str(fault))
    service.log.fault(fault)
    if isinstance(fault, InferenceError | OSError):
        return Refusal(503, NOT_NOW)
    return Refusal(500, f"The service failed: {type(fault).__name__}.")


def _plain(_request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    told = {404: "There is no such path.", 405: "This path takes no such request."}
    return _told(status, told.get(status, "This cannot be answered."))


_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    413: "PayloadTooLarge",
    429: "TooManyRequests",
    431: "RequestHeaderFieldsTooLarge",
    500: "InternalServerError",
    503: "ServiceUnavailable",
    505: "HTTPVersionNotSupported",
}


def _told(status: int, told: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error in the shape of Azure's."""
    error = {"code": _CODES.get(status, "Error"), "message": told}
    return JSONResponse({"error": error}, status, headers={**_HEADERS, **(headers or {})})
