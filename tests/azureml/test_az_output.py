"""What `--query` and `-o` print, as the Azure CLI prints it."""

import pytest

from inference_provider.cli.az.output import formatted, queried, to_show
from inference_provider.errors import SpecError

SHOWN = {"name": "iris", "traffic": {"green": 10, "blue": 90}, "tags": [], "note": None, "on": True}


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        ("a", "json", '"a"\n'),
        ({"b": 1, "a": [True]}, "json", '{\n  "a": [\n    true\n  ],\n  "b": 1\n}\n'),
        ("a b", "tsv", "a b\n"),
        (["x", "y"], "tsv", "x\ny\n"),
        (True, "tsv", "true\n"),
        ([["x", 1], ["y", 2]], "tsv", "x\t1\ny\t2\n"),
        (SHOWN, "tsv", "iris\tNone\tTrue\t0\t\n"),
        (
            [{"name": "a", "n": 1}, {"name": "bb"}],
            "table",
            "Name    N\n------  ---\na       1\nbb\n",
        ),
        (SHOWN, "table", "Name    Note    On\n------  ------  ----\niris            True\n"),
        ({"b": 1, "a": "x"}, "yaml", "a: x\nb: 1\n"),
        ("x", "yaml", "x\n"),
        ({"a": 1}, "none", ""),
        (None, "json", ""),
        (None, "tsv", ""),
    ],
)
def test_each_format_is_that_of_the_azure_cli(value, form, text):
    assert formatted(value, form) == text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (None, SHOWN),
        ("name", "iris"),
        ("traffic.green", 10),
        ("nosuch.field", None),
        ("keys(traffic)", ["green", "blue"]),
        ("[name, note]", ["iris", None]),
    ],
)
def test_a_query_is_jmespath(query, found):
    assert queried(SHOWN, query) == found


def test_a_querys_own_fields_keep_their_order_in_a_row():
    found = queried([SHOWN], "[].{z: name, a: traffic.blue}")
    assert formatted(found, "tsv") == "iris\t90\n"


@pytest.mark.parametrize("query", ["]", "nosuch(name)", "keys(name)", ""])
def test_a_query_that_cannot_be_asked_says_so(query):
    with pytest.raises(
        SpecError, match=r"--query: .* cannot be asked: .*; see https://jmespath\.org"
    ):
        queried(SHOWN, query)


def test_an_answer_controls_no_terminal_and_reaches_a_script_as_it_is():
    assert to_show("a\tb\n\x1b[2J", on_terminal=True) == "a\tb\n\\x1b[2J"
    assert to_show("\x1b[2J", on_terminal=False) == "\x1b[2J"
