"""A Docker host behind a real SSH server: a whole workspace, what is refused, a lost connection."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker import names
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.target import DockerPlatform
from tests import docker_host
from tests.conformance.labs import SERVER, DockerLab, wait_until
from tests.docker import sshd
from tests.docker.test_router_questions import relays

pytestmark = pytest.mark.docker
ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
PLACE = DockerPlace(kind="docker", host=f"ssh://box{ENGINE}")


@pytest.fixture
def server(tmp_path, monkeypatch):
    if sshd.missing():
        pytest.skip(sshd.missing())
    (tmp_path / "ssh").mkdir()
    found = sshd.Sshd(tmp_path / "ssh")
    monkeypatch.setenv("PATH", f"{tmp_path}/ssh/bin:{os.environ['PATH']}")
    yield found
    found.close()


class SshLab(DockerLab):
    @classmethod
    def open(cls, folder: Path) -> DockerPlatform:
        return DockerPlatform(PLACE)


@pytest.fixture
def lab(server, tmp_path):
    made = SshLab(SshLab.open(tmp_path), tmp_path, f"ssh{time.time_ns() % 10**9}")
    yield made
    rescue = DockerLab(DockerLab.open(tmp_path), tmp_path, made.workspace)
    rescue.close()
    rescue.platform.host.close()
    made.platform.host.close()


def left_behind() -> set[str]:
    return set(map(str, Path(tempfile.gettempdir()).glob("inference-ssh-*")))


def test_a_workspace_behind_ssh_is_the_one_that_its_host_has(lab, tmp_path):
    lab.up()
    assert lab.ask() == 200
    near = DockerLab(DockerLab.open(tmp_path), tmp_path, lab.workspace)
    assert near.documents() == lab.documents()
    assert near.ask() == 200
    near.platform.host.close()


def test_questions_to_its_router_share_a_command_until_the_host_is_closed(lab, tmp_path):
    lab.apply(lab.space())
    near = DockerLab(DockerLab.open(tmp_path), tmp_path, lab.workspace)
    for _ in range(2):
        lab.platform.host.close()
        wait_until(lambda: relays(near) == 0)
        assert [lab.router.router.in_force() for _ in range(3)] == [True] * 3
        assert relays(near) == 1
    near.platform.host.close()


def test_one_connection_serves_all_and_is_gone_when_the_host_is_closed(server):
    before = left_behind()
    host = DockerHost(PLACE)
    threads = [threading.Thread(target=host.containers, args=({},)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.sessions()) == 1
    host.close()
    wait_until(lambda: server.sessions() == [])
    assert left_behind() == before


def test_a_client_that_is_killed_leaves_no_connection(server):
    code = (
        "import sys, time; from inference_provider.spec.target import DockerPlace;"
        "from inference_provider.targets.docker.host import DockerHost;"
        "host = DockerHost(DockerPlace(kind='docker', host=sys.argv[1]));"
        "print(len(host.containers({})) >= 0, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(PLACE.host)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "True\n"
        assert len(server.sessions()) == 1
        client.kill()
    wait_until(lambda: server.sessions() == [])


def refused(host: str) -> str:
    found = DockerHost(DockerPlace(kind="docker", host=host))
    with pytest.raises(TargetUnreachable) as told:
        found.containers({})
    found.close()
    return str(told.value)


def test_a_key_that_the_host_does_not_know_is_refused_in_the_words_of_ssh(server):
    (server.folder / "authorized").write_text("")
    assert refused("ssh://box") == (
        "open Docker host ssh://box: root@127.0.0.1: Permission denied (publickey);"
        " mend it so that `ssh -o BatchMode=yes box true` works"
    )


def test_a_host_with_another_key_than_the_known_one_is_refused(server):
    (server.folder / "known").write_text("")
    assert refused("ssh://box") == (
        "open Docker host ssh://box: Host key verification failed;"
        " mend it so that `ssh -o BatchMode=yes box true` works"
    )


def test_a_host_without_an_engine_is_refused(server):
    said = refused(f"ssh://box{server.folder}/none.sock")
    assert said.startswith(f"open Docker host ssh://box{server.folder}/none.sock: ")
    assert "open failed: connect failed: open failed" in said
    assert said.endswith("; start the Engine, or name the right host or context in `target`")


def test_no_ssh_on_path_is_a_sentence(server, monkeypatch):
    monkeypatch.setenv("PATH", str(server.folder))
    assert refused("ssh://box") == (
        "open Docker host ssh://box: there is no `ssh` on PATH; install OpenSSH"
    )


STACK = """\
name: demo
workspaces:
  - name: {workspace}
    target: {{kind: docker, host: "{host}"}}
    base_image: {base_image}
