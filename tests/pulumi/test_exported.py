"""A real engine's export of a program that declares one by one, reviewed by inferctl."""

import shutil

import pytest
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
SECRETS = """
inference.Deployment(
    "green", workspace=space.name, endpoint=echo.name, environment=plain.reference,
    code_configuration={"code": "code", "scoring_script": "server.py"},
    environment_variables={"TOKEN": pulumi.Output.secret("never-in-clear")},
    readiness_probe={"initial_delay": 0, "period": 1},
)
"""


def test_an_exported_state_is_reviewed_with_and_without_its_secrets(program):
    text = (TYPED + SECRETS).replace("ROUTER_PORT", str(program.router_port))
    program.write(text)
    program.up()
    program.pulumi("stack", "export", "--file", "state.json")
    program.pulumi("stack", "export", "--show-secrets", "--file", "clear.json")
    assert "note: not compared, encrypted in the state: Deployment/edge/echo/green" in (
        program.inferctl("drift", "state.json")
    )
    clear = program.inferctl("drift", "clear.json")
    assert clear == "edge: 0 drifted, 0 missing, 0 unmanaged, 6 clean, 0 unreadable\n"
    program.inferctl("split", "echo", "blue=80", "green=20")
    said = program.inferctl("drift", "clear.json", rc=2)
    assert "traffic.green: declared 0 | recorded 20 | live 20" in said
    assert "(inferctl split) at " in said
    assert "never-in-clear" not in said
