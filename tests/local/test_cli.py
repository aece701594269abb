"""inferctl as a person runs it: a process of its own against real servers on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.ports import own_port

pytestmark = pytest.mark.local

SERVER = Path(__file__).parent / "server" / "serve.py"
INFERCTL = [sys.executable, "-c", "from inference_provider.cli.main import main; main()"]
STACK = """\
name: clitest
workspaces: [{name: lab, router_port: PORT}]
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
        (folder / "stack.yaml").write_text(STACK.replace("PORT", str(own_port())))
        for name in ("blue", "green"):
            (folder / name).mkdir()
            shutil.copy(SERVER, folder / name / "serve.py")
            (folder / name / "answer.txt").write_text(name)

    command: Sequence[str] = INFERCTL

    def begin(self, *args) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.command, *args],
            cwd=self.folder,
            env={**os.environ, "INFERENCE_STATE_DIR": str(self.state)},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def both(self, *args, said="", code=0) -> tuple[str, str]:
        """Return what a command writes to stdout and to stderr."""
        process = self.begin(*args)
        out, err = process.communicate(said, timeout=120)
        assert process.returncode == code, out + err
        return out, err

    def __call__(self, *args, said="", code=0) -> str:
        return self.both(*args, said=said, code=code)[0]

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


def until(question, seconds=30.0) -> None:
    deadline = time.monotonic() + seconds
    while not question() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert question()


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


def test_no_python_file_of_the_current_folder_is_run(inferctl):
    names = ["supervisor", "json", "site", "sitecustomize", "usercustomize", "psutil", "envoy"]
    tells = f"open({str(inferctl.folder / 'ran')!r}, 'a').write(__file__)\nraise SystemExit(9)\n"
    for name in names:
        (inferctl.folder / f"{name}.py").write_text(tells)
    inferctl.command = [str(Path(sys.executable).with_name("inferctl"))]
    assert "FAIL" not in inferctl("doctor")
    inferctl("up")
    assert json.loads(inferctl("score", "iris", said="{}"))["answer"] == "blue"
    inferctl("down", "-y")
    assert not (inferctl.folder / "ran").exists()


