"""A real engine: up, no diff after it, drift shown and mended, adoption both ways, destroy."""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import pytest

ENGINE = shutil.which("pulumi")
pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(280),
    pytest.mark.skipif(ENGINE is None, reason="no pulumi engine on PATH"),
]

SERVER = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    do_POST = do_GET
def init(): ...
def run(data): ...
if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
STACK = """
name: edge
workspaces:
  - name: edge
environments:
  - name: plain
    command: [python, "{code_dir}/server.py", "{port}"]
    inference_config:
      liveness_route: {path: /, port: 8080}
      readiness_route: {path: /, port: 8080}
      scoring_route: {path: /, port: 8080}
endpoints:
  - name: echo
deployments:
  - &blue
    endpoint: echo
    name: blue
    environment: plain@latest
    code_configuration: {code: code, scoring_script: server.py}
    environment_variables: {TOKEN: never-in-clear}
    readiness_probe: {initial_delay: 0, period: 1}
  - {<<: *blue, name: green}
traffic:
  - endpoint: echo
    traffic: {blue: 90, green: 10}
"""
PROGRAM = """
import pulumi_inference
pulumi_inference.declare("stack.yaml")
"""
BINARIES = ("envoy", "supervisord", "supervisorctl", "uv")


class Program:
    """A folder with a program in it, and an engine whose state lies beside it."""

    def __init__(self, root: Path, environment: Path, inference: Path) -> None:
        self.folder = root / "program"
        self.state = root / "state"
        (self.folder / "code").mkdir(parents=True)
        self.state.mkdir()
        (self.folder / "code" / "server.py").write_text(SERVER)
        (self.folder / "__main__.py").write_text(PROGRAM)
        (self.folder / "Pulumi.yaml").write_text(
            f"name: edge\nruntime: {{name: python, options: {{virtualenv: {environment}}}}}\n"
        )
        self.declare(STACK)
        self.environment = {
            **os.environ,
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_HOME": str(root / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "INFERENCE_STATE_DIR": str(inference),
        }
        self.pulumi("stack", "select", "--create", "dev")

    def declare(self, text: str) -> None:
        (self.folder / "stack.yaml").write_text(text)

    def run(self, *command: str, rc: int = 0) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == rc, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pulumi(self, *words: str, rc: int = 0) -> str:
        return self.run(str(ENGINE), *words, "--non-interactive", rc=rc)

    def inferctl(self, *words: str, rc: int = 0) -> str:
        return self.run(str(Path(sys.executable).with_name("inferctl")), *words, rc=rc)

    def up(self) -> str:
        return self.pulumi("up", "--yes", "--skip-preview")

    def expect_no_changes(self) -> None:
        self.pulumi("preview", "--expect-no-changes")
        self.pulumi("refresh", "--preview-only", "--expect-no-changes")


def _make_environment(folder: Path) -> None:
    """Make an environment the engine accepts (it asks pip), that sees this one's packages."""
    venv.create(folder, with_pip=True, symlinks=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    seen = [path for path in sys.path if path and Path(path).is_dir()]
    (site / "seen.pth").write_text("\n".join(seen))
    for name in BINARIES:
        binary = Path(sys.executable).with_name(name)
        if binary.exists():
            (folder / "bin" / name).symlink_to(binary)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment") / "venv"
    _make_environment(folder)
    return folder


@pytest.fixture
def program(tmp_path, environment):
    # A socket's path has about 100 characters: too few for pytest's own folders.
    with tempfile.TemporaryDirectory(prefix="inf-") as inference:
        made = Program(tmp_path, environment, Path(inference))
        yield made
        made.inferctl("down", "stack.yaml", "-y")


def test_up_is_clean_drift_is_named_and_mended_and_destroy_leaves_nothing(program):
    program.up()
    program.expect_no_changes()

    program.declare(STACK.replace("{blue: 90, green: 10}", "{blue: 50, green: 50}"))
    program.inferctl("up", "stack.yaml", "-y")
    program.declare(STACK)
    drift = program.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff", rc=7)
    assert "Traffic" in drift
    assert "blue : 90 => 50" in " ".join(drift.split())

    program.pulumi("refresh", "--yes")
    program.up()
    program.expect_no_changes()
    program.inferctl("drift", "stack.yaml")

    held = "".join(path.read_text() for path in program.state.rglob("dev.json"))
    assert "inference_provider" not in held  # a reference, in base64
    assert "never-in-clear" not in held
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.inferctl("status", "--workspace", "edge", "--json").strip() == "[]"


def test_weight_moves_away_before_a_removed_deployment_goes(program):
    program.up()
    alone = STACK.replace("  - {<<: *blue, name: green}\n", "")
    program.declare(alone.replace("{blue: 90, green: 10}", "{blue: 100}"))

    text = program.up()

    assert text.index("Traffic edge/echo updated") < text.index(
        "Deployment edge/echo/green deleted"
    )
    program.expect_no_changes()


def test_pulumi_adopts_what_inferctl_made_and_the_other_way_round(program):
    program.inferctl("up", "stack.yaml", "-y")
    before = program.inferctl("outputs", "stack.yaml", "--json", "--show-secrets")
    program.up()
    program.expect_no_changes()
    after = program.inferctl("outputs", "stack.yaml", "--json", "--show-secrets")

    assert after == before
    program.inferctl("plan", "stack.yaml")
