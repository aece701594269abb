"""What the pages show of a target, and the split, which is planned before it is applied."""

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
from tests.browser import words
from tests.memory import state_of
from tests.unit.conftest import ServedTarget
from tests.unit.console.conftest import OfStack

from inference_provider.console.application import PAGES
from inference_provider.errors import TargetUnreachable
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.workspace.logged import LogLine

IRIS_ID = ResourceId(kind=Kind.ENDPOINT, workspace="default", name="iris")
WITH_ROLES = """
identities: [{name: robot}]
role_assignments:
  - {name: callers, principal: ann, principal_type: user, role: Owner}
  - {name: robot-reads, principal: robot, role: Reader}
"""
PROVIDER = "identity_provider: {issuer: https://a.test, audience: b, jwks_uri: https://a.test/k}"
IRIS = "/endpoints/default/iris"
SPLIT = f"{IRIS}/split"


def split_of(browser):
    id_ = ResourceId(kind=Kind.TRAFFIC, workspace="default", name="iris")
    return browser.cli.target.observe_one(id_).properties["traffic"]


def plan_in(answer):
    return re.search('name="plan" value="([^"]+)"', answer.text)[1]


def test_the_overview_shows_workspaces_endpoints_and_shares(browser):
    told = browser.text("/")
    assert "Workspace default" in told
    assert "iris ok blue 100 % 1 of 1 instances ready green 0 % 1 of 1 instances ready" in told


def test_the_overview_counts_what_a_split_by_hand_has_changed(browser):
    assert 'data-from="/drift/verdict"' in browser.get("/").text
    told = browser.text("/drift/verdict")
    assert "demo: 0 drifted, 0 missing, 0 unmanaged, 6 clean, 0 unreadable" in told
    browser.cli("split", "iris", "blue=50", "green=50")
    assert "demo: 1 drifted" in browser.text("/drift/verdict")
    told = browser.text("/drift")
    assert "drifted: Traffic 'default/iris'" in told
    assert "traffic.blue 100 50 50" in told


def test_drift_says_what_is_accepted_and_until_when_as_the_command_does(browser):
    browser.cli("split", "iris", "blue=50", "green=50")
    day = (datetime.now(UTC) + timedelta(days=9)).date()
    waivers = browser.cli.file.with_name("drift-waivers.yaml")
    said = f"owner: ann, reason: a trial, expires: {day}"
    waivers.write_text(
        f"waivers: [{{address: Traffic/default/iris, field: traffic, {said}}},\n"
        f"  {{address: Traffic/default/rose, field: traffic, {said}}}]\n"
    )
    assert browser.cli("drift").exit_code == 0
    assert 'class="banner ok"' in browser.get("/drift/verdict").text
    assert "0 drifted, 0 missing, 0 unmanaged, 5 clean, 0 unreadable, 1 waived" in browser.text(
        "/drift/verdict"
    )
    told = browser.text("/drift")
    assert "drifted, waived: Traffic 'default/iris'" in told
    assert f"Waived until {day} by ann: a trial" in told
    assert "Notes the waiver of Traffic/default/rose traffic by ann matches nothing" in told


def test_drift_tells_no_fix_for_what_another_stack_owns(browser):
    browser.cli.file.write_text(browser.cli.STACK.replace("name: demo", "name: other"))
    told = browser.text("/drift")
    assert "drifted: Traffic 'default/iris'" in told
    assert "by inferctl up" not in told


def test_a_stack_file_that_names_another_target_meanwhile_is_refused(browser):
    browser.cli.file.write_text(browser.cli.STACK.replace("target: memory", "target: local"))
    told = browser.text("/drift/verdict")
    assert "target: it is local now, and memory is open; start `inferctl console` again" in told
    assert browser.get("/drift").status_code == 400
    assert "iris ok blue 100 %" in browser.text("/")


