"""A chat with an endpoint: what is sent of it, and the replies that are shown."""

import json
from html import unescape

import httpx
import pytest
from tests.browser import SITE, words
from tests.unit.console.conftest import OfStack

CHAT = "/endpoints/default/iris/chat"


def parrot(answer):
    """Return a router that answers each body as a function of it says, and the bodies."""

    def call(request):
        asked.append(json.loads(request.content))
        return httpx.Response(200, json=answer(asked[-1]))

    asked = []
    return httpx.MockTransport(call), asked


def openai(body):
    said = body["messages"][-1]["content"]
    return {"choices": [{"message": {"role": "assistant", "content": f"<{said}>"}}]}


def kept(answer):
    return unescape(answer.text.partition('name="turns" value="')[2].partition('"')[0])


def test_each_message_is_sent_with_what_was_said_before(served):
    transport, asked = parrot(openai)
    browser = OfStack(served, transport=transport)
    first = browser.post(CHAT, {"text": "Hello", "turns": "[]"})
    second = browser.post(CHAT, {"text": "And?", "turns": kept(first)})
    assert "You Hello iris <Hello> You And? iris <And?>" in words(second)
    assert asked == [
        {"messages": [{"role": "user", "content": "Hello"}]},
        {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "<Hello>"},
                {"role": "user", "content": "And?"},
            ]
        },
    ]


def test_a_chat_flow_gets_its_own_fields_and_others_that_were_written(served):
    transport, asked = parrot(lambda body: {"chat_output": body["chat_input"].upper()})
    browser = OfStack(served, transport=transport)
    fields = {"form": "flow", "fields": '{"topic": "flowers"}', "turns": '[["a", "A"]]'}
    answer = browser.post(CHAT, {"text": "b", **fields})
    assert "You b iris B" in words(answer)
    assert asked == [
        {
            "topic": "flowers",
            "chat_input": "b",
            "chat_history": [{"inputs": {"chat_input": "a"}, "outputs": {"chat_output": "A"}}],
        }
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"fields": "{"}, "Other fields: no JSON"),
        ({"fields": "[1]"}, 'Other fields: write a JSON object: {"model": "iris"}'),
        ({"turns": '[["a"]]'}, "The earlier messages cannot be read. Start a new chat."),
        ({"turns": '{"a": 1}'}, "The earlier messages cannot be read. Start a new chat."),
        ({}, 'The answer has no reply of this form: { "other": 1 }'),
    ],
)
def test_what_cannot_be_sent_or_shown_is_told_and_the_message_stays(served, fields, told):
    transport, _asked = parrot(lambda _body: {"other": 1})
    answer = OfStack(served, transport=transport).post(CHAT, {"text": "<Hi>", **fields})
    assert answer.status_code == 200
    assert told in words(answer)
    assert "&lt;Hi&gt;</textarea>" in answer.text


def test_an_error_of_the_endpoint_is_told_with_what_helps(served):
    transport = httpx.MockTransport(lambda _request: httpx.Response(424, content=b"no model"))
    answer = OfStack(served, transport=transport).post(CHAT, {"text": "Hi"})
    assert "answered 424 no model" in words(answer)


def test_a_key_that_an_endpoint_answers_is_not_shown(served):
    def echo(request):
        return httpx.Response(200, json={"authorization": request.headers["authorization"]})

    browser = OfStack(served, transport=httpx.MockTransport(echo))
    answer = browser.post("/endpoints/default/iris/test", {"body": "1"})
    assert "Bearer [secret]" in words(answer)


def test_a_chat_that_grows_forgets_what_was_said_first_and_goes_on(served):
    def long(body):
        return openai(body) | {"choices": [{"message": {"content": "\u00fc" * 100_000}}]}

    transport, asked = parrot(long)
    browser, turns = OfStack(served, transport=transport), "[]"
    for i in range(6):
        fields = {"form_token": browser.token(), "text": f"Say {i}", "turns": turns}
        parts = {name: (None, value) for name, value in fields.items()}
        answer = browser.client.post(CHAT, files=parts, headers={"origin": SITE})
        assert answer.status_code == 200
        assert "no longer sent along: at most 100 turns and 2 MiB are" in words(answer) or i < 3
        turns = kept(answer)
    said = [one["content"] for one in asked[-1]["messages"] if one["role"] == "user"]
    assert said == ["Say 2", "Say 3", "Say 4", "Say 5"]


def test_a_message_stays_on_the_page_of_an_error(served):
    browser = OfStack(served)
    for path, field in ((CHAT, "text"), (CHAT.replace("chat", "test"), "body")):
        answer = browser.post(path.replace("iris", "rose"), {field: "<Hi>"})
        assert answer.status_code == 404
        assert "What was typed <Hi>" in words(answer)
