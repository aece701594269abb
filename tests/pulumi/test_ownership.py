"""A real engine: a rename, a replacement or another stack deletes nothing of somebody's."""

import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.local.conftest import Load
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
RENAMED = (
    TYPED.replace('Endpoint("echo", ', 'Endpoint("echo-api", name="echo", ')
    .replace('"blue", workspace', '"echo-blue", name="blue", workspace')
    .replace('Traffic("echo",', 'Traffic("echo-split",')
    .replace('Environment(\n    "plain",', 'Environment(\n    "plain-env", name="plain",')
    .replace('Workspace("edge",', 'Workspace("edge-space", name="edge",')
)
MOVED = TYPED.replace(
    'space = inference.Workspace("edge", ',
    'box = pulumi.ComponentResource("shop:index:Box", "box")\n'
    "inside = pulumi.ResourceOptions(parent=box)\n"
    'space = inference.Workspace("edge", opts=inside, ',
).replace("space.name,", "space.name, opts=inside,")
TWICE = (
    TYPED
    + """
inference.Traffic("again", workspace=space.name, endpoint=echo.name, traffic={"blue": 100})
"""
)
SHARING = """
import pulumi_inference as inference
space = inference.Workspace("edge", router_port=ROUTER_PORT, stack="second")
inference.Endpoint("rose", workspace=space.name, stack="second")
"""


def declare(program, text):
    program.write(text.replace("ROUTER_PORT", str(program.router_port)))


@contextmanager
def load(program):
    """Requests over 8 connections meanwhile; none may fail."""
    exported = program.output()
    lab: Any = SimpleNamespace(uri=exported["edge/echo"], key=lambda: exported["edge/echo key"])
    with Load(lab, seconds=200, pause_s=0.02) as running:  # the engine needs the processor too
        running.wait_for(100)
        yield
        running.wait_for(sum(running.results.values()) + 100)
    assert running.failed == {}


def destroy(program):
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def resources(program):
    return json.loads(program.pulumi("stack", "export"))["deployment"]["resources"]


def hold(program, found):
    """Write resources into the engine's state."""
    state = json.loads(program.pulumi("stack", "export"))
    state["deployment"]["resources"] = found
    path = program.folder / "state.json"
    path.write_text(json.dumps(state))
    program.pulumi("stack", "import", "--file", str(path))


def forget_claims(program):
    """Make state and records what a release without claims wrote."""
    found = resources(program)
    for resource in found:
        resource.get("outputs", {}).pop("incarnation", None)
    hold(program, found)
    assert "incarnation" not in program.pulumi("stack", "export")
    records = Path(program.environment["INFERENCE_STATE_DIR"], "workspaces", "edge", "records")
    for path in records.glob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "claim": None}))


@pytest.mark.parametrize("older", [False, True], ids=["this release", "an older release's state"])
@pytest.mark.parametrize("text", [RENAMED, MOVED], ids=["renamed", "moved into a component"])
def test_what_is_renamed_or_moved_stays_and_serves(program, text, older):
    declare(program, TYPED)
    program.up()
    if older:
        forget_claims(program)
    with load(program):
        declare(program, text)
        program.up()
    program.expect_no_changes()
    destroy(program)


def test_replacing_by_urn_keeps_everything_serving_and_gives_a_deployment_new_instances(program):
    declare(program, TYPED)
    program.up()
    urns = re.findall(r"urn:pulumi:\S+dynamic/inference\S+", program.pulumi("stack", "--show-urns"))
    assert len(urns) == 5
    folder = Path(program.environment["INFERENCE_STATE_DIR"], "workspaces/edge/supervisor/programs")

    def instances():
        return sorted(path.stem for path in folder.glob("echo.blue.*"))

    before = instances()
    with load(program):
        program.pulumi("up", "--yes", "--skip-preview", *(f"--replace={urn}" for urn in urns))
    assert (len(before), len(instances())) == (1, 1)
    assert instances() != before
    program.expect_no_changes()
    destroy(program)


ALIASED = TYPED.replace(
    '"blue", workspace',
    '"new", name="blue", opts=pulumi.ResourceOptions(aliases=[pulumi.Alias("blue")]), workspace',
)


