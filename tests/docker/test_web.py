"""The workspace service over HTTP on a Docker host: a container that gives tokens to callers."""

import time

import httpx
import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import wait_until
from tests.docker.stack import Stack, stack_of
from tests.docker_host import SOCKET, run_in
from tests.ports import own_port

pytestmark = pytest.mark.docker

GIVES_TOKENS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/token/action"


@pytest.fixture
def port():
    return own_port()


@pytest.fixture
def stack(tmp_path, host, port):
    roles = {"Caller": {"actions": [GIVES_TOKENS]}}
    with stack_of(host, tmp_path, roles=roles, service={"port": port, "console": True}) as made:
        made.document["endpoints"][0]["auth_mode"] = "aml_token"
        for section in ("deployments", "traffic", "environments"):
            made.document[section] = []
        made.document["role_assignments"] = [
            {
                "workspace": made.workspace,
                "name": "ben-calls",
                "principal": "ben",
                "principal_type": "user",
                "role": "Caller",
                "scope": "endpoints/iris",
            }
        ]
        yield made


def ask(token: str, port: int) -> int:
    path, head = f"http://127.0.0.1:{port}/endpoints/iris/token", {"authorization": token}
    try:
        return httpx.post(path, headers=head, timeout=10, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def token_of(stack: Stack) -> str:
    code, said = stack.said("access", "token", "user:ben")
    assert code == 0, said
    return f"Bearer {said.strip()}"


def test_a_role_decides_who_gets_a_token_also_after_a_kill_and_after_its_container_was_removed(
    stack, host, port
):
    code, said = stack.said("up", "-y")
    assert code == 1
    assert "service: a Docker host gives tokens over HTTP by a container that has the" in said
    [space] = stack.document["workspaces"]
    space["engine_socket"] = SOCKET
    stack.up()
    mine = token_of(stack)
    assert ask(mine, port) == 200
    assert ask("Bearer nonsense", port) == 401
    assert f"service on http://127.0.0.1:{port}" in stack.status()
    own = names.web(stack.workspace)
    door = httpx.get(f"http://127.0.0.1:{port}/login", trust_env=False)
    assert (door.status_code, "token" in door.text) == (200, True)
    run_in(host, own, "sh", "-c", "kill -9 -1")  # the Engine starts it again
    wait_until(lambda: host.container(own)["RestartCount"] == 1, 60)
    wait_until(lambda: ask(mine, port) == 200, 60)
    assigned = stack.document.pop("role_assignments")
    stack.up()
    until_s = time.monotonic() + 1
    while ask(mine, port) != 403:
        assert time.monotonic() < until_s
    stack.document["role_assignments"] = assigned
    host.remove(own)
    assert "its container is not there" in stack.status()
    stack.up()
    assert ask(mine, port) == 200
    assert "issue token" in stack.said("journal")[1]
    del space["service"]
    stack.up()
    assert host.container(own) is None
