"""The drift page: the review of `inferctl drift`, its waivers, and fixes that are planned first."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.browser import words

TRAFFIC = "fix.Traffic/default/iris"
FIX = "/drift/fix"


@pytest.fixture
def drifted(writing):
    """A browser of a console that may change things, and a split by hand."""
    writing.cli("split", "iris", "blue=50", "green=50")
    return writing


def plan_in(answer):
    return re.search('name="plan" value="([^"]+)"', answer.text)[1]


def test_a_chosen_resource_is_fixed_by_the_plan_that_was_shown(drifted):
    assert f'name="{TRAFFIC}"' in drifted.get("/drift").text
    planned = drifted.post(FIX, {TRAFFIC: "on"})
    assert "~ Traffic 'default/iris' traffic.blue: 50 -> 100" in words(planned)
    assert "1 drifted" in drifted.text("/drift")
    applied = drifted.post(f"{FIX}/apply", {"plan": plan_in(planned)})
    assert (applied.status_code, applied.headers["location"]) == (303, "/drift?changed=fixed")
    told = drifted.text("/drift?changed=fixed")
    assert "The fix was applied. demo: 0 drifted" in told
    newest = drifted.target.journal("default")[-1]
    assert (newest.action, newest.actor.command) == ("update", "inferctl console")


def test_a_plan_of_a_fix_is_not_applied_when_anything_has_changed_since(drifted):
    planned = drifted.post(FIX, {TRAFFIC: "on"})
    drifted.cli("split", "iris", "blue=10", "green=90")
    answer = drifted.post(f"{FIX}/apply", {"plan": plan_in(planned)})
    assert answer.status_code == 409
    assert "Nothing was changed. Plan the fix again." in words(answer)
    assert "traffic.blue 100 10 10" in drifted.text("/drift")


def test_a_plan_of_a_fix_is_applied_once_and_only_where_fixes_are(drifted):
    plan = plan_in(drifted.post(FIX, {TRAFFIC: "on"}))
    split = drifted.post("/endpoints/default/iris/split/apply", {"plan": plan})
    assert "This plan was applied already, or is too old." in words(split)
    assert drifted.post(f"{FIX}/apply", {"plan": plan}).status_code == 400


def test_a_deletion_is_named_on_the_button_that_does_it(writing):
    text = writing.cli.STACK.replace(
        '  - {endpoint: iris, name: green, environment: "plain:1"}\n', ""
    )
    writing.cli.file.write_text(text)
    told = writing.text("/drift")
    assert "unmanaged: Deployment 'default/iris/green'" in told
    planned = writing.post(FIX, {"fix.Deployment/default/iris/green": "on"})
    assert "Apply, and delete or replace 1" in words(planned)


def test_nothing_chosen_or_what_is_not_of_the_stack_is_told(drifted):
    assert "Nothing is chosen." in words(drifted.post(FIX))
    answer = drifted.post(FIX, {"fix.Traffic/default/rose": "on"})
    assert answer.status_code == 400
    assert "neither declares nor owns Traffic 'default/rose'" in words(answer)


def test_a_read_only_console_fixes_nothing_and_names_the_command(browser):
    browser.cli("split", "iris", "blue=50", "green=50")
    planned = browser.post(FIX, {TRAFFIC: "on"})
    assert "inferctl drift --fix Traffic/default/iris" in words(planned)
    assert 'name="plan"' not in planned.text
    assert browser.post(f"{FIX}/apply", {"plan": "x"}).status_code == 403


def test_a_waiver_counts_here_as_in_the_command(drifted):
    day = datetime.now(UTC).date() + timedelta(days=30)
    drifted.cli.file.with_name("drift-waivers.yaml").write_text(
        "waivers:\n"
        "- {address: Traffic/default/iris, field: traffic, owner: ann,"
        f" reason: a <b>trial</b>, expires: {day}}}\n"
    )
    assert drifted.cli("drift").exit_code == 0
    told = drifted.text("/drift")
    assert f"Waived until {day} by ann: a <b>trial</b>" in told
    assert "0 drifted" in drifted.text("/drift/verdict")
