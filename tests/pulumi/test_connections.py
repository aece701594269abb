"""A real engine: a connection, what a deployment gets of it, a rotation, and the engine's state."""

import shutil
from pathlib import Path

import psutil
import pytest
from tests.pulumi.conftest import TYPED

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
FIRST, SECOND = "first-hidden-word-4711", "second-hidden-word-4712"
ENDPOINT = 'echo = inference.Endpoint("echo", workspace=space.name)\n'
PROBE = '    readiness_probe={"initial_delay": 0, "period": 1},\n'
READS = """\
inference.RoleAssignment(
    "reads", workspace=space.name, principal="endpoints/echo", role="Connection Secrets Reader",
)
"""
REFERENCE = "${{azureml://connections/hub/credentials/key}}"
HUB = """\
hub = inference.Connection(
    "hub", workspace=space.name, category="ApiKey",
    credentials={"key": pulumi.Config().require_secret("key")},
)
"""


def typed(program, hub=HUB, reference=REFERENCE):
    """Write the typed program with a connection, of which its deployment gets the key."""
    assert ENDPOINT in TYPED
    assert PROBE in TYPED
    text = TYPED.replace(ENDPOINT, hub + ENDPOINT + READS).replace(
        PROBE, f'{PROBE}    environment_variables={{"OPENAI_KEY": "{reference}"}},\n'
    )
    program.write(text.replace("ROUTER_PORT", str(program.router_port)))


def given(program):
    """Return what the instance has in its environment."""
    folder = Path(program.environment["INFERENCE_STATE_DIR"], "workspaces", "edge")
    lines = ((one, " ".join(one.info["cmdline"] or ())) for one in psutil.process_iter(["cmdline"]))
    [server] = [one for one, line in lines if f"{folder}/running/echo.blue." in line]
    return server.environ().get("OPENAI_KEY")


def files(program):
    """Return every file of the engine and of ours, in which no secret may be."""
    ours = Path(program.environment["INFERENCE_STATE_DIR"])
    found = [path for path in (*program.state.rglob("*"), *ours.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes().decode(errors="replace") for path in found}


def test_a_connection_is_made_rotated_and_destroyed_and_its_secret_stands_nowhere(program):
    program.pulumi("config", "set", "--secret", "key", FIRST)
    typed(program)
    said = program.pulumi("preview", "--diff") + program.up()
    program.expect_no_changes()
    assert (given(program), program.score(program.output())) == (FIRST, 200)
    program.pulumi("config", "set", "--secret", "key", SECOND)
    said += program.pulumi("preview", "--diff") + program.up()
    program.expect_no_changes()
    assert (given(program), program.score(program.output())) == (SECOND, 200)
    for place, text in {"said": said, **files(program)}.items():
        assert [secret for secret in (FIRST, SECOND) if secret in text] == [], place
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def test_a_preview_names_what_a_connection_has_not(program):
    program.pulumi("config", "set", "--secret", "key", FIRST)
    typed(program, hub="")
    said = program.pulumi("preview", rc=1)
    assert "environment_variables.OPENAI_KEY: Connection 'edge/hub' is not there" in said
    typed(program, reference=REFERENCE.replace("/key}}", "/pat}}"))
    said = program.pulumi("preview", rc=1)
    assert "connection 'hub' has no credentials 'pat'; it has 'key'" in said
    assert FIRST not in said
