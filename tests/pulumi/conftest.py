"""A program, an engine whose state lies beside it, and an environment the engine accepts.

And a recorder of what a program declares, under Pulumi's own mocks.
"""

import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pulumi
import pytest
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import set_root_resource
from tests.ports import own_port

ENGINE = shutil.which("pulumi")
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
  - {name: edge, router_port: ROUTER_PORT}
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
import pulumi
import pulumi_inference
declared = pulumi_inference.declare("stack.yaml")
for name, endpoint in declared.endpoints.items():
    pulumi.export(name, endpoint.scoring_uri)
    pulumi.export(f"{name} key", endpoint.primary_key)
"""
TYPED = """
import pulumi
import pulumi_inference as inference
space = inference.Workspace("edge", router_port=ROUTER_PORT)
route = {"path": "/", "port": 8080}
plain = inference.Environment(
    "plain", workspace=space.name, command=["python", "{code_dir}/server.py", "{port}"],
    inference_config=dict.fromkeys(("liveness_route", "readiness_route", "scoring_route"), route),
)
echo = inference.Endpoint("echo", workspace=space.name)
inference.Deployment(
    "blue", workspace=space.name, endpoint=echo.name, environment=plain.reference,
    code_configuration={"code": "code", "scoring_script": "server.py"},
    readiness_probe={"initial_delay": 0, "period": 1},
    request_settings={"max_concurrent_requests_per_instance": 16},
)
inference.Traffic("echo", workspace=space.name, endpoint=echo.name, traffic={"blue": 100})
pulumi.export("edge/echo", echo.scoring_uri)
pulumi.export("edge/echo key", echo.primary_key)
"""
PROJECT = """
name: edge
runtime: {{name: python, options: {{virtualenv: {environment}}}}}
options: {{refresh: always}}
"""
BINARIES = ("envoy", "supervisord", "supervisorctl", "uv")


class Recorder(pulumi.runtime.Mocks):
    """Answers every registration with its inputs and a few outputs."""

    def __init__(self):
        self.declared = []
        self.before: dict[str, set[str]] = {}
        """What each resource depends on, as Pulumi is told: `Endpoint iris`."""

    def new_resource(self, args):
        self.declared.append((args.typ, args.inputs))
        outputs = {"scoring_uri": "http://router/endpoints/x/score", "reference": "m:1@sha256:00"}
        return args.resource_id or args.name, {**args.inputs, **outputs}

    def call(self, args):
        return {}, None


class _Monitor(MockMonitor):
    """Notes dependencies, of which Pulumi tells its mocks nothing."""

    mocks: Recorder

    def RegisterResource(self, request):
        if "inference" in request.type:  # neither the program nor its root
            found = {_called(*urn.split("::")[2:]) for urn in request.dependencies}
            self.mocks.before[_called(request.type, request.name)] = found
        return super().RegisterResource(request)


def _called(type_, name):
    return f"{type_.rpartition(':')[2]} {name}"


@pytest.fixture
def recorder():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    made = Recorder()
    pulumi.runtime.set_mocks(made, project="shop", stack="dev", monitor=_Monitor(made))
    yield made
    set_root_resource(None)
    asyncio.set_event_loop(None)
    for left in gc.get_objects():  # the SDK makes loops of its own and closes none
        # by type: isinstance asks a weak proxy for its object, which may be gone
        is_loop = issubclass(type(left), asyncio.AbstractEventLoop)
        # one that runs is of a thread that other tests have left
        if is_loop and not left.is_closed() and not left.is_running():
            left.close()


class Program:
    """A folder with a program in it, and an engine whose state lies beside it."""

    def __init__(self, root: Path, environment: Path, inference: Path) -> None:
        self.folder = root / "program"
        self.state = root / "state"
        self.router_port = own_port()
        (self.folder / "code").mkdir(parents=True)
        self.state.mkdir()
        (self.folder / "code" / "server.py").write_text(SERVER)
        (self.folder / "Pulumi.yaml").write_text(PROJECT.format(environment=environment))
        self.write(PROGRAM)
        self.declare()
        self.environment = {
            **os.environ,
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_HOME": str(root / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "INFERENCE_STATE_DIR": str(inference),
        }
        self.pulumi("stack", "select", "--create", "dev")

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(program)

    def declare(self, text: str = STACK) -> None:
        text = text.replace("ROUTER_PORT", str(self.router_port))
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

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the engine and do not wait for it."""
        return subprocess.Popen(
            [str(ENGINE), *words, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def instances(self, deployment: str) -> list[dict[str, object]]:
        """Return the instances of `endpoint%2Fdeployment` that are written down."""
        folder = Path(self.environment["INFERENCE_STATE_DIR"], "workspaces", "edge", "instances")
        return json.loads((folder / f"{deployment}.json").read_text())

    def wait_for_instances(self, deployment: str, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.instances(deployment)) != count:
            assert time.monotonic() < deadline, self.instances(deployment)
            time.sleep(0.05)

    def pulumi(self, *words: str, rc: int = 0) -> str:
        return self.run(str(ENGINE), *words, "--non-interactive", rc=rc)

    def inferctl(self, *words: str, rc: int = 0) -> str:
        return self.run(str(Path(sys.executable).with_name("inferctl")), *words, rc=rc)

    def up(self) -> str:
        return self.pulumi("up", "--yes", "--skip-preview")

    @contextmanager
    def another(self, program: str) -> Iterator["Program"]:
        """Run another program of the same project, in a stack `reader`."""
        self.write(program)
        self.pulumi("stack", "select", "--create", "reader")
        try:
            yield self
        finally:
            self.write(PROGRAM)
            self.pulumi("stack", "select", "dev")

    def held(self, stack: str) -> str:
        """Return the engine's state of a stack, as it lies in the file."""
        return "".join(path.read_text() for path in self.state.rglob(f"{stack}.json"))

    def output(self) -> dict[str, str]:
        """Return what the program exports; keys in clear."""
        return json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))

    def score(self, exported: dict[str, str]) -> int:
        """Return the status of one request with the exported address and key."""
        key = {"Authorization": f"Bearer {exported['edge/echo key']}"}
        return httpx.post(exported["edge/echo"], headers=key, json={}, trust_env=False).status_code

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


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment") / "venv"
    _make_environment(folder)
    return folder


@pytest.fixture
def program(tmp_path, environment):
    """A program that a test may change as it likes."""
    with _made(tmp_path, environment) as made:
        yield made


@pytest.fixture(scope="session")
def served(tmp_path_factory, environment):
    """A program after its first `up`, and what that said; for tests that change nothing."""
    with _made(tmp_path_factory.mktemp("served"), environment) as made:
        yield made, made.up()


@contextmanager
def _made(folder: Path, environment: Path) -> Iterator[Program]:
    # A socket's path has about 100 characters: too few for pytest's own folders.
    with tempfile.TemporaryDirectory(prefix="inf-") as inference:
        made = Program(folder, environment, Path(inference))
        yield made
        made.inferctl("down", "stack.yaml", "-y")