def test_variables_of_proxies_and_certificates_break_no_rollout(inferctl, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    inferctl("up")
    assert json.loads(inferctl("score", "iris", said="{}"))["answer"] == "blue"


def test_a_start_without_the_stack_file_keeps_sealed_what_a_placeholder_stood_for(
    inferctl, monkeypatch
):
    monkeypatch.setenv("TOKEN", "tok-4711")
    file = inferctl.folder / "stack.yaml"
    tagged = 'name: blue, tags: {token: "${env:TOKEN}"}'
    file.write_text(file.read_text().replace("name: blue", tagged))
    inferctl("up")
    inferctl("stop")
    file.rename(inferctl.folder / "away.yaml")
    inferctl("start")
    records = inferctl.state / "workspaces" / "lab" / "records"
    assert "tok-4711" not in "".join(path.read_text() for path in records.iterdir())
    assert inferctl("plan", "away.yaml") == "no changes; 6 unchanged\n"
    for path in inferctl.state.rglob("placeholders/*"):
        assert path.stat().st_mode & 0o777 == 0o600
    inferctl("down", "away.yaml", "-y")


def test_two_ups_at_once_end_without_a_traceback_and_leave_one_clean_stack(inferctl):
    ups = [inferctl.begin("up"), inferctl.begin("up")]
    said = [(*up.communicate(timeout=120), up.returncode, up.pid) for up in ups]
    codes = sorted(code for _, _, code, _ in said)
    assert codes in ([0, 0], [0, 1]), said  # [0, 0]: the second came when the first was done
    for _, err, code, _ in said:
        assert "Traceback" not in err
        if code == 1:
            [other] = [pid for *_, other_code, pid in said if other_code == 0]
            assert "error: change workspace 'lab': " in err
            assert "(inferctl up) has been changing it since 2" in err
            assert f"(process {other}); wait for that to end and run this again" in err
    assert inferctl("plan") == "no changes; 6 unchanged\n"
    assert sum("serve.py" in told for told in inferctl.processes()) == 2
    inferctl("down", "-y")
    assert inferctl.processes() == []


def test_killed_supervisord_is_called_a_crash_and_what_serves_on_is_said_to_serve(inferctl):
    inferctl("up")
    note = inferctl.state / "workspaces" / "lab" / "supervisor" / "supervisord.pid"
    os.kill(int(note.read_text()), signal.SIGKILL)
    until(lambda: not psutil.pid_exists(int(note.read_text())))
    status = inferctl("status")
    assert "Workspace 'lab'  the router serves on, unsupervised: supervisord does not run" in status
    assert "1 of 1 instances serve on, unsupervised: supervisord does not run" in status
    report = inferctl("drift", code=2)
    assert "not running as recorded; nobody recorded stopping it" in report
    assert "by hand" not in report
    assert json.loads(inferctl("score", "iris", said="{}"))["answer"] == "blue"
    inferctl("up")
    assert inferctl("drift").startswith("clitest: 0 drifted")
    assert sum("serve.py" in told for told in inferctl.processes()) == 2


def test_answer_in_pieces_is_written_as_it_comes(inferctl):
    shutil.copy(SERVER.with_name("streaming.py"), inferctl.folder / "blue" / "serve.py")
    inferctl("up")
    scoring = inferctl.begin("score", "iris")
    scoring.stdin.close()
    arrived = [(line, time.monotonic()) for line in scoring.stdout]
    scoring.stdout.close()
    scoring.stderr.close()
    assert scoring.wait(timeout=30) == 0
    assert [line for line, _ in arrived] == ['{"piece": 0}\n', '{"piece": 1}\n', '{"piece": 2}\n']
    assert arrived[-1][1] - arrived[0][1] > 0.7  # two pauses; all at once would be about 0


def test_logs_follow_json_tells_the_instance_of_each_line(inferctl):
    inferctl("up")
    following = inferctl.begin("logs", "iris/blue", "--follow", "--json")
    try:
        first = json.loads(following.stdout.readline())
    finally:
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=30)
    assert first["line"] == "serving blue"
    assert first["instance"].startswith("iris.blue.")
    assert following.returncode == 130


def test_instance_that_does_not_start_is_told_with_its_log_and_what_to_do(inferctl):
    (inferctl.folder / "blue" / "answer.txt").write_text("raise")
    _, err = inferctl.both("up", code=1)
    told = err[err.index("error: ") :].splitlines()
    assert "RuntimeError: the model is not there" in [line.strip() for line in told]
    assert "its process ended before it was ready; fix the cause and run this again" in err
    assert "RuntimeError: the model is not there" in inferctl("logs", "iris/blue")
    _, err = inferctl.both("logs", "iris/red", code=1)
    assert "error: find Deployment 'lab/iris/red': not found; run `inferctl status`" in err
    assert [line for line in told if line != line.rstrip()] == []


def test_interrupted_up_ends_what_it_started_at_once_and_leaves_the_old_instance(inferctl):
    inferctl("up")
    serve = inferctl.folder / "blue" / "serve.py"
    quick = serve.read_text()
    serve.write_text(f"import time\ntime.sleep(15)\n{quick}")
    listing = inferctl.state / "workspaces" / "lab" / "instances" / "iris%2Fblue.json"
    before = listing.read_text()

    started = inferctl.begin("up", "-y")
    until(lambda: len(json.loads(listing.read_text())) == 2)
    started.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, err = started.communicate(timeout=60)

    assert started.returncode == 130
    assert time.monotonic() - asked < 10
    assert "interrupted; what was finished stays" in err
    assert listing.read_text() == before
    assert json.loads(inferctl("score", "iris", said="{}"))["answer"] == "blue"
    serve.write_text(quick)
    inferctl("up", "-y")
    inferctl("drift")
