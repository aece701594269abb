"""One strict JSON value on stdout, whatever a model answers and whatever a record holds."""

import json
import subprocess
import sys

import httpx
import pytest

from inference_provider.cli import strict_json

DEEP = b"[" * 61 + b"]" * 61
DEEPER = b"[" * 100_000 + b"]" * 100_000


def strict(text):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def body_of(served, content, content_type="application/json"):
    def answer(_request):
        return httpx.Response(200, content=content, headers={"content-type": content_type})

    transport = httpx.MockTransport(answer)
    result = served("score", "iris", "--json", said="[1]", transport=transport)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.isascii()
    document = strict(result.stdout)
    json.dumps(document, ensure_ascii=False).encode()  # no lone surrogate
    return document["body"]


@pytest.mark.parametrize(
    ("content", "body"),
    [
        pytest.param(b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}, id="plain"),
        pytest.param(b'"abc"', "abc", id="a string"),
        pytest.param('{"é": "東"}'.encode(), {"é": "東"}, id="UTF-8"),
        pytest.param(b"\xef\xbb\xbf[1]", [1], id="BOM"),
        pytest.param(b"12345678901234567890123", 12345678901234567890123, id="a large int"),
        pytest.param(b"0", 0, id="zero"),
        pytest.param(b'"\\ud83d\\ude00"', "😀", id="a pair of surrogates"),
        pytest.param(DEEP[1:-1], json.loads(DEEP[1:-1]), id="60 levels"),
    ],
)
def test_strict_json_is_passed_on_as_a_value(served, content, body):
    assert body_of(served, content) == body


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"score": NaN}', id="NaN"),
        pytest.param(b"[Infinity, -Infinity]", id="Infinity"),
        pytest.param(b"[1e400]", id="a float too large"),
        pytest.param(b"9" * 400, id="an int too large for a float"),
        pytest.param(b"9" * 5000, id="an int too large for Python"),
        pytest.param(b'{"a": 1, "a": 2}', id="a key twice"),
        pytest.param(b'{"a": "\\ud800"}', id="a lone surrogate"),
        pytest.param(b'{"\\udfff": 1}', id="a lone surrogate as a key"),
        pytest.param(DEEP, id="61 levels"),
        pytest.param(DEEPER, id="very many levels"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{}{}", id="two values"),
        pytest.param(b"not json", id="text"),
    ],
)
def test_what_is_no_strict_json_is_passed_on_as_its_text(served, content):
    assert body_of(served, content) == content.decode()


@pytest.mark.parametrize(
    ("content", "content_type", "body"),
    [
        (b"\x89PNG\xff", "image/png", "�PNG�"),
        ("é".encode("latin-1"), "text/plain; charset=latin-1", "é"),
        ('{"é": 1}'.encode(), "application/json; charset=latin-1", {"é": 1}),
        ('{"é": 1}'.encode(), "application/json; charset=utf-16", {"é": 1}),
        (b"ab", "text/plain; charset=hex", "ab"),
        (b"ab\xff", "text/plain; charset=nonesuch", "ab�"),
        (b"\\ud800", "text/plain; charset=unicode_escape", "\\ud800"),
        (b"maana-pta", "text/plain; charset=punycode", "maana-pta"),
    ],
)
def test_a_wrong_charset_is_no_error(served, content, content_type, body):
    assert body_of(served, content, content_type) == body


def test_an_error_with_an_unknown_charset_is_a_sentence(served):
    def answer(_request):
        headers = {"content-type": "text/plain; charset=hex"}
        return httpx.Response(424, content=b"no model", headers=headers)

    result = served("score", "iris", said="[1]", transport=httpx.MockTransport(answer))
    assert "answered 424 no model" in result.stderr


def test_values_that_json_has_no_form_for_are_written_as_text():
    value = {"a": float("nan"), "b": (float("-inf"), 1.5), "c\ud800": "\ud800x", 1: None}
    assert strict(strict_json.write(value)) == {
        "a": "nan", "b": ["-inf", 1.5], "c?": "?x", "1": None,
    }  # fmt: skip


def test_a_number_in_a_record_that_is_none_leaves_json_strict(cli):
    cli("up")
    records = cli.target.memory.ports("default").records
    for name, document in records.section("records").items():
        record = json.loads(document)
        record["properties"]["description"] = float("nan")
        records.put("records", name, json.dumps(record))
    for args in (["plan", "--json"], ["drift", "--json"], ["status", "--json"], ["up", "--json"]):
        strict(cli(*args).stdout)


def test_json_is_ascii_in_every_locale():
    code = (
        "from inference_provider.cli import strict_json;"
        "print(strict_json.write({chr(233): chr(0x6771)}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert strict(done.stdout) == {"é": "東"}
