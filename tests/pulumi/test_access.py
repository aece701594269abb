"""A real engine: identities and role assignments, given, revoked, found again and destroyed."""

import json
import shutil
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
GRANTED = """
import pulumi_inference as inference
roles = {"Scorer": {"actions": ["*/onlineEndpoints/score/action"]}}
space = inference.Workspace("edge", router_port=ROUTER_PORT, roles=roles)
robot = inference.Identity("robot", workspace=space)
echo = inference.Endpoint("echo", workspace=space, identity=robot)
inference.RoleAssignment(
    "ann-scores", workspace=space, principal="ann", principal_type="user", role="Scorer",
    scope="endpoints/echo",
)
"""
ROBOT = """
inference.RoleAssignment("robot-owns", workspace=space, principal=robot, role="Contributor")
"""


def declare(program, text):
    program.write(text.replace("ROUTER_PORT", str(program.router_port)))


def explained(program, who, rc=0):
    words = ("--workspace", "edge", "--json")
    said = program.inferctl("access", "explain", who, "score", "endpoints/echo", *words, rc=rc)
    return json.loads(said)["role_assignment"]


def test_roles_are_given_revoked_and_given_again_after_somebody_took_them_away(program):
    declare(program, GRANTED + ROBOT)
    program.up()
    assert (explained(program, "ann"), explained(program, "robot")) == ("ann-scores", "robot-owns")
    program.expect_no_changes()

    declare(program, GRANTED)  # revoked
    assert "1 deleted" in program.up()
    assert explained(program, "robot", rc=2) is None

    folder = Path(program.environment["INFERENCE_STATE_DIR"], "workspaces", "edge", "records")
    (folder / "RoleAssignment.ann-scores.json").unlink()
    assert explained(program, "ann", rc=2) is None
    assert "1 created" in program.up()  # it refreshes first
    assert explained(program, "ann") == "ann-scores"

    declare(program, GRANTED.replace('role="Scorer"', 'role="Owner"'))
    assert "1 replaced" in program.up()
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def test_a_role_that_is_not_there_is_refused_in_a_preview(program):
    declare(program, GRANTED.replace('role="Scorer"', 'role="Score"'))
    said = program.pulumi("preview", rc=1)
    assert "role: no role 'Score'; did you mean 'Scorer'?" in said
