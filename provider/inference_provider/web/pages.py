"""The console as part of the workspace service: who is signed in by which token, and may do what.

Each page asks for an action, decided for each request by the roles of who has signed in, as
for any other caller. What is changed and read is theirs in records and in the journal.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from inference_provider.access import Principal, Scope
from inference_provider.console.answers import Refused, Shown, page
from inference_provider.console.application import OF_ENDPOINT, SIGN_OUT, guarded
from inference_provider.console.forms import read_form
from inference_provider.console.gate import Browsers
from inference_provider.console.guard import Site
from inference_provider.console.handlers import Handlers
from inference_provider.console.opened import Asked, Console
from inference_provider.errors import InferenceError
from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.roles import (
    LIST_KEYS,
    READ_ASSIGNMENTS,
    READ_ENDPOINT,
    READ_EVENTS,
    READ_LOGS,
    SCORE,
    TOKEN,
    WRITE_ENDPOINT,
    action_name,
)
from inference_provider.web.log import Log
from inference_provider.web.rates import Rates
from inference_provider.web.refusals import Refusals
from inference_provider.web.session import Calls, SessionOf
from inference_provider.web.source_ranges import is_in
from inference_provider.workspace.bearer import Unproven
from inference_provider.workspace.desk import Caller, Desk, Fetched
from inference_provider.workspace.engine import Engine

T = TypeVar("T")

DOOR = "/login"
NEEDS: Mapping[tuple[str, str], str] = {
    ("GET", "/"): "",
    ("GET", "/drift"): "",  # which is not known here, without a stack file
    ("GET", "/drift/verdict"): "",
    ("GET", "/journal/{workspace}"): READ_EVENTS,
    ("GET", OF_ENDPOINT): "",
    ("GET", f"{OF_ENDPOINT}/access"): READ_ASSIGNMENTS,
    ("GET", f"{OF_ENDPOINT}/chat"): "",
    ("GET", f"{OF_ENDPOINT}/consume"): "",
    ("GET", f"{OF_ENDPOINT}/logs"): READ_LOGS,
    ("GET", f"{OF_ENDPOINT}/test"): "",
    ("POST", f"{OF_ENDPOINT}/chat"): SCORE,
    ("POST", f"{OF_ENDPOINT}/consume"): LIST_KEYS,  # or TOKEN, where it takes tokens
    ("POST", f"{OF_ENDPOINT}/split"): WRITE_ENDPOINT,
    ("POST", f"{OF_ENDPOINT}/split/apply"): WRITE_ENDPOINT,
    ("POST", f"{OF_ENDPOINT}/test"): SCORE,
}
"""What a page needs beside that its endpoint, or all, may be read; any other page is refused."""
_OF_ALL = (READ_ASSIGNMENTS,)
"""What must be allowed on the workspace: the page of an endpoint shows all of that."""
MOST_OF_ONE = 5
"""Browsers that one principal may be signed in with; the one that came first goes."""
SIGN_INS_PER_MINUTE, PAGES_PER_MINUTE = 10, 300
"""Of one principal; a page that is open asks again each few seconds."""
_NOT_HERE = "The workspace service has no stack file. Use `inferctl console` beside the file."
NOT_NOW = "The records of the workspace cannot be used now. Try again later."
_NOBODY = "This token is not valid here: it is wrong, has expired or was revoked."


class Tokens(Browsers):
    """The browsers that are signed in by a token, as long as that counts."""

    def __init__(self, desk: Desk, fetched: Fetched) -> None:
        super().__init__()
        self._desk, self._fetched = desk, fetched
        self._of: dict[Principal, deque[str]] = {}
        self._lock = Lock()

    def admit(self, token: str, who: Principal) -> str:
        """Return a cookie for a token that counts; whose browsers are too many loses the first."""
        with self._lock:
            browser = self._admit(token)
            own = (one for one in self._of.get(who, ()) if self.knows(one))
            held = self._of[who] = deque([*own, browser])
            while len(held) > MOST_OF_ONE:
                self.sign_out(held.popleft())
            gone = [one for one, theirs in self._of.items() if not any(map(self.knows, theirs))]
            for one in gone:
                del self._of[one]
        return browser

    def caller(self, browser: str) -> Caller | None:
        """Return who is signed in; None where the token does not count, or not any more.

        Raises:
            TargetError: What tells that cannot be read now.
        """
        token = self.shown_by(browser)
        try:
            return self._desk.caller(token, self._fetched) if token else None
        except Unproven:
            self.sign_out(browser)
            return None


@dataclass(frozen=True)
class Pages:
    """What the pages of one workspace are made with."""

    desk: Desk
    target: Engine
    """It has no other workspace than this."""
    fetched: Fetched
    refusals: Refusals
    site: Callable[[], Site]
    """By which names browsers find them now."""
    transport: httpx.BaseTransport | None = None
    """How pages that call an endpoint reach its router; the network when None."""
    log: Log = field(default_factory=Log)
    handlers: Handlers = field(default_factory=Handlers)
    clock: Callable[[], float] = time.monotonic
    """Seconds that only go on."""
    sign_ins: Rates = field(default_factory=partial(Rates, SIGN_INS_PER_MINUTE))
    rates: Rates = field(default_factory=partial(Rates, PAGES_PER_MINUTE))


def pages(given: Pages) -> ASGIApp:
    """Return the console, and the page on which somebody signs in."""
    tokens = Tokens(given.desk, given.fetched)
    # opened already, since a handler's thread may not
    calls = Calls(given.desk, given.clock)
    session = SessionOf(
        interactive=False,
        transport=given.transport,
        callers_token_named="the token that you have signed in with",
        _target=given.target,
        calls=calls,
    )
    admit = partial(_when_readable, given, partial(_admitted, given, tokens))
    failed = partial(_failed, given)
    console = Console(session, tokens, handlers=given.handlers, admit=admit, failed=failed)
    doors = [
        Route(DOOR, _door, methods=["GET"]),
        Route(DOOR, partial(_sign_in, given, tokens, console), methods=["POST"]),
    ]
    return guarded(console, doors, given.site)


def _failed(given: Pages, fault: Exception) -> str:
    given.log.fault(fault)
    return f"{type(fault).__name__}; the log of the service shows where"  # as in `Log.fault`


# -- who is signed in ------------------------------------------------------------------------------


async def _door(_request: Request) -> Response:
    return _page_of_door()


def _page_of_door(told: str = "", status: int = 200) -> Response:
    return page("door", Shown("", False, ""), status=status, told=told)


async def _sign_in(given: Pages, tokens: Tokens, console: Console, request: Request) -> Response:
    try:
        form = await read_form(request)
        work = partial(_signed_in, given, tokens, request, form.text("token").strip())
        return await console.handlers.run(partial(_when_readable, given, work))
    except Refused as refused:
        return _page_of_door(refused.told, refused.status)


def _signed_in(given: Pages, tokens: Tokens, request: Request, token: str) -> Response:
    address = request.client.host if request.client else ""
    try:
        caller = given.desk.caller(token, given.fetched)
    except Unproven as said:
        given.refusals.add(401, address, str(said))
        raise Refused(401, _NOBODY) from None
    _refuse_too_many(given, given.sign_ins, caller)
    found = given.desk.decide(caller, READ_ENDPOINT, Scope())
    if not found.allowed:
        given.refusals.add(403, caller.actor.user, found.reason)
        raise Refused(403, "Who has this token may not read the endpoints of the workspace.")
    given.desk.note_sign_in(caller)
    browser = tokens.admit(token, caller.principal)
    answer, site = RedirectResponse("/", 303), given.site()
    answer.set_cookie(
        site.cookie,
        browser,
        expires=caller.expires,
        httponly=True,
        samesite="strict",
        secure=site.scheme == "https",
    )
    return answer


def _when_readable(given: Pages, work: Callable[..., T], *args: Any) -> T:
    """Return what a decision says. Raises Refused where records do not tell now what it is."""
    try:
        return work(*args)
    except (InferenceError, OSError) as fault:
        given.log.fault(fault)
        raise Refused(503, NOT_NOW) from None


# -- who may do what -------------------------------------------------------------------------------


def _admitted(given: Pages, tokens: Tokens, asked: Asked, path: str) -> Asked:
    """Return a request as it is answered to who is signed in. Raises Refused."""
    if path == SIGN_OUT:
        return asked
    caller = tokens.caller(asked.browser)
    if caller is None:
        raise Refused(401, f"You are no longer signed in. Sign in at {DOOR}.")
    _refuse_too_many(given, given.rates, caller)
    endpoint = str(asked.request.path_params.get("endpoint", ""))  # never what a query says
    scope = Scope.endpoint(endpoint) if endpoint else Scope()
    _refuse(given, caller, READ_ENDPOINT, scope)
    if needed := _needed(given, asked.request.method, path, endpoint):
        pinned = asked.form.text("deployment") if needed == SCORE else ""
        of_one = endpoint and needed not in _OF_ALL
        _refuse(given, caller, needed, Scope.endpoint(endpoint, pinned) if of_one else Scope())
        if needed == SCORE:
            _refuse_from_outside(given, caller, asked.request, endpoint)
    session = asked.console.session
    assert isinstance(session, SessionOf)
    writes = bool(endpoint) and given.desk.decide(caller, WRITE_ENDPOINT, scope).allowed
    token = tokens.shown_by(asked.browser) or ""
    own = replace(session, caller=caller, browser=asked.browser, token=token)
    return asked._replace(console=replace(asked.console, session=own, writes=writes))


def _refuse_too_many(given: Pages, rates: Rates, caller: Caller) -> None:
    wait_s = rates.wait_s(caller.principal, given.clock())
    if wait_s:
        given.refusals.add(429, caller.actor.user, "pages above a limit")
        raise Refused(429, f"That is too often. Try again in {wait_s} s.")


def _needed(given: Pages, method: str, path: str, endpoint: str) -> str:
    needed = NEEDS.get(("POST" if method == "POST" else "GET", path))
    if needed is None:
        of_files = path.startswith("/drift/")
        raise Refused(403, _NOT_HERE if of_files else "This page is not served here.")
    if needed == LIST_KEYS and _recorded(given, endpoint).get("auth_mode") == "aml_token":
        return TOKEN
    return needed


def _recorded(given: Pages, endpoint: str) -> Mapping[str, Any]:
    """Return what is recorded of an endpoint; nothing where it is not there."""
    place = given.desk.id.name
    record = given.target.record(ResourceId(kind=Kind.ENDPOINT, workspace=place, name=endpoint))
    return record.properties if record is not None else {}


def _refuse_from_outside(given: Pages, caller: Caller, request: Request, endpoint: str) -> None:
    """Refuse who may not call the endpoint from where they are: its router sees the service."""
    ranges = _recorded(given, endpoint).get("allowed_source_ranges") or ()
    if not is_in(request.scope, ranges):
        why = f"not from this address, by allowed_source_ranges of endpoint '{endpoint}'"
        given.refusals.add(403, caller.actor.user, why)
        raise Refused(403, "This endpoint takes no calls from your address. Nothing was sent.")


def _refuse(given: Pages, caller: Caller, action: str, scope: Scope) -> None:
    found = given.desk.decide(caller, action, scope)
    if not found.allowed:
        given.refusals.add(403, caller.actor.user, found.reason)
        raise Refused(403, f"No role of yours allows {action_name(action)} on {scope}.")
