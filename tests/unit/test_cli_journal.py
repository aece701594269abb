"""`inferctl journal`, and what is written into it without a change."""

import json
import re
from datetime import timedelta

import pytest

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def lines(result) -> list[str]:
    """Return what was done, without the times and who did it."""
    assert (result.exit_code, result.stderr) == (0, "")
    matches = [
        re.fullmatch(rf"{TIME}  (.*)  by \S+ \((.*)\)", at) for at in result.stdout.splitlines()
    ]
    return [f"{found[1]} | {found[2]}" for found in matches]


def test_a_line_says_when_what_and_by_whom(cli):
    cli("up")
    first, *then = lines(cli("journal"))[:3]
    assert first == "create Workspace 'default' | inferctl up"
    assert sorted(then) == [  # side by side: neither needs the other
        "create Endpoint 'default/iris' | inferctl up",
        "create Environment 'default/plain:1' | inferctl up",
    ]


def test_keys_that_were_read_rotated_or_issued_are_in_it(served):
    served("keys", "show", "iris")
    served("keys", "rotate", "iris")
    assert lines(served("journal", "--last", "2")) == [
        "read keys Endpoint 'default/iris' | inferctl keys show",
        "rotate primary key Endpoint 'default/iris' | inferctl keys rotate",
    ]


def test_outputs_in_clear_are_one_entry_and_hidden_ones_none(served):
    served("outputs")
    before = lines(served("journal"))
    served("outputs", "--show-secrets")
    assert lines(served("journal"))[len(before) :] == [
        "read keys Workspace 'default' | inferctl outputs"
    ]


def test_keys_that_were_read_explain_no_drift(served):
    served("keys", "show", "iris")
    text = served.file.read_text()
    served.file.write_text(text.replace("{name: iris}", "{name: iris, description: new}"))
    result = served("drift")
    assert result.exit_code == 2
    assert "keys show" not in result.stdout


def test_no_key_is_in_it(served):
    shown = json.loads(served("keys", "show", "iris", "--json").stdout)
    written = served("journal", "--json").stdout
    assert len(shown) == 2
    assert [key for key in shown.values() if key in written] == []


def test_json_has_each_entry(served):
    served("keys", "show", "iris")
    entry = json.loads(served("journal", "--last", "1", "--json").stdout)[0]
    assert (entry["action"], entry["id"]["name"], entry["actor"]["command"]) == (
        *("read keys", "iris", "inferctl keys show"),
    )


def test_what_is_older_than_asked_is_left_out(served):
    records = served.target.platform.ports("default").records
    [newest] = records.journal()[-1:]
    records.note(
        newest.model_copy(update={"time": newest.time - timedelta(hours=3), "action": "stop"})
    )
    assert "stop" in served("journal", "--since", "4h").stdout
    assert "stop" not in served("journal", "--since", "170m").stdout


@pytest.mark.parametrize("since", ["yesterday", "0h", "1 h", "5", "-1h", "1w", "1000000d"])
def test_a_span_that_is_none_is_refused_with_how_to_write_it(served, since):
    result = served("journal", f"--since={since}")
    assert result.exit_code == 1
    assert (
        "--since: expected a number from 1 to 999999 and a unit: s, m, h or d; write 30m, 24h or 7d"
        in result.stderr
    )


def test_a_span_that_begins_before_all_years_leaves_nothing_out(served):
    assert served("journal", "--since", "999999d").stdout == served("journal").stdout != ""


def test_a_workspace_that_is_not_there_is_said_to_be(cli):
    result = cli("journal", "--workspace", "gone")
    assert result.exit_code == 1
    assert "gone" in result.stderr