def test_without_a_stack_file_all_workspaces_are_shown_and_no_drift(served):
    browser = OfStack(served, file=False)
    assert "Drift : not known without a stack file" in browser.text("/")
    assert "No stack file, so drift is not known." in browser.text("/drift/verdict")
    assert "Workspace default" in browser.text("/")
    assert "there is nothing to compare with" in browser.text("/drift")


def test_a_faulty_stack_file_is_told_on_the_overview_and_the_rest_is_shown(browser):
    browser.cli.file.write_text(browser.cli.STACK.replace("auth", "x") + "colour: red\n")
    assert "colour" in browser.text("/drift/verdict")
    assert "iris ok blue 100 %" in browser.text("/")


def test_a_workspace_that_cannot_be_read_hides_no_other(cli):
    class Broken(ServedTarget):
        def workspaces(self):
            return ("broken", "default", "silent")

        def owned_by(self, stack, among):
            raise NotADirectoryError(20, "Not a directory", "state.json")

        def observe(self, workspaces):
            if "broken" in workspaces:
                raise NotADirectoryError(20, "Not a directory", "state.json")
            if "silent" in workspaces:
                raise TargetUnreachable("look at", "workspace 'silent'", "it does not answer")
            return super().observe(workspaces)

    cli.target = ServedTarget()
    assert cli("up").exit_code == 0
    cli.target.__class__ = Broken
    told = OfStack(cli, file=False).text("/")
    assert "unknown NotADirectoryError: [Errno 20] Not a directory: 'state.json'" in told
    assert "iris ok blue 100 %" in OfStack(cli).text("/")
    assert "iris ok blue 100 %" in told
    assert "it does not answer" in told


def test_a_stack_file_that_is_no_yaml_leaves_the_workspaces_it_named_last(browser):
    assert "iris ok blue 100 %" in browser.text("/")
    browser.cli.file.write_text("name: [demo")
    told = browser.text("/")
    assert "iris ok blue 100 %" in told
    assert "has 1 fault" in told


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
    assert (applied.status_code, applied.headers["location"].partition("=")[0]) == (
        303,
        f"{IRIS}?changed",
    )
    assert split_of(writing) == {"blue": 90, "green": 10}
    assert "The split was changed." in writing.text(applied.headers["location"])
    for again in (applied.headers["location"], f"{IRIS}?changed=split"):  # as by a reload
        assert "The split was changed." not in writing.text(again)
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
        assert f'data-from="{IRIS}"' in answer.text  # this address takes forms only
    answer = writing.post(SPLIT, {"share.red": "100"})
    assert "no deployment 'red' behind endpoint 'iris'" in words(answer)


def test_shares_that_are_as_before_have_nothing_to_apply(writing):
    planned = writing.post(SPLIT, {"share.blue": "100"})
    assert "There is nothing to change." in words(planned)
    assert 'name="plan"' not in planned.text


def test_the_journal_shows_the_newest_first(writing):
    writing.cli("keys", "rotate", "iris")
    told = writing.text("/journal/default")
    assert "rotate primary key Endpoint 'default/iris'" in told
    assert told.index("rotate primary key") < told.index("create Workspace 'default'")
    assert writing.get("/journal/other").status_code == 404


def test_logs_are_shown_by_instance_and_from_the_first_deployment_on(browser):
    browser.cli.target.lines = [
        LogLine(f"iris.blue.1a.{i}", text) for i, text in enumerate(("one", "two"))
    ]
    assert "iris.blue.1a.0: one iris.blue.1a.1: two" in browser.text(f"{IRIS}/logs")
    found = browser.get(f"{IRIS}/logs?deployment=blue&instance=iris.blue.1a.1&lines=50").text
    assert 'data-refresh="3">two</pre>' in found
    assert "<option selected>iris.blue.1a.1</option>" in found
    assert browser.get(f"{IRIS}/logs?deployment=red").status_code == 404


