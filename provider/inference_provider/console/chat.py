"""A chat with an endpoint whose inputs are those of chats, in either of two forms.

Goes in: what was said so far, kept by the page's form. Comes out: one request's body, and the
reply in its answer. Nothing is kept here.

Sources: OpenAI's chat completions (`messages`), which vLLM and others speak; prompt flow's chat
flows (`chat_input`, `chat_history`, `chat_output`).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from inference_provider.cli import strict_json
from inference_provider.console.opened import Asked
from inference_provider.console.seen import Seen, seen
from inference_provider.console.trial import answered
from inference_provider.errors import InferenceError

MOST_TURNS = 100
"""Turns that are sent along; the oldest go."""
MOST_MIB = 2
"""Of those turns, as the page's form keeps them; the oldest go."""
FORM_MIB = 2 * MOST_MIB
"""The whole form: what was said before, what is typed now, and other fields."""
Turn = tuple[str, str]
"""What a person said, and the reply."""


class Inputs(NamedTuple):
    """How an endpoint takes a chat, and gives its reply."""

    title: str
    body: Callable[[list[Turn], str], dict[str, Any]]
    reply: Callable[[Any], Any]
    """Raises LookupError or TypeError for an answer of another form."""


def _messages(turns: list[Turn], text: str) -> dict[str, Any]:
    said = [
        {"role": role, "content": content}
        for turn in turns
        for role, content in zip(("user", "assistant"), turn, strict=True)
    ]
    return {"messages": [*said, {"role": "user", "content": text}]}


def _flow(turns: list[Turn], text: str) -> dict[str, Any]:
    said = [
        {"inputs": {"chat_input": asked}, "outputs": {"chat_output": reply}}
        for asked, reply in turns
    ]
    return {"chat_input": text, "chat_history": said}


FORMS: Mapping[str, Inputs] = {
    "messages": Inputs(
        "messages, as OpenAI's",
        _messages,
        lambda answer: answer["choices"][0]["message"]["content"],
    ),
    "flow": Inputs(
        "chat_input and chat_history, as prompt flow's",
        _flow,
        lambda answer: answer["chat_output"],
    ),
}


def chat(page: Asked) -> Response:
    there, observed = page.endpoint()
    return _page(page, seen(there, observed), [])


def say(page: Asked) -> Response:
    """Send what was said with what was said before; what fails is told, and stays typed."""
    there, observed = page.endpoint()
    found, text = seen(there, observed), page.form.text("text")
    turns: list[Turn] = []
    try:
        turns = _turns(page.form.text("turns"))
        reply = _replied(page, found, turns, text)
    except InferenceError as exc:
        return _page(page, found, turns, typed=text, told=str(exc))
    except ValueError as exc:
        return _page(page, found, turns, typed=text, told=str(exc))
    return _page(page, found, [*turns, (text, reply)])


def _replied(page: Asked, found: Seen, turns: list[Turn], text: str) -> str:
    """Return the reply. Raises ValueError for fields that are no JSON, or another answer."""
    form = FORMS.get(page.form.text("form"), FORMS["messages"])
    body = {**_fields(page.form.text("fields")), **form.body(turns, text)}
    answer = answered(page, found, json.dumps(body).encode(), page.form.text("deployment"))
    try:
        reply = form.reply(strict_json.read(answer.text))
        return reply if isinstance(reply, str) else json.dumps(reply)
    except (LookupError, TypeError, ValueError):
        raise ValueError(f"The answer has no reply of this form: {answer.text[:500]}") from None


def _fields(text: str) -> dict[str, Any]:
    try:
        found = strict_json.read(text.strip() or "{}")
    except ValueError as exc:
        raise ValueError(f"Other fields: no JSON: {exc}") from None
    if not isinstance(found, dict):
        raise ValueError('Other fields: write a JSON object: {"model": "iris"}')
    return found


def _turns(text: str) -> list[Turn]:
    """Read what the form kept of the turns so far. Raises ValueError for anything else."""
    found = json.loads(text or "[]")
    if not isinstance(found, list) or not all(
        isinstance(turn, list) and [type(one) for one in turn] == [str, str] for turn in found
    ):
        raise ValueError("The earlier messages cannot be read. Start a new chat.")
    return [(asked, reply) for asked, reply in found]


def _fitting(turns: list[Turn]) -> list[Turn]:
    """Return the newest turns that the next form may send along."""
    left, size = MOST_TURNS, 2
    for i, turn in enumerate(reversed(turns[-MOST_TURNS:])):
        size += len(json.dumps(turn)) + 2
        if size > MOST_MIB << 20:
            left = i
            break
    return turns[len(turns) - min(left, len(turns)) :]


def _page(
    page: Asked, found: Seen, turns: list[Turn], *, typed: str = "", told: str = ""
) -> Response:
    fitting = _fitting(turns)
    return page.page(
        "chat",
        seen=found,
        forms={name: form.title for name, form in FORMS.items()},
        form=page.form.text("form"),
        deployment=page.form.text("deployment"),
        fields=page.form.text("fields"),
        turns=fitting or turns[-1:],
        kept=json.dumps(fitting),
        cut=len(fitting) < len(turns),
        most_turns=MOST_TURNS,
        most_mib=MOST_MIB,
        typed=typed,
        told=told,
    )
