"""A real engine: up, no diff after it, drift shown and mended, adoption both ways, destroy."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from tests.pulumi.conftest import STACK, TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
READER = """
import pulumi
import pulumi_inference
echo = pulumi_inference.Endpoint.get("echo", "Endpoint/edge/echo")
pulumi.export("edge/echo", echo.scoring_uri)
pulumi.export("edge/echo key", echo.primary_key)
"""
SEE_DRIFT = ("refresh", "--preview-only", "--expect-no-changes", "--diff")


def words(text):
    return " ".join(text.split())


def test_the_engine_looks_for_no_plugin_of_the_packages_name(program):
    log = program.pulumi("preview", "-v=9", "--logtostderr")

    assert "gatherPackagesFromProgram" in log  # the language host was asked
    assert "considering inference" not in log
    assert "pulumi-resource-inference" not in log  # of a download's address


def test_the_program_of_the_readme_is_right(program):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [written] = re.findall(r"```python\n(# __main__.py\n.*?)```", text, re.DOTALL)
    for path in ("models/iris-linear/model.joblib", "score/score.py"):
        (program.folder / path).parent.mkdir(parents=True)
        (program.folder / path).write_text("def init(): ...\ndef run(data): ...\n")
    program.write(written)

    assert "+ 7 to create" in program.pulumi("preview")


def test_a_changed_split_is_named_by_refresh_and_mended_by_a_plain_up(program):
    program.up()
    program.expect_no_changes()

    program.inferctl("split", "echo", "blue=50", "green=50")
    drift = program.pulumi(*SEE_DRIFT, rc=7)
    assert "Traffic" in drift
    assert "blue : 90 => 50" in words(drift)

    assert "[diff: ~traffic]" in program.up()
    program.expect_no_changes()
    program.inferctl("drift", "stack.yaml")


def test_a_field_that_a_newer_release_adds_with_a_default_changes_nothing(program):
    program.up()
    state = json.loads(program.pulumi("stack", "export"))
    for resource in state["deployment"]["resources"]:
        for bag in (resource.get("inputs", {}), resource.get("outputs", {})):
            bag.pop("start_timeout_s", None)
            bag.get("request_settings", {}).pop("retry_on_503", None)
    (program.folder / "older.json").write_text(json.dumps(state))
    program.pulumi("stack", "import", "--file", str(program.folder / "older.json"))
    assert "start_timeout_s" not in program.pulumi("stack", "export")

    program.expect_no_changes()
    assert "7 unchanged" in program.up()
    assert "start_timeout_s" in program.pulumi("stack", "export")
    program.expect_no_changes()


def test_a_plain_up_brings_back_what_went_with_a_killed_supervisord(program):
    program.up()
    workspace = Path(program.environment["INFERENCE_STATE_DIR"], "workspaces", "edge")
    os.kill(int((workspace / "supervisor" / "supervisord.pid").read_text()), signal.SIGKILL)

    drift = program.pulumi(*SEE_DRIFT, rc=7)
    assert '+ degraded: "the router serves on, unsupervised' in words(drift)
    assert "instance_count: 1 => 0" in words(drift)

    program.up()
    assert program.score(program.output()) == 200
    program.expect_no_changes()


def test_weight_moves_away_before_a_removed_deployment_goes(program):
    program.up()
    alone = STACK.replace("  - {<<: *blue, name: green}\n", "")
    program.declare(alone.replace("{blue: 90, green: 10}", "{blue: 100}"))

    text = program.up()

    assert text.index("Traffic edge/echo updated") < text.index(
        "Deployment edge/echo/green deleted"
    )
    program.expect_no_changes()


def test_a_typed_program_makes_the_deployment_before_its_weight_and_unmakes_it_after(program):
    program.write(TYPED.replace("ROUTER_PORT", str(program.router_port)))
    program.up()
    program.expect_no_changes()
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def test_pulumi_adopts_what_inferctl_made_and_destroys_all_of_it(program):
    program.inferctl("up", "stack.yaml", "-y")
    before = program.inferctl("outputs", "stack.yaml", "--json", "--show-secrets")
    program.up()
    program.expect_no_changes()
    after = program.inferctl("outputs", "stack.yaml", "--json", "--show-secrets")

    assert after == before
    program.inferctl("plan", "stack.yaml")
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def test_inferctl_takes_over_what_pulumi_made_and_pulumi_sees_its_changes(program):
    program.up()

    assert "no changes; 6 unchanged" in program.inferctl("up", "stack.yaml", "-y")
    program.expect_no_changes()

    program.declare(STACK.replace("name: blue\n", "name: blue\n    instance_count: 2\n"))
    program.inferctl("up", "stack.yaml", "-y")
    program.declare()
    preview = program.pulumi("preview", "--expect-no-changes", "--diff", rc=7)
    assert "instance_count : 1 => 2" in words(preview)  # what was read
    assert "instance_count: 2 => 1" in words(preview)  # what `up` would do
    program.up()
    program.inferctl("plan", "stack.yaml")


def test_the_addresses_are_exported_and_no_secret_stands_in_clear(served):
    program, text = served
    exported = program.output()

    assert exported["edge/echo"].endswith("/endpoints/echo/score")
    assert f'edge/echo    : "{exported["edge/echo"]}"' in text
    assert "edge/echo key: [secret]" in text
    held = program.held("dev")
    assert "inference_provider" not in held  # a reference, in base64
    assert "never-in-clear" not in held
    assert exported["edge/echo key"] not in held


def test_what_a_placeholder_stood_for_stands_nowhere_in_clear(program):
    program.environment["TOKEN"] = "tok-OLD-4711"
    program.declare(
        STACK.replace("  - name: echo\n", '  - {name: echo, tags: {token: "${env:TOKEN}"}}\n')
        .replace(
            "  - name: plain\n", "  - name: plain\n    description: https://ana:pw@feed.test\n"
        )
        .replace("    name: blue\n", '    name: blue\n    description: "for ${env:TOKEN}"\n')
    )
    said = program.pulumi("preview", "--diff") + program.up()
    program.expect_no_changes()
    assert "no changes; 6 unchanged" in program.inferctl("plan", "stack.yaml")
    program.environment["TOKEN"] = "tok-NEW-0815"
    said += program.pulumi("preview", "--diff") + program.up()
    assert "tags : [secret]" in words(said)
    program.expect_no_changes()
    assert "no changes; 6 unchanged" in program.inferctl("plan", "stack.yaml")
    records = Path(program.environment["INFERENCE_STATE_DIR"], "workspaces", "edge", "records")
    kept = "".join(path.read_text() for path in records.iterdir())
    assert "secret:sha256:" in kept
    for text in (said, program.held("dev"), kept):
        assert [word for word in ("tok-OLD", "tok-NEW", "ana:pw") if word in text] == []


def test_what_the_target_does_shows_in_the_row_of_its_resource(served):
    _, text = served

    assert re.search(r"Deployment edge/echo/blue creating .* 1 of 1 new instances ready", text)
    assert re.search(r"Traffic edge/echo creat.* blue 90 %", text)


def test_an_endpoint_is_read_by_its_id_with_its_address_and_a_secret_key(served):
    program, _ = served
    made = program.output()
    with program.another(READER) as reader:
        text = reader.up()
        assert reader.output() == made
        assert "edge/echo key: [secret]" in text
        assert made["edge/echo key"] not in reader.held("reader")
        reader.pulumi("destroy", "--yes", "--skip-preview")
    assert program.score(made) == 200


def test_an_id_of_nothing_is_an_error_that_names_it(served):
    program, _ = served
    with program.another(READER.replace('edge/echo")', 'edge/nowhere")')) as reader:
        text = reader.pulumi("up", "--yes", "--skip-preview", rc=1)
    assert "error: read Endpoint 'edge/nowhere': it is not there; check its id" in text
    assert "Traceback" not in text


SLOW = "import time, sys\nif __name__ == '__main__': time.sleep(15)\n"


def test_an_interrupt_ends_a_slow_start_at_once_and_the_old_instance_serves_on(program):
    program.up()
    exported = program.output()
    server = program.folder / "code" / "server.py"
    quick = server.read_text()
    server.write_text(SLOW + quick)

    started = program.start("up", "--yes", "--skip-preview")
    program.wait_for_instances("echo%2Fblue", 2)
    asked = time.monotonic()
    started.send_signal(signal.SIGINT)
    program.wait_for_instances("echo%2Fblue", 1)
    took = time.monotonic() - asked
    text, _ = started.communicate(timeout=60)

    assert started.returncode != 0
    assert (
        "start Deployment 'edge/echo/blue': interrupted; what served before keeps serving" in text
    )
    assert took < 10  # the engine itself takes some 3 s more to end
    assert program.score(exported) == 200
    assert len(program.instances("echo%2Fblue")) == 1
    server.write_text(quick)
    program.up()
    program.expect_no_changes()