def test_logs_that_cannot_be_read_are_no_answer_that_replaces_lines(cli):
    class Silent(ServedTarget):
        def logs(self, *_asked):
            raise TargetUnreachable("read", "the logs", "it does not answer")

    cli.target = Silent()
    assert cli("up").exit_code == 0
    answer = OfStack(cli).get(f"{IRIS}/logs")
    assert answer.status_code == 503
    assert "it does not answer" in words(answer)
    assert "nothing yet" not in answer.text


def test_a_line_of_a_log_is_cut_where_it_is_longer_than_a_page_should_be(browser):
    browser.cli.target.lines = ["x" * 5000]
    assert "xxx (1000 more characters)" in browser.text(f"{IRIS}/logs?lines=-5")


def answering(status=200, body=b'{"answer": [1]}', content_type="application/json", **headers):
    def answer(request):
        asked.append(request)
        given = {"content-type": content_type, "x-request-id": "r-1", **headers}
        return httpx.Response(status, content=body, headers=given)

    asked = []
    return httpx.MockTransport(answer), asked


def test_a_test_call_goes_through_the_router_and_shows_who_answered_what(served):
    transport, asked = answering(**{"azureml-model-deployment": "green"})
    browser = OfStack(served, transport=transport)
    answer = browser.post(f"{IRIS}/test", {"body": '{"data": [1]}', "deployment": "green"})
    assert "Deployment green" in words(answer)
    assert 'x-request-id r-1 { "answer": [ 1 ] }' in words(answer)
    [request] = asked
    assert request.content == b'{"data": [1]}'
    assert request.headers["azureml-model-deployment"] == "green"
    key = browser.cli.target.observe_one(IRIS_ID).secret_outputs["primary_key"].get_secret_value()
    assert request.headers["authorization"] == f"Bearer {key}"
    assert key not in answer.text


def test_a_file_is_sent_in_place_of_what_was_typed(served):
    transport, asked = answering(body=b"\x89PNG", content_type="image/png")
    browser = OfStack(served, transport=transport)
    file = {"file": ("cat.png", b"\x00\xff")}
    answer = browser.post(f"{IRIS}/test", {"body": "typed"}, files=file)
    assert asked[0].content == b"\x00\xff"
    assert "4 bytes of image/png" in words(answer)


def test_an_error_of_the_endpoint_is_told_with_what_helps_and_what_was_typed_stays(served):
    transport, _ = answering(status=424, body=b"no such column")
    browser = OfStack(served, transport=transport)
    answer = browser.post(f"{IRIS}/test", {"body": "<typed>"})
    assert answer.status_code == 200
    assert "answered 424 no such column" in words(answer)
    assert "see `inferctl logs iris/DEPLOYMENT`" in words(answer)
    assert "&lt;typed&gt;</textarea>" in answer.text


def test_only_the_beginning_of_a_long_answer_is_shown(served):
    transport, _ = answering(body=b"x" * 300_000, content_type="text/plain")
    answer = OfStack(served, transport=transport).post(f"{IRIS}/test", {"body": "1"})
    assert "The answer is longer" in words(answer)
    assert answer.text.count("x") < 263_000


def test_no_page_has_a_key_until_it_is_asked_for_and_the_journal_says_who_saw_it(browser):
    keys = browser.cli.target.observe_one(IRIS_ID).secret_outputs.values()
    keys = [key.get_secret_value() for key in keys]
    assert len(keys) == 2
    for path in PAGES:
        page = browser.get(path.replace("{workspace}", "default").replace("{endpoint}", "iris"))
        assert page.status_code == 200
        assert not [key for key in keys if key in page.text]
    shown = browser.post(f"{IRIS}/consume")
    assert [key for key in keys if key in shown.text] == keys
    assert shown.headers["cache-control"] == "no-store"
    assert f'<a href="{IRIS}/consume">Hide it</a>' in shown.text
    newest = browser.cli.target.journal("default")[-1]
    assert (newest.action, newest.actor.command) == ("read keys", "inferctl console")
    assert not [key for key in keys if key in browser.get(f"{IRIS}/consume").text]