@pytest.mark.parametrize("older", [False, True], ids=["this release", "an older release's state"])
def test_replacing_what_an_alias_renamed_gives_a_deployment_new_instances(program, older):
    declare(program, TYPED)
    program.up()
    if older:
        forget_claims(program)
    declare(program, ALIASED)
    program.up()
    [before] = program.instances("echo%2Fblue")
    [urn] = re.findall(r"urn:pulumi:\S+::new", program.pulumi("stack", "--show-urns"))
    program.pulumi("up", "--yes", "--skip-preview", f"--replace={urn}")
    [after] = program.instances("echo%2Fblue")
    assert after != before
    program.expect_no_changes()


def test_destroy_removes_all_after_inferctl_and_a_refresh_came_in_between(program):
    program.up()
    program.inferctl("up", "stack.yaml", "-y")
    program.pulumi("refresh", "--yes", "--skip-preview")
    destroy(program)


def test_a_rename_that_ended_half_way_and_is_taken_back_keeps_what_serves(program):
    declare(program, TYPED)
    program.up()
    exported, before = program.output(), resources(program)
    declare(program, TYPED.replace('Traffic("echo",', 'Traffic("echo-split",'))
    program.up()
    old = [r for r in before if r["urn"].endswith("Traffic::echo")]
    hold(program, [*resources(program), *old])  # as an engine leaves it that is ended in between

    declare(program, TYPED)
    program.pulumi("up", "--yes", "--skip-preview", "--refresh=false")
    assert program.score(exported) == 200
    program.up()
    program.expect_no_changes()
    destroy(program)


def test_destroy_after_a_rename_whose_deployment_did_not_start_removes_all(program):
    declare(program, TYPED)
    program.up()
    broken = RENAMED.replace('"{code_dir}/server.py", ', '"-c", "raise SystemExit(1)", ')
    declare(program, broken)
    text = program.pulumi("up", "--yes", "--skip-preview", rc=1)
    assert "its process ended before it was ready" in text
    destroy(program)


def test_another_pulumi_stack_is_refused_at_preview_and_at_up_and_takes_nothing_down(program):
    declare(program, TYPED)
    program.up()
    made = program.output()
    program.pulumi("stack", "select", "--create", "prod")
    for words in (("preview",), ("up", "--yes", "--skip-preview")):
        text = program.pulumi(*words, rc=1)
        assert "it is held by Pulumi stack 'dev' of project 'edge'" in text
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.score(made) == 200

    program.inferctl("release", "--workspace", "edge")
    program.up()
    assert program.output() == made
    destroy(program)


def test_a_renamed_pulumi_stack_is_safe_from_a_new_one_of_its_old_name(program):
    declare(program, TYPED)
    program.up()
    made = program.output()
    program.pulumi("stack", "rename", "prod")
    program.up()
    program.expect_no_changes()

    program.pulumi("stack", "select", "--create", "dev")
    text = program.pulumi("up", "--yes", "--skip-preview", rc=1)
    assert "it is held by Pulumi stack 'prod' of project 'edge'" in text
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.score(made) == 200
    program.pulumi("stack", "select", "prod")
    destroy(program)


def test_one_thing_declared_twice_is_refused_at_preview_naming_both(program):
    declare(program, TWICE)
    text = program.pulumi("preview", rc=1)
    assert re.search(
        r"Traffic 'edge/echo' is declared twice, by '(echo|again)' and by '(echo|again)'", text
    )


def test_a_second_program_shares_a_workspace_and_outlives_its_owner(program):
    declare(program, TYPED)
    program.up()
    declare(program, SHARING)
    program.pulumi("stack", "select", "--create", "second")
    program.up()
    program.expect_no_changes()

    program.pulumi("stack", "select", "dev")
    declare(program, TYPED)
    program.pulumi("destroy", "--yes", "--skip-preview")
    left = json.loads(program.inferctl("status", "--workspace", "edge", "--json"))
    assert [(there["kind"], there["owner"]) for there in left] == [
        ("Workspace", "second"), ("Endpoint", "second"),
    ]  # fmt: skip
    program.pulumi("stack", "select", "second")
    declare(program, SHARING)
    destroy(program)
    program.pulumi("stack", "select", "dev")


def test_a_workspace_of_a_stack_file_is_replaced_with_all_that_hangs_on_it(program):
    program.up()
    program.router_port += 1
    program.declare()
    program.up()
    exported = program.output()
    assert f":{program.router_port}/" in exported["edge/echo"]
    assert program.score(exported) == 200
    program.expect_no_changes()
