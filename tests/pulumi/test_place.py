"""A real engine: resources live, move and go where their state says that the workspace is."""

import os
import shutil
from pathlib import Path

import pytest
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(280),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
ELSEWHERE = Path(__file__).with_name("elsewhere")


def workspaces(program, place):
    folder = Path(program.environment["INFERENCE_STATE_DIR"], place, "workspaces")
    return sorted(os.listdir(folder))


def test_a_workspace_moves_with_all_in_it_and_goes_without_its_program(program):
    path = os.environ.get("PYTHONPATH", "")
    program.environment["PYTHONPATH"] = f"{ELSEWHERE}{os.pathsep}{path}".rstrip(os.pathsep)
    near = TYPED.replace("ROUTER_PORT", "0")
    program.write(near)
    program.up()
    assert '"place"' not in program.pulumi("stack", "export")

    program.write(near.replace("router_port=0", 'target="docker"'))
    assert "5 replaced" in program.up()
    program.expect_no_changes()
    assert (workspaces(program, "local"), workspaces(program, "docker")) == ([], ["edge"])
    assert program.score(program.output()) == 200

    program.write("")
    program.pulumi("refresh", "--yes")
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert workspaces(program, "docker") == []


def test_a_place_that_leads_somewhere_else_is_no_silent_move(program):
    path = os.environ.get("PYTHONPATH", "")
    program.environment["PYTHONPATH"] = f"{ELSEWHERE}{os.pathsep}{path}".rstrip(os.pathsep)
    program.write(TYPED.replace("router_port=ROUTER_PORT", 'target="docker"'))
    program.up()
    program.expect_no_changes()

    switch = Path(program.environment["INFERENCE_STATE_DIR"], "docker-leads-to")
    switch.write_text("other")
    assert "5 to replace" in program.pulumi("preview", "--refresh=false")
    said = program.pulumi("refresh", "--yes", rc=1)
    assert "its state says engine docker, and the target leads to other now" in said
    assert program.pulumi("destroy", "--yes", "--skip-preview", rc=1).count("leads to other")
    assert workspaces(program, "docker") == ["edge"]

    switch.unlink()
    program.expect_no_changes()
    assert program.score(program.output()) == 200


def test_a_place_that_is_not_supported_is_refused_at_preview(program):
    program.write(TYPED.replace("router_port=ROUTER_PORT", 'target="memory"'))
    said = program.pulumi("preview", rc=1)
    assert "target 'memory' is not supported yet; use 'local', 'docker' or 'kubernetes'" in said
