"""What the pages show of a target, and the split, which is planned before it is applied."""

import re

from tests.unit.console.conftest import Browser, words

from inference_provider.observed import Kind, ResourceId

IRIS = "/endpoints/default/iris"
SPLIT = f"{IRIS}/split"


def split_of(browser):
    id_ = ResourceId(kind=Kind.TRAFFIC, workspace="default", name="iris")
    return browser.cli.target.observe_one(id_).properties["traffic"]


def plan_in(answer):
    return re.search('name="plan" value="([^"]+)"', answer.text)[1]


def test_the_overview_shows_workspaces_endpoints_shares_and_drift(browser):
    told = browser.text("/")
    assert "demo: 0 drifted, 0 missing, 0 unmanaged, 6 clean, 0 unreadable" in told
    assert "Workspace default" in told
    assert "iris ok blue 100 % 1 of 1 instances ready green 0 % 1 of 1 instances ready" in told


def test_the_overview_counts_what_a_split_by_hand_has_changed(browser):
    browser.cli("split", "iris", "blue=50", "green=50")
    assert "1 drifted" in browser.text("/")
    told = browser.text("/drift")
    assert "drifted: Traffic 'default/iris'" in told
    assert "traffic.blue 100 50 50" in told


def test_without_a_stack_file_all_workspaces_are_shown_and_no_drift(served):
    browser = Browser(served, file=False)
    assert "No stack file, so drift is not known." in browser.text("/")
    assert "Workspace default" in browser.text("/")
    assert "there is nothing to compare with" in browser.text("/drift")


def test_a_faulty_stack_file_is_told_on_the_overview_and_the_rest_is_shown(browser):
    browser.cli.file.write_text(browser.cli.STACK.replace("auth", "x") + "colour: red\n")
    told = browser.text("/")
    assert "colour" in told
    assert "iris ok blue 100 %" in told


def test_an_endpoint_shows_its_deployments_and_their_instances(browser):
    told = browser.text(IRIS)
    assert "Scoring address http://127.0.0.1:1/endpoints/iris/score" in told
    assert "Callers show a key" in told
    assert re.search(
        r"blue ok 1 of 1 instances ready 100 % 100 % .*plain:1.* iris\.blue\.\w+\.1 ok", told
    )


def test_an_instance_that_ended_is_shown_as_degraded(browser):
    compute = browser.cli.target.platform.ports("default").compute
    compute.ended.add(compute.status("iris/blue").instances["iris/blue"][0].name)
    assert "iris degraded 1 instance not running" in browser.text("/")
    assert "degraded not running" in browser.text(IRIS)


def test_what_is_not_there_is_a_404(browser):
    for path in ("/endpoints/default/rose", "/endpoints/other/iris", "/endpoints/../x/iris", "/x"):
        assert browser.get(path).status_code == 404
    assert "There is no endpoint 'rose' in workspace 'default'." in words(
        browser.get("/endpoints/default/rose")
    )


def test_a_split_is_planned_shown_and_applied_as_it_was_shown(writing):
    planned = writing.post(SPLIT, {"share.blue": "90", "share.green": "10"})
    assert "blue 100 % 90 %" in words(planned)
    assert "traffic.blue: 100 -> 90" in words(planned)
    assert split_of(writing) == {"blue": 100, "green": 0} or split_of(writing) == {"blue": 100}
    applied = writing.post(f"{SPLIT}/apply", {"plan": plan_in(planned)})
    assert (applied.status_code, applied.headers["location"]) == (303, f"{IRIS}?changed=split")
    assert split_of(writing) == {"blue": 90, "green": 10}
    assert "The split was changed." in writing.text(f"{IRIS}?changed=split")
    newest = writing.cli.target.journal("default")[-1]
    assert (newest.action, newest.actor.command) == ("update", "inferctl console")


def test_a_plan_is_not_applied_when_the_split_has_changed_meanwhile(writing):
    planned = writing.post(SPLIT, {"share.blue": "90", "share.green": "10"})
    writing.cli("split", "iris", "blue=50", "green=50")
    answer = writing.post(f"{SPLIT}/apply", {"plan": plan_in(planned)})
    assert answer.status_code == 409
    assert "it has changed since its plan was shown; nothing was changed" in words(answer)
    assert split_of(writing) == {"blue": 50, "green": 50}


def test_a_plan_is_applied_once(writing):
    plan = plan_in(writing.post(SPLIT, {"share.blue": "90", "share.green": "10"}))
    assert writing.post(f"{SPLIT}/apply", {"plan": plan}).status_code == 303
    for again in (plan, "unknown", ""):
        answer = writing.post(f"{SPLIT}/apply", {"plan": again})
        assert answer.status_code == 400
        assert "This plan was applied already, or is too old." in words(answer)


def test_a_read_only_console_shows_the_plan_and_the_command_and_applies_nothing(browser):
    planned = browser.post(SPLIT, {"share.blue": "90", "share.green": "10"})
    assert "inferctl split iris blue=90 green=10 -w default" in words(planned)
    assert 'name="plan"' not in planned.text
    answer = browser.post(f"{SPLIT}/apply", {"plan": "x"})
    assert answer.status_code == 403
    assert "This console is read-only." in words(answer)


def test_shares_that_are_none_are_told_beside_what_was_typed(writing):
    for blue, told in (("60", "100"), ("x", "'blue=x' is not NAME=PERCENT"), ("101", "blue")):
        answer = writing.post(SPLIT, {"share.blue": blue, "share.green": "10"})
        assert answer.status_code == 400
        assert told in words(answer)
        assert (
            f'name="share.blue" min="0" max="100" step="1" required value="{blue}"' in answer.text
        )
    answer = writing.post(SPLIT, {"share.red": "100"})
    assert "no deployment 'red' behind endpoint 'iris'" in words(answer)


def test_shares_that_are_as_before_have_nothing_to_apply(writing):
    planned = writing.post(SPLIT, {"share.blue": "100"})
    assert "There is nothing to change." in words(planned)
    assert 'name="plan"' not in planned.text
