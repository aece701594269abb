"""inferctl as a person runs it: a process of its own against real servers on loopback."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.local

SERVER = Path(__file__).parent / "server" / "serve.py"
INFERCTL = [sys.executable, "-c", "from inference_provider.cli.main import main; main()"]
STACK = """\
name: clitest
workspaces: [{name: lab}]
environments:
  - name: plain
    command: [python, serve.py, "{port}"]
    inference_config:
      liveness_route: {path: /health, port: 8080}
      readiness_route: {path: /health, port: 8080}
      scoring_route: {path: /score, port: 8080}
endpoints: [{name: iris}]
deployments:
  - {endpoint: iris, name: blue, environment: plain@latest, code_configuration: {code: blue}}
  - {endpoint: iris, name: green, environment: plain@latest, code_configuration: {code: green}}
traffic: [{endpoint: iris, traffic: {blue: 100, green: 0}}]
"""


class Shell:
    """One folder with a stack file, one state folder, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "s"
        (folder / "stack.yaml").write_text(STACK)
        for name in ("blue", "green"):
            (folder / name).mkdir()
            shutil.copy(SERVER, folder / name / "serve.py")
            (folder / name / "answer.txt").write_text(name)

    def __call__(self, *args, said="", code=0) -> str:
        done = subprocess.run(
            [*INFERCTL, *args],
            cwd=self.folder,
            env={**os.environ, "INFERENCE_STATE_DIR": str(self.state)},
            input=said,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def processes(self) -> list[str]:
        """Command lines of what still runs with this state folder."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            told = " ".join([*(process.info["cmdline"] or []), process.info["cwd"] or ""])
            if str(self.state) in told:
                found.append(told)
        return found


@pytest.fixture
def inferctl():
    # Not tmp_path: a Unix socket's path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="inf-"))
    shell = Shell(folder)
    yield shell
    if shell.processes():
        shell("down", "-y")
    shutil.rmtree(folder, ignore_errors=True)


def test_life_of_a_stack_from_up_to_down(inferctl):
    assert "http://127.0.0.1:" in inferctl("up")
    assert inferctl("plan") == "no changes; 6 unchanged\n"
    assert "1 of 1 instances ready" in inferctl("status")

    assert json.loads(inferctl("score", "iris", said="{}"))["answer"] == "blue"
    pinned = inferctl("score", "iris", "--deployment", "green", said="{}")
    assert json.loads(pinned)["answer"] == "green"

    inferctl("split", "iris", "blue=0", "green=100")
    assert json.loads(inferctl("score", "iris", said="{}"))["answer"] == "green"
    assert "(inferctl split)" in inferctl("drift", code=2)
    inferctl("up")
    inferctl("drift")

    assert "serving blue" in inferctl("logs", "iris/blue")
    before = json.loads(inferctl("keys", "show", "iris", "--json"))
    inferctl("keys", "rotate", "iris", "--key", "primary")
    after = json.loads(inferctl("keys", "show", "iris", "--json"))
    assert before["primary_key"] != after["primary_key"]
    assert before["secondary_key"] == after["secondary_key"]
    inferctl("score", "iris", said="{}")

    inferctl("stop")
    assert inferctl.processes() == []
    assert "instance_count: declared 1 | recorded 1 | live 0" in inferctl("drift", code=2)
    inferctl("start")
    inferctl("drift")

    inferctl("down", code=1)
    inferctl("down", "-y")
    assert inferctl.processes() == []
    assert json.loads(inferctl("status", "--json")) == []
