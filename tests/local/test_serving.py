"""Real environments and real servers on loopback, without supervisor and router."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from inference_provider.errors import TargetError
from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.serving.environments import build_environment
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.local.surroundings import surroundings

pytestmark = pytest.mark.local

SCORE = """
import json, os, time
def init():
    print("init saw", os.listdir(os.environ["AZUREML_MODEL_DIR"]))
def run(raw):
    asked = json.loads(raw)
    time.sleep(asked["seconds"])
    return {"who": os.environ["WHO"]}
"""
INIT_RAISES = "def init(): raise RuntimeError('no weights here')\ndef run(raw): return 1\n"
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
ROUTES = {
    "liveness_route": {"path": "/live", "port": 8000},
    "readiness_route": {"path": "/ready", "port": 8000},
    "scoring_route": {"path": "/predict", "port": 8000},
}
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
Start = Callable[[InstanceCommand], subprocess.Popen[str]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="module")
def venv(cache) -> Path:
    return build_environment(EnvironmentSpec(name="plain"), cache, print)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start an instance as a process manager does; whatever is left is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def run(command: InstanceCommand) -> subprocess.Popen[str]:
        variables = {name: s.get_secret_value() for name, s in command.environment.items()}
        started.append(
            subprocess.Popen(
                command.argv, env=variables, cwd=command.directory, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=20)
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def scripted(venv: Path, folder: Path, port: int, text: str, **fields: object) -> InstanceCommand:
    (folder / "code").mkdir()
    (folder / "code" / "score.py").write_text(text)
    (folder / "models" / "iris").mkdir(parents=True)
    spec = DeploymentSpec.model_validate(
        {
            "endpoint": "iris",
            "name": "blue",
            "environment": "plain:1",
            "code_configuration": {"code": "code", "scoring_script": "score.py"},
            "environment_variables": {"WHO": "blue"},
            **fields,
        }
    )
    code, models = folder / "code", folder / "models"
    here = surroundings(venv, "127.0.0.1")
    return instance_command(
        spec, EnvironmentSpec(name="plain"), here, code_dir=code, model_dir=models, port=port
    )


def wait_until_ready(url: str, process: subprocess.Popen[str], limit_s: float = 30) -> None:
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer in {limit_s} s")


def score(port: int, seconds: float) -> httpx.Response:
    url = f"http://127.0.0.1:{port}/score"
    return httpx.post(url, json={"seconds": seconds}, timeout=20, trust_env=False)


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
        time.sleep(0.3)
        process.terminate()
        assert in_flight.result().json() == {"who": "blue"}
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "init saw ['iris']" in output


NAMES = """
import logging
def init(): print("init has none")
def run(raw):
    print("printed")
    logging.getLogger("own").warning("own line")
    return 1
"""


def scored(port: int, request_id: str) -> int:
    url, headers = f"http://127.0.0.1:{port}/score", {"x-request-id": request_id}
    return httpx.post(url, content=b"1", headers=headers, trust_env=False).status_code


def test_each_line_of_a_request_has_its_id_and_no_other_line_has(venv, tmp_path, port, start):
    process = start(scripted(venv, tmp_path, port, NAMES))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    for asked in ("r-1", "0b5e=:/+@x.y", "x] azmlinfsrv - POST /score 200", '"', "x" * 100, ""):
        assert scored(port, asked) == 200
    process.terminate()
    lines = process.communicate(timeout=60)[0].splitlines()
    ends = [line.split(" ", 4)[-1] for line in lines]
    assert [one for one in ends if "printed" in one] == [
        "azmlinfsrv.print [r-1] - printed",
        "azmlinfsrv.print [0b5e=:/+@x.y] - printed",
        "azmlinfsrv.print - printed",
        "azmlinfsrv.print - printed",
        f"azmlinfsrv.print [{'x' * 100}] - printed",
        "azmlinfsrv.print - printed",
    ]
    assert [one for one in ends if "init has none" in one] == ["azmlinfsrv.print - init has none"]
    assert len([one for one in ends if one.startswith("azmlinfsrv [r-1] - POST /score 200 ")]) == 1
    assert "own line" in lines


NAMES_ITSELF = """
import flask
def init(): pass
def run(data):
    for mine in (7, None, b"r-1", "own-1"):
        flask.g.request_id = mine
        print("printed", mine)
    return 1