environments:
  - name: plain
    command: [python, "{{code_dir}}/serve.py", "{{port}}"]
    inference_config:
      liveness_route: &route {{path: /, port: 8080}}
      readiness_route: *route
      scoring_route: *route
endpoints: [{{name: iris}}]
deployments:
  - endpoint: iris
    name: blue
    environment: plain@latest
    code_configuration: {{code: code}}
    environment_variables: {{LATE: "{late_s}"}}
"""


def inferctl(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("inferctl")), *words]
    environment = {**os.environ, "INFERENCE_STATE_DIR": str(folder / "state")}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=-1, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.usefixtures("server")
def test_a_router_on_the_loopback_of_its_host_is_asked_through_ssh(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "serve.py").write_bytes(SERVER.read_bytes())
    given: dict = {"workspace": f"ssh{time.time_ns() % 10**9}", "host": PLACE.host, "late_s": 0}
    stack = STACK.format(**given, base_image=docker_host.BASE_IMAGE)
    (tmp_path / "stack.yaml").write_text(
        f"{stack}traffic: [{{endpoint: iris, traffic: {{blue: 100}}}}]\n"
    )
    (tmp_path / "body").write_text("[1]")
    before, near = left_behind(), DockerHost("docker")

    def said(*words: str) -> str:
        with inferctl(tmp_path, *words) as command:
            return command.communicate(timeout=120)[0]

    try:
        assert "1 instance admitted" in said("up", "-y")
        assert json.loads(said("score", "iris", "--data", "body", "--json"))["status"] == 200
        near.api.stop(names.router(given["workspace"]))
        told = said("score", "iris", "--data", "body")
        assert "open failed: connect failed: Connection refused" in told  # in the words of ssh
    finally:
        said("down", "-y")
        near.close()
    assert left_behind() == before


def test_a_connection_that_is_lost_in_mid_up_is_a_sentence_and_the_next_up_converges(
    server, tmp_path
):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "serve.py").write_bytes(SERVER.read_bytes())
    given = {
        "workspace": f"ssh{time.time_ns() % 10**9}",
        "host": PLACE.host,
        "base_image": docker_host.BASE_IMAGE,
    }
    stack = tmp_path / "stack.yaml"
    stack.write_text(STACK.format(**given, late_s=0))
    with inferctl(tmp_path, "up", "-y") as first:
        assert first.communicate(timeout=120)[0].count("1 instance admitted") == 1
    stack.write_text(STACK.format(**given, late_s=3))
    near = DockerHost("docker")
    instances = names.selecting(given["workspace"], names.INSTANCE)
    with inferctl(tmp_path, "up", "-y") as second:
        wait_until(lambda: len(near.containers(instances)) == 2)
        # again and again: an `up` that is between two questions when ssh ends connects anew
        wait_until(lambda: server.cut() or second.poll() is not None, limit_s=60)
        said = second.communicate(timeout=60)[0]
    assert second.returncode == 1
    assert f"Docker host {PLACE.host}" in said
    with inferctl(tmp_path, "up", "-y") as third:
        assert "1 instance admitted" in third.communicate(timeout=120)[0]
    assert len(near.containers(instances)) == 1
    with inferctl(tmp_path, "drift") as drift:
        said = drift.communicate(timeout=60)[0]
    assert "0 drifted, 0 missing, 0 unmanaged, 4 clean" in said
    with inferctl(tmp_path, "down", "-y") as down:
        down.communicate(timeout=120)
    assert near.containers({"label": f"{names.WORKSPACE}={given['workspace']}"}) == []
    near.close()