def test_the_password_of_a_deployment_is_on_no_page(browser):
    for path in PAGES:
        page = browser.get(path.replace("{workspace}", "default").replace("{endpoint}", "iris"))
        assert "hunter2" not in page.text


def test_programs_in_four_languages_name_the_address_and_no_key(browser):
    told = browser.text(f"{IRIS}/consume")
    assert told.count("http://127.0.0.1:1/endpoints/iris/score") == 5
    for words_ in ("curl 'http", "urllib.request", "await fetch(", "PostAsync("):
        assert words_ in told


def test_who_may_score_is_said_in_the_words_of_the_command(browser):
    assert "whoever has one of its keys scores; its auth_mode is key" in browser.text(
        f"{IRIS}/access"
    )


def test_role_assignments_and_identities_are_listed(cli):
    text = cli.STACK.replace("target: memory}", f"target: memory, {PROVIDER}}}")
    text = text.replace("{name: iris}", "{name: iris, auth_mode: aad_token}")
    cli.file.write_text(text + WITH_ROLES)
    assert cli("up").exit_code == 0
    told = OfStack(cli).text(f"{IRIS}/access")
    assert "user 'ann' Owner the workspace callers" in told
    assert "robot recorded" in told
    assert "robot-reads identity 'robot' Reader the workspace" in told


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e{{1237*1237}}"


def test_no_name_or_line_from_outside_is_markup_or_controls_anything(cli):
    cli.target = ServedTarget()
    tags = json.dumps({"tags": {HOSTILE: HOSTILE}, "description": HOSTILE})[1:-1]
    cli.file.write_text(cli.STACK.replace("{name: iris}", "{name: iris, " + tags + "}"))
    assert cli("up").exit_code == 0
    state_of(cli.target).put_record(hostile_record(cli.target))
    cli.target.lines = [f"iris.blue.1a.0: {HOSTILE}", HOSTILE]
    cli.target.note_reading(IRIS_ID, Actor(user=HOSTILE, command=HOSTILE))
    transport, _ = answering(body=HOSTILE.encode(), content_type="text/html")
    said = json.dumps([[HOSTILE, HOSTILE]])
    browser = OfStack(cli, transport=transport, writes=True)
    pages = [p.replace("{workspace}", "default").replace("{endpoint}", "iris") for p in PAGES]
    answers = [browser.get(page) for page in pages]
    answers.append(browser.get(f"{IRIS}/logs?deployment={quote(HOSTILE)}"))
    answers.append(browser.get(f"/endpoints/{quote(HOSTILE, safe='')}/{quote(HOSTILE, safe='')}"))
    answers.append(browser.get(f"{IRIS}/logs?instance={quote(HOSTILE)}"))
    answers.append(browser.post(f"{IRIS}/test", {"body": HOSTILE, "deployment": HOSTILE}))
    answers.append(browser.post(f"{IRIS}/test", {"body": HOSTILE}))
    answers.append(browser.post(f"{IRIS}/chat", {"text": HOSTILE, "fields": HOSTILE}))
    answers.append(browser.post(f"{IRIS}/chat", {"text": HOSTILE, "turns": said}))
    answers.append(browser.post(SPLIT, {f"share.{HOSTILE}": HOSTILE}))
    for answer in answers:
        assert answer.status_code in (200, 400, 404), answer.text
        assert "<script>" not in answer.text
        assert "<img" not in answer.text
        assert "\x1b" not in answer.text
        assert "\u202e" not in answer.text
        assert "1530169" not in answer.text
    assert sum("alert(1)" in answer.text for answer in answers) >= 8


def hostile_record(target):
    """Return the record of a deployment whose name nobody could have declared."""
    blue = target.record(ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue"))
    id_ = blue.id.model_copy(update={"name": f"iris/{HOSTILE}"})
    return blue.model_copy(update={"id": id_, "owner": HOSTILE, "actor": Actor(user=HOSTILE)})