"""


def test_a_script_that_sets_the_id_to_what_is_no_text_logs_on(venv, tmp_path, port, start):
    process = start(scripted(venv, tmp_path, port, NAMES_ITSELF))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    assert scored(port, "r-1") == 200
    process.terminate()
    lines = process.communicate(timeout=60)[0].splitlines()
    ends = [line.split(" ", 4)[-1] for line in lines]
    assert [one for one in ends if "printed" in one] == [
        "azmlinfsrv.print - printed 7",
        "azmlinfsrv.print - printed None",
        "azmlinfsrv.print - printed b'r-1'",
        "azmlinfsrv.print [own-1] - printed own-1",
    ]


OWN_LOGGING = """
{"version": 1,
 "formatters": {"own": {"format": "mine %(request_id)s %(message)s"}},
 "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
 "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["own"]}}}
"""


def test_a_users_own_logging_stays_and_may_name_the_request(venv, tmp_path, port, start):
    run = scripted(venv, tmp_path, port, NAMES)
    (Path(run.directory) / "logging.json").write_text(OWN_LOGGING)
    process = start(run)
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    scored(port, "r-1")
    process.terminate()
    assert "mine r-1 printed" in process.communicate(timeout=60)[0].splitlines()


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(INIT_RAISES, "RuntimeError: no weights here", id="init raises"),
        pytest.param("import nothing_by_this_name", "ModuleNotFoundError", id="no import"),
        pytest.param("def init(): pass", "does not have a run() function", id="no run"),
    ],
)
def test_a_script_that_cannot_start_ends_the_process_and_says_why_last(  # noqa: PLR0917
    venv, tmp_path, port, start, text, said
):
    process = start(scripted(venv, tmp_path, port, text))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "Traceback (most recent call last)" in output
    last = output.splitlines()[-8:]
    assert any("scoring script failed: " in line and said in line for line in last)


ENDS = "import os\nprint('about to end', flush=True)\nos._exit({})\ndef run(data): pass"


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        pytest.param(ENDS.format(1), {}, id="with a status"),
        pytest.param(ENDS.format(0), {}, id="as if it was well"),
        pytest.param(ENDS.format(1), {"WORKER_COUNT": "2"}, id="two workers"),
        pytest.param("import os\nos.kill(os.getpid(), 9)", {}, id="killed, as for its memory"),
    ],
)
def test_a_script_that_ends_its_process_ends_the_server_and_says_so(  # noqa: PLR0917
    venv, tmp_path, port, start, text, variables
):
    process = start(scripted(venv, tmp_path, port, text, environment_variables=variables))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    said = "scoring script failed: its process ended before init() had returned"
    assert said in output.splitlines()[-8:]
    assert ("about to end" in output) == text.startswith("import os\nprint")


def test_a_server_that_is_stopped_while_it_loads_ends_without_an_error(venv, tmp_path, port, start):
    text = "import os, time\nprint('loads', flush=True)\ntime.sleep(2)\nos._exit(0)"
    process = start(scripted(venv, tmp_path, port, text))
    while "loads" not in process.stdout.readline():
        pass
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, "scoring script failed" in output) == (0, False)


def test_a_worker_that_ends_later_is_replaced(venv, tmp_path, port, start):
    process = start(scripted(venv, tmp_path, port, SCORE))
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    [worker] = psutil.Process(process.pid).children()
    worker.kill()
    worker.wait()
    wait_until_ready(f"http://127.0.0.1:{port}/", process)
    assert score(port, 0).json() == {"who": "blue"}


def test_an_own_server_answers_on_its_routes(cache, tmp_path, port, start):
    environment = EnvironmentSpec.model_validate(
        {
            "name": "own",
            "command": ["python", "{code_dir}/server.py", "{port}", "{model_dir}"],
            "inference_config": ROUTES,
        }
    )
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


def test_the_rest_of_a_killed_build_is_built_again(tmp_path):
    spec = own_environment("python")
    venv = build_environment(spec, tmp_path, print)
    (venv / ".ready").unlink()
    (venv / "bin" / "python").unlink()
    assert build_environment(spec, tmp_path, print) == venv
    assert (venv / "bin" / "python").exists()


def test_an_environment_is_built_with_bytecode_so_that_no_server_compiles_it(tmp_path):
    venv = build_environment(own_environment("python", dependencies=("click",)), tmp_path, print)
    [package] = venv.glob("lib/python*/site-packages/click")
    [compiled] = package.glob("__pycache__/core.*.pyc")
    assert compiled.stat().st_size > 10_000


def test_two_builders_of_one_environment_build_it_once(tmp_path):
    steps: list[str] = []
    together = threading.Barrier(2)

    def build(_: int) -> Path:
        together.wait()
        return build_environment(own_environment("python"), tmp_path, steps.append)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(build, range(2))
    assert first == second
    assert steps == ["building environment with 0 requirements", "environment built"]


def test_a_python_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    spec = own_environment("python", python_version="3.77")
    with pytest.raises(TargetError, match=r"has no Python 3\.77; it has .*3\.\d+"):
        build_environment(spec, tmp_path, print)


def test_a_requirement_that_cannot_be_read_is_refused_without_its_credentials(tmp_path):
    spec = own_environment("python", dependencies=("--index-url https://me:hunter2@ a b",))
    with pytest.raises(TargetError) as refused:
        build_environment(spec, tmp_path, print)
    assert str(refused.value).startswith("build environment Environment 'default/own:1': error:")
    assert "hunter2" not in str(refused.value)


def own_environment(*command: str, **fields: object) -> EnvironmentSpec:
    return EnvironmentSpec.model_validate(
        {"name": "own", "command": command, "inference_config": ROUTES, **fields}
    )


def test_without_a_home_that_can_be_written_uv_gets_a_cache_in_the_state_folder(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    venv = build_environment(own_environment("python"), tmp_path / "environments", print)
    assert (venv / "bin" / "python").exists()
    assert (tmp_path / "uv-cache").is_dir()


def test_a_chosen_cache_that_cannot_be_written_is_named_as_what_to_change(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", "/dev/null/uv")
    with pytest.raises(TargetError, match="set UV_CACHE_DIR to a writable folder"):
        build_environment(own_environment("python"), tmp_path / "environments", print)
