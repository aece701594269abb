"""Sends a message to a webhook, once, within a time that nothing on the other side can prolong.

A webhook's URL is a secret: nothing that is returned quotes it, or what an answer says.
"""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from inference_provider.service.collector_url import stays_here
from inference_provider.targets.proxies import proxy_for

LIMIT_S = 10.0
"""For all of it: the name, the connection, and the beginning of an answer."""


def send(url: SecretStr, body: Any, limit_s: float = LIMIT_S) -> str:
    """Post JSON; return why it did not arrive, and an empty text when it did.

    Redirects are not followed: they could lead a secret, or this machine's reach, elsewhere.
    """
    try:
        status = _answer(url.get_secret_value(), body, limit_s)
    except (TimeoutError, httpx.TimeoutException):
        return f"it did not answer within {limit_s:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as fault:
        return f"it is not reached: {_cause(fault)}"
    if 200 <= status < 300:
        return ""
    return f"it answered {status}" + "; redirects are not followed" * (300 <= status < 400)


def _answer(url: str, body: Any, limit_s: float) -> int:
    """Return the status of an answer.

    Not by `asyncio.run`, which waits in the end for a name that is still looked up, in a thread.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(_post(url, body), limit_s))
    finally:
        loop.close()


async def _post(url: str, body: Any) -> int:
    async with (
        httpx.AsyncClient(
            timeout=None,
            follow_redirects=False,
            proxy=None if stays_here(url) else proxy_for(url),
            verify=_authorities(),
            trust_env=False,  # a password of ~/.netrc is not for a webhook
        ) as client,
        client.stream("POST", url, json=body) as answer,  # what it says is of no account
    ):
        return answer.status_code


def _authorities() -> ssl.SSLContext:
    """Trust those of the machine, or of $SSL_CERT_FILE, and of $REQUESTS_CA_BUNDLE too."""
    context = ssl.create_default_context()
    if bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    return context


def _cause(fault: BaseException) -> str:
    """Say what is wrong; the texts of the libraries may quote a name of a URL."""
    found: BaseException | None = fault
    while found:
        if isinstance(found, ssl.SSLError):
            return "its certificate is not trusted, or it speaks no TLS"
        if isinstance(found, ConnectionRefusedError):
            return "nothing listens there"
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return type(fault).__name__
