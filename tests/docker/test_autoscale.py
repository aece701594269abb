"""Rules that a container keeps on a real Docker Engine, with a real router and real load."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference_provider.targets.docker import names
from inference_provider.targets.docker.locks import HostLocks
from tests.conformance.labs import SERVER, wait_until
from tests.docker_host import BASE_IMAGE, run_in

pytestmark = pytest.mark.docker
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


class Stack:
    """A stack file of one deployment with a rule, and `inferctl` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = f"auto{time.time_ns() % 10**9}"
        route = {"path": "/", "port": 8080}
        (folder / "code").mkdir()
        (folder / "code" / "serve.py").write_text(SERVER.read_text())
        space = {"name": self.workspace, "target": "docker", "base_image": BASE_IMAGE}
        self.document = {
            "name": "auto",
            "workspaces": [{**space, "engine_socket": SOCKET}],
            "environments": [
                {
                    "name": "plain",
                    "command": ["python", "{code_dir}/serve.py", "{port}"],
                    "inference_config": {
                        f"{name}_route": route for name in ("liveness", "readiness", "scoring")
                    },
                }
            ],
            "endpoints": [{"name": "iris"}],
            "deployments": [
                {
                    "endpoint": "iris",
                    "name": "blue",
                    "environment": "plain:1",
                    "code_configuration": {"code": "code"},
                    "request_settings": {"max_concurrent_requests_per_instance": 16},
                    "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 1},
                    "resources": {"requests": {"cpu": "1", "memory": "256Mi"}},
                }
            ],
            "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
            "autoscale_rules": [
                {
                    "endpoint": "iris",
                    "deployment": "blue",
                    "max_instances": 3,
                    "targets": [
                        {"metric": "RequestsInFlight", "target": 2},
                        {"metric": "CpuMemoryUtilizationPercentage", "target": 90},
                    ],
                    "scale_in": {"stabilization_s": 5},
                }
            ],
        }

    def said(self, *given: str) -> tuple[int, str]:
        (self.folder / "stack.yaml").write_text(json.dumps(self.document))
        program = str(Path(sys.executable).with_name("inferctl"))
        done = subprocess.run(
            [program, *given],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        return done.returncode, done.stdout + done.stderr


class Load:
    """Requests to endpoint iris that take 0.3 s each, 6 at a time, until it is left."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._headers = url, {"authorization": f"Bearer {key}", "x-takes": "0.3"}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(6)]
        self.answers: list[object] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_given) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._over.is_set():
                self.answers.append(client.post(self._url, headers=self._headers).status_code)


@pytest.fixture
def stack(tmp_path, host):
    made = Stack(tmp_path)
    yield made
    for section in ("deployments", "traffic", "autoscale_rules"):
        made.document[section] = []
    code, said = made.said("down", "-y")
    assert code == 0, said
    label = {"label": f"{names.WORKSPACE}={made.workspace}"}
    assert (host.containers(label), host.volumes(label)) == ([], [])


def runs(state: dict[str, Any]) -> bool:
    """Whether a container runs; one that waits to be started again says so as well."""
    return bool(state["Running"] and not state["Restarting"])


def test_load_brings_instances_and_its_end_takes_them_and_a_killed_autoscaler_comes_back(
    stack, host, monkeypatch
):
    code, said = stack.said("up", "-y")
    assert code == 0, said
    own = names.autoscaler(stack.workspace)
    selecting = names.selecting(stack.workspace, names.INSTANCE)

    def count() -> int:
        return len(host.containers(selecting))

    assert "router ready; autoscaler runs" in stack.said("status")[1]
    outputs = json.loads(stack.said("outputs", "--json", "--show-secrets")[1])
    [endpoint] = [found for found in outputs.values() if "scoring_uri" in found]
    with Load(endpoint["scoring_uri"], endpoint["primary_key"]) as load:
        wait_until(lambda: count() == 3, 60)
        assert stack.said("up", "-y")[1].startswith("no changes")
    assert set(load.answers) == {200}
    wait_until(lambda: count() == 1, 60)
    wait_until(lambda: stack.said("drift")[0] == 0, 60)
    code, said = stack.said("autoscale", "explain", "iris/blue", "--last", "9")
    assert code == 0, said
    assert "decided again: the same" in said
    assert "CpuMemoryUtilizationPercentage" in said
    run_in(host, own, "sh", "-c", "kill -9 -1")  # all but the first process
    wait_until(lambda: host.container(own)["RestartCount"] == 1, 60)
    wait_until(lambda: runs(host.container(own)["State"]), 60)
    monkeypatch.setenv(names.ROLE_VARIABLE, names.AUTOSCALER)
    lock = names.lock(stack.workspace, "deployment.iris.blue")  # as in the middle of a change
    assert HostLocks(host, stack.workspace)._made(lock, {})
    monkeypatch.delenv(names.ROLE_VARIABLE)
    host.api.kill(own)
    said = stack.said("status")[1]
    assert "the autoscaler does not run: counts stay as they are" in " ".join(said.split())
    assert stack.said("drift")[0] == 2
    assert stack.said("up", "-y")[0] == 0
    assert stack.said("drift")[0] == 0
    assert host.container(own)["State"]["Running"]
    stack.document["autoscale_rules"][0]["enabled"] = False
    assert stack.said("up", "-y")[0] == 0
    assert host.container(own) is None
    assert host.container(lock) is None
