"""kill -9 of `inferctl` in the middle of an `up`, at random moments: the next one converges."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import SERVER
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker
ROUNDS = 15
SEED = 20261126


@pytest.fixture
def stack(tmp_path):
    """A folder with a stack file of one deployment."""
    route = {"path": "/", "port": 8080}
    for code in ("one", "two"):
        (tmp_path / code).mkdir()
        text = SERVER.read_text() + f"# {code}\n"
        (tmp_path / code / "serve.py").write_text(text)
    (tmp_path / "model.bin").write_bytes(b"weights")
    return tmp_path, {
        "name": "storm",
        "workspaces": [
            {
                "name": f"storm{time.time_ns() % 10**9}",
                "target": "docker",
                "base_image": BASE_IMAGE,
            }
        ],
        "models": [{"name": "iris", "path": "model.bin"}],
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
                "model": "iris:1",
                "environment": "plain:1",
                "code_configuration": {"code": "one"},
                "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 1},
            }
        ],
        "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
    }


def inferctl(folder: Path, *given: str) -> subprocess.Popen:
    program = str(Path(sys.executable).with_name("inferctl"))
    return subprocess.Popen(
        [program, *given], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def said(folder: Path, *given: str) -> tuple[int, str]:
    with inferctl(folder, *given) as process:
        text, _ = process.communicate(timeout=100)
    return process.returncode, text


def written(folder: Path, document, number: int) -> None:
    """Write a stack that differs from the one of the round before."""
    deployment = document["deployments"][0]
    deployment["code_configuration"] = {"code": ("one", "two")[number % 2]}
    deployment["instance_count"] = 1 + number % 2
    deployment["egress_public_network_access"] = ("enabled", "disabled")[number // 2 % 2]
    (folder / "stack.yaml").write_text(json.dumps(document))


def left(host, workspace: str) -> tuple[list[str], ...]:
    """Return the containers, networks and volumes of a workspace on the host."""
    label = {"label": f"{names.WORKSPACE}={workspace}"}
    containers = [one["Names"][0].removeprefix("/") for one in host.containers(label)]
    networks = [one["Name"] for one in host.api.networks(filters=label)]
    return sorted(containers), sorted(networks), sorted(host.volumes(label))


def test_after_any_kill_the_next_up_converges_and_leaves_nothing_over(host, stack):
    folder, document = stack
    workspace, rng = document["workspaces"][0]["name"], random.Random(SEED)
    try:
        for number in range(ROUNDS):
            written(folder, document, number)
            with inferctl(folder, "up", "-y") as process:
                time.sleep(rng.uniform(0.3, 3.5))
                process.kill()
        written(folder, document, ROUNDS)
        code, text = said(folder, "up", "-y")
        assert code == 0, text
        assert said(folder, "drift")[0] == 0
        assert said(folder, "up", "-y")[0] == 0
        containers, networks, volumes = left(host, workspace)
        own = f"inference.{workspace}"
        *instances, records, router = containers
        assert (records, router) == (f"{own}.records", f"{own}.router")
        assert [name.rpartition(".iris.blue.")[0] for name in instances] == [own, own]
        assert set(networks) <= {own, f"{own}.closed"}
        kinds = sorted(name.split(".")[2] for name in volumes)
        # code of the last 2 hours stays, if a kill came late enough for it to be copied
        assert kinds[kinds.count("code") - 1 :] == ["code", "model", "records", "router"]
        assert kinds.count("code") in (1, 2)
    finally:
        document["deployments"], document["traffic"] = [], []
        assert said(folder, "down", "-y")[0] == 0
    assert left(host, workspace) == ([], [], [])
    assert left(host, "image.build") == ([], [], [])  # locks of builds
