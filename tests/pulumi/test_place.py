"""A real engine: resources live, move and go where their state says that the workspace is."""

import os
import re
import shutil
from pathlib import Path

import pytest
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
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


@pytest.fixture
def places(program):
    """Have places lead to state folders; the folder of these files, and all are emptied at last.

    `docker-leads-to` has the folder that `docker` leads to; with `no-home` no place has an id.
    """
    path = os.environ.get("PYTHONPATH", "")
    program.environment["PYTHONPATH"] = f"{ELSEWHERE}{os.pathsep}{path}".rstrip(os.pathsep)
    root = Path(program.environment["INFERENCE_STATE_DIR"])
    yield root
    for folder in ("docker", "other"):
        program.environment["INFERENCE_STATE_DIR"] = str(root / folder)
        program.inferctl("down", "stack.yaml", "-y")


def test_a_place_that_leads_somewhere_else_is_refused_until_it_leads_back(program, places):
    switch, home = places / "docker-leads-to", places / "no-home"
    home.touch()  # as in the state of an older release
    program.write(TYPED.replace("router_port=ROUTER_PORT", 'target="docker"'))
    program.up()
    assert '"home"' not in program.pulumi("stack", "export")

    home.unlink()
    program.pulumi("preview", "--refresh=false", "--expect-no-changes")
    program.pulumi("refresh", "--yes")
    assert '"home"' in program.pulumi("stack", "export")
    program.expect_no_changes()
    program.pulumi("preview", "--refresh=false", "--expect-no-changes")

    switch.write_text("other")
    for command in (["up", "--refresh=false"], ["refresh"], ["destroy"]):
        said = program.pulumi(*command, "--yes", "--skip-preview", rc=1)
        assert "its state says engine docker, and the target leads to other (" in said
    assert workspaces(program, "docker") == ["edge"]
    assert list(places.glob("other/workspaces/*")) == []

    switch.unlink()
    program.expect_no_changes()
    assert program.score(program.output()) == 200


def test_a_place_that_leads_elsewhere_is_moved_by_its_names_and_a_lost_one_forgotten(
    program, places
):
    switch = places / "docker-leads-to"
    by_name = [f'target={{"kind": "docker", "context": "{name}"}}' for name in ("docker", "other")]
    program.write(TYPED.replace("router_port=ROUTER_PORT", 'target="docker"'))
    program.up()
    program.write(TYPED.replace("router_port=ROUTER_PORT", by_name[0]))
    assert "replaced" not in program.up()
    switch.write_text("other")
    program.write(TYPED.replace("router_port=ROUTER_PORT", by_name[1]))
    assert "5 replaced" in program.up()
    assert (workspaces(program, "docker"), workspaces(program, "other")) == ([], ["edge"])

    program.write(TYPED.replace("router_port=ROUTER_PORT", 'target="docker"'))
    assert "replaced" not in program.up()
    switch.unlink()
    (urn,) = set(re.findall(r"urn:\S+Workspace::edge", program.pulumi("stack", "--show-urns")))
    program.pulumi("state", "delete", "--target-dependents", "--yes", urn)
    assert "5 created" in program.up()
    assert workspaces(program, "docker") == ["edge"]


def test_a_place_that_is_not_supported_is_refused_at_preview(program):
    program.write(TYPED.replace("router_port=ROUTER_PORT", 'target="memory"'))
    said = program.pulumi("preview", rc=1)
    assert "target 'memory' is not supported yet; use 'local', 'docker' or 'kubernetes'" in said
