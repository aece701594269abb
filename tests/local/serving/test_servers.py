"""Real servers of scripts and of users on loopback, without supervisor and router."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from tests.local.server.model import until
from tests.local.serving.instances import SCORE, own_environment, score, scripted, wait_until_ready

from inference_provider.serving.command import instance_command
from inference_provider.serving.environments import build_environment
from inference_provider.spec import DeploymentSpec
from inference_provider.targets.local.surroundings import surroundings

pytestmark = pytest.mark.local

OWN_SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path in ("/live", "/ready", "/predict")
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
http.server.HTTPServer((os.environ["HOST"], int(sys.argv[1])), Handler).serve_forever()
"""
NAMES_OF_OTHERS = (
    "signal", "json", "logging", "types", "socket", "ssl", "select", "queue", "random",
    "string", "copy", "enum", "abc", "io", "os", "re", "code", "calendar", "token", "tokenize",
    "email", "http", "html", "platform", "secrets", "statistics", "struct", "tempfile",
    "threading", "typing", "uuid", "warnings", "importlib", "flask", "gunicorn", "werkzeug",
    "jinja2", "click", "psutil", "requests", "inference_schema",
    "azureml_inference_server_http", "script", "command", "environments",
)  # fmt: skip
USES_SIBLINGS = """
import json, os
import config, helpers, utils
from parts import one
def init(): pass
def run(raw): return [helpers.NAME, utils.NAME, config.NAME, one.NAME, json.__name__, os.getcwd()]
"""


def statuses(process: psutil.Process) -> list[str]:
    """Return those of its connections: one that waits to be accepted is nobody's yet."""
    return [connection.status for connection in process.net_connections()]


def test_a_script_serves_on_loopback_only_and_finishes_its_request_on_sigterm(
    venv, tmp_path, port, start
):
    process = start(scripted(venv, tmp_path, port, SCORE))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    assert score(port, 0).json() == {"who": "blue"}

    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = {c.laddr[:2] for p in family for c in p.net_connections() if c.status == "LISTEN"}
    assert listening == {("127.0.0.1", port)}

    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(score, port, 1.0)
        until(lambda: any("ESTABLISHED" in statuses(p) for p in family))
        process.terminate()
        assert in_flight.result().json() == {"who": "blue"}
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "init saw ['iris']" in output


def test_worker_count_requests_are_scored_at_the_same_time(venv, tmp_path, port, start):
    variables = {"WHO": "blue", "WORKER_COUNT": "2"}
    process = start(scripted(venv, tmp_path, port, SCORE, environment_variables=variables))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    took = 9.0
    for _ in range(8):  # the second worker may still be starting
        with ThreadPoolExecutor(2) as pool:
            began = time.monotonic()
            answers = list(pool.map(lambda seconds: score(port, seconds), [1.0, 1.0]))
            took = time.monotonic() - began
        assert [answer.status_code for answer in answers] == [200, 200]
        if took < 1.9:
            break
    assert took < 1.9


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="one worker"),
        pytest.param({"WORKER_COUNT": "2", "WORKER_PRELOAD": "true"}, id="two, preloaded"),
        pytest.param({"PYTHONSAFEPATH": "1"}, id="safe path"),
    ],
)
def test_a_file_named_like_a_module_of_python_or_the_server_stops_nothing(
    venv, tmp_path, port, start, variables
):
    command = scripted(venv, tmp_path, port, USES_SIBLINGS, environment_variables=variables)
    code = tmp_path / "code"
    for name in NAMES_OF_OTHERS:
        (code / f"{name}.py").write_text("raise RuntimeError('not to be imported')")
    # the server has modules of these two names, which it puts on the path itself
    for name in ("utils", "config", "helpers"):
        (code / f"{name}.py").write_text(f"NAME = 'my {name}'")
    (code / "parts").mkdir()
    (code / "parts" / "__init__.py").touch()
    (code / "parts" / "one.py").write_text("NAME = 'my part'")
    process = start(command)
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    assert score(port, 0).json() == [
        "my helpers", "my utils", "my config", "my part", "json", str(code),
    ]  # fmt: skip


def test_an_own_server_answers_on_its_routes(cache, tmp_path, port, start):
    environment = own_environment("python", "{code_dir}/server.py", "{port}", "{model_dir}")
    venv = build_environment(environment, cache, print)
    (tmp_path / "server.py").write_text(OWN_SERVER)
    spec = DeploymentSpec.model_validate(
        {"endpoint": "iris", "name": "own", "environment": "own:1"}
    )
    here = surroundings(venv, "127.0.0.1")
    command = instance_command(
        spec, environment, here, code_dir=tmp_path, model_dir=Path("/models"), port=port
    )
    process = start(command)
    wait_until_ready(f"http://127.0.0.1:{port}/ready", process)
    answer = httpx.get(f"http://127.0.0.1:{port}/predict", trust_env=False)
    assert answer.text == "/models"
