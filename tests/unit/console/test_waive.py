"""A waiver by a form: shown before it is added, and added to whatever else is in its file."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.browser import words

DAY = (datetime.now(UTC).date() + timedelta(days=9)).isoformat()
FIELDS = {
    "address": "Traffic/default/iris",
    "field": "traffic",
    "owner": "ann",
    "reason": 'a "<b>trial</b>": # no comment',
    "expires": DAY,
}
LINE = (
    '- {address: "Traffic/default/iris", field: "traffic", owner: "ann",'
    f' reason: "a \\"<b>trial</b>\\": # no comment", expires: "{DAY}"}}'
)
OTHER = f"{{address: Endpoint/default/iris, owner: bob, reason: later, expires: {DAY}}}"


@pytest.fixture
def drifted(writing):
    """A browser of a console that may change things, and a split by hand."""
    writing.cli("split", "iris", "blue=50", "green=50")
    return writing


def file_of(browser):
    return browser.cli.file.with_name("drift-waivers.yaml")


def added(browser, **fields):
    planned = browser.post("/drift/waive", FIELDS | fields)
    assert LINE in words(planned)
    plan = re.search('name="plan" value="([^"]+)"', planned.text)[1]
    return browser.post("/drift/waive/apply", {"plan": plan})


def test_a_waiver_is_shown_then_added_and_counts(drifted):
    link = re.search(r'href="(/drift/waive\?[^"]*field=traffic.blue)"', drifted.get("/drift").text)[
        1
    ]
    form = drifted.get(link.replace("&amp;", "&"))
    assert 'value="Traffic/default/iris"' in form.text
    assert 'value="traffic.blue"' in form.text
    assert not file_of(drifted).exists()
    answer = added(drifted)
    assert (answer.status_code, answer.headers["location"]) == (303, "/drift?changed=waived")
    assert file_of(drifted).read_text() == f"waivers:\n{LINE}\n"
    assert drifted.cli("drift").exit_code == 0
    assert "The waiver was added. demo: 0 drifted" in drifted.text("/drift?changed=waived")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"# ours\nwaivers:\n- {OTHER} # till then\n",
            f"# ours\nwaivers:\n- {OTHER} # till then\n{LINE}\n",
        ),
        (f"waivers:\n  - {OTHER}", f"waivers:\n  - {OTHER}\n  {LINE}\n"),
        ("# none yet\n", f"# none yet\nwaivers:\n{LINE}\n"),
    ],
)
def test_what_else_is_in_the_file_stays(drifted, before, after):
    file_of(drifted).write_text(before)
    assert added(drifted).status_code == 303
    assert file_of(drifted).read_text() == after


@pytest.mark.parametrize("before", [f"waivers: [{OTHER}]\n", "waivers: []\n", "{}\n"])
def test_a_file_that_takes_no_line_more_stays_and_the_line_is_told(drifted, before):
    file_of(drifted).write_text(before)
    answer = drifted.post("/drift/waive", FIELDS)
    assert answer.status_code == 400
    assert f"add this by hand: {LINE}" in words(answer)
    assert file_of(drifted).read_text() == before


def test_what_is_wrong_with_a_waiver_is_told_beside_what_was_typed(drifted):
    answer = drifted.post("/drift/waive", FIELDS | {"owner": " ", "expires": "soon"})
    assert answer.status_code == 400
    assert "owner: empty; write at least one word" in words(answer)
    assert "expires: not a day; write it like 2026-12-31" in words(answer)
    late = drifted.post("/drift/waive", FIELDS | {"expires": "2999-01-01"})
    assert "more than a year from now" in words(late)
    file_of(drifted).write_text(f"waivers:\n{LINE}\n")
    again = drifted.post("/drift/waive", FIELDS)
    assert "the same address and field as waivers.0" in words(again)


def test_a_file_that_has_changed_since_stays(drifted):
    planned = drifted.post("/drift/waive", FIELDS)
    plan = re.search('name="plan" value="([^"]+)"', planned.text)[1]
    file_of(drifted).write_text(f"waivers:\n- {OTHER}\n")
    assert drifted.post("/drift/waive/apply", {"plan": plan}).status_code == 409
    assert file_of(drifted).read_text() == f"waivers:\n- {OTHER}\n"


def test_a_read_only_console_adds_no_waiver(browser):
    planned = browser.post("/drift/waive", FIELDS)
    assert "add the line yourself" in words(planned)
    assert browser.post("/drift/waive/apply", {"plan": "x"}).status_code == 403
