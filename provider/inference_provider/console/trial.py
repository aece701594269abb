"""The test page: one request to an endpoint through its router, and what it answered."""

import time
from typing import NamedTuple

from starlette.responses import Response

from inference_provider.cli import strict_json
from inference_provider.cli.answer_text import TEXTUAL, beginning, decoded
from inference_provider.cli.score import (
    PIN_HEADER,
    asked,
    failure,
    largest_mib,
)
from inference_provider.console.opened import Asked
from inference_provider.console.seen import Seen, seen
from inference_provider.errors import InferenceError
from inference_provider.quoting import without_secrets

BODY_MIB = 16
"""The largest body that this page sends; `inferctl score` sends larger ones."""
MOST_SHOWN = 256 * 1024
"""Bytes of an answer that are read."""
_FIRST = '{"data": []}'


class Answer(NamedTuple):
    """What an endpoint has answered."""

    deployment: str
    request_id: str
    milliseconds: int
    text: str
    cut: bool
    """Whether there was more of it."""


def trial(page: Asked) -> Response:
    there, observed = page.endpoint()
    return _page(page, seen(there, observed))


def _page(
    page: Asked,
    found: Seen,
    *,
    typed: str = _FIRST,
    deployment: str = "",
    answer: Answer | None = None,
    told: str = "",
) -> Response:
    return page.page(
        "trial",
        seen=found,
        typed=typed,
        deployment=deployment,
        answer=answer,
        told=told,
        body_mib=BODY_MIB,
    )


def call(page: Asked) -> Response:
    """Send what was typed, or the file; an error of the endpoint is told on the page."""
    there, observed = page.endpoint()
    found, typed = seen(there, observed), page.form.text("body")
    deployment, file = page.form.text("deployment"), page.form.files.get("file") or b""
    body, most = file or typed.encode(errors="replace"), largest_mib(there)
    answer, told = None, ""
    try:
        if len(body) > most << 20:
            told = f"The endpoint takes bodies of {most} MiB at the most. Nothing was sent."
        else:
            answer = answered(page, found, body, deployment)
    except InferenceError as exc:
        told = str(exc)
    return _page(page, found, typed=typed, deployment=deployment, answer=answer, told=told)


def answered(page: Asked, found: Seen, body: bytes, deployment: str) -> Answer:
    """Send one request, and return its answer, without the endpoint's own keys in it."""
    session, began = page.console.session, time.monotonic()
    with asked(session, found.there, body, deployment or None) as (answer, by_socket):
        if not answer.is_success:
            raise failure(session, found.there, answer, deployment or None, by_socket=by_socket)
        read, cut = beginning(answer, MOST_SHOWN)
        content_type = answer.headers.get("content-type", "")
        text = _text(read, content_type, answer.charset_encoding)
        return Answer(
            answer.headers.get(PIN_HEADER, ""),
            answer.headers.get("x-request-id", "unknown"),
            round(1000 * (time.monotonic() - began)),
            without_secrets(text, tuple(found.there.secret_outputs.values())),
            cut,
        )


def _text(read: bytes, content_type: str, charset: str | None) -> str:
    """Return an answer as text; JSON with its levels indented, of other bytes only how many."""
    if not content_type.startswith(TEXTUAL):
        return f"{len(read)} bytes of {content_type or 'unknown type'}"
    text = decoded(read, charset)
    try:
        return strict_json.write(strict_json.read(text))
    except ValueError:
        return text
