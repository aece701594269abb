"""Posts to an OpenTelemetry collector, within a time that nothing on the other side can prolong.

It gets no credentials, whatever `~/.netrc` or the environment has, and no redirect is followed.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from http.client import responses
from io import BytesIO
from typing import Any, NamedTuple

import httpx
import requests
from requests.adapters import BaseAdapter

from inference_provider.service.collector_url import stays_here
from inference_provider.targets.proxies import proxy_for

_ANSWER_BYTES = 64 * 1024


class Limits(NamedTuple):
    """How long a collector may take."""

    whole_s: float = 60.0
    """For all of it: half a megabyte goes over a slow line too."""
    silent_s: float = 10.0
    """For each piece of it, and for all that follows the status."""


LIMITS = Limits()


class Reply(NamedTuple):
    """What a collector answered."""

    status: int
    content: bytes = b""
    """What there is of it of 2xx, 64 KiB at most; whether it came whole decides nothing."""


class Unanswered(OSError):
    """No status came, so nobody knows whether what was sent was taken."""


def post(url: str, content: bytes, headers: Mapping[str, str], limits: Limits = LIMITS) -> Reply:
    """Post to a collector. Raises Unanswered."""
    statuses: list[int] = []
    try:
        posting = _post(url, content, headers, limits, statuses)
        return asyncio.run(asyncio.wait_for(posting, limits.whole_s))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as fault:
        if statuses:  # the time was up in the middle of the rest
            return Reply(statuses[0])
        raise Unanswered(_reason(fault)) from fault


async def _post(
    url: str, content: bytes, headers: Mapping[str, str], limits: Limits, statuses: list[int]
) -> Reply:
    """Post, and note the status as soon as there is one."""
    async with (
        httpx.AsyncClient(
            timeout=limits.silent_s,
            follow_redirects=False,
            proxy=None if stays_here(url) else proxy_for(url),
            verify=ssl.create_default_context(),
            trust_env=False,  # or ~/.netrc would give a password
        ) as client,
        client.stream(
            "POST", url, content=content, headers={**headers, "Accept-Encoding": "identity"}
        ) as answer,
    ):
        statuses.append(answer.status_code)
        found = bytearray()
        if answer.is_success:
            try:  # it was taken, whatever becomes of the rest
                await asyncio.wait_for(_read(answer, found), limits.silent_s)
            except (TimeoutError, httpx.HTTPError, OSError):
                found.clear()
        return Reply(answer.status_code, bytes(found))


async def _read(answer: httpx.Response, found: bytearray) -> None:
    async for piece in answer.aiter_raw():
        found += piece
        if len(found) >= _ANSWER_BYTES:
            return


def _reason(fault: BaseException) -> str:
    """Return the innermost reason, without addresses of objects."""
    if isinstance(fault, (TimeoutError, httpx.TimeoutException)):
        return "it did not answer in time"
    if isinstance(fault, ImportError):  # httpx has an extra for it
        return "the environment names a SOCKS proxy, which is not supported"
    cause = fault
    while inner := _inner(cause):
        cause = inner
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno)  # asyncio's text has an address for each try
    return (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__


def _inner(fault: BaseException) -> BaseException | None:
    if isinstance(fault, BaseExceptionGroup):  # one of each address of a name
        return fault.exceptions[-1]
    return fault.__cause__ or fault.__context__


class PostAdapter(BaseAdapter):
    """Has a session of `requests` send so; `timeout` is for all of it."""

    def send(self, request: requests.PreparedRequest, *_: Any, **given: Any) -> requests.Response:
        limit_s = given.get("timeout") or LIMITS.silent_s
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        limits = Limits(limit_s, limit_s)
        try:
            reply = post(request.url or "", content, dict(request.headers), limits)
        except Unanswered as fault:
            raise requests.ConnectionError(str(fault), request=request) from fault
        answer = requests.Response()
        answer.request, answer.url = request, request.url or ""
        answer.status_code = reply.status
        answer.reason = responses.get(reply.status, "")
        answer.raw = BytesIO(reply.content)
        return answer

    def close(self) -> None:
        """Do nothing: no connection outlives what is sent."""


def session() -> requests.Session:
    """Return a session of `requests` that sends so."""
    made = requests.Session()
    made.trust_env = False
    for scheme in ("http://", "https://"):
        made.mount(scheme, PostAdapter())
    return made
