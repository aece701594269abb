"""Calls and events of a workspace on a real Docker Engine, which stay for so many days."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import wait_until
from tests.docker.stack import Stack, stack_of
from tests.docker_host import SOCKET, run_in

pytestmark = [pytest.mark.docker, pytest.mark.timeout(540)]
CALLS, EVENTS = "/router/access.log.1", "/service/logs/events.jsonl.1"
OLD = (datetime.now(UTC) - timedelta(days=100)).isoformat(timespec="milliseconds")
EVENT = {"time": OLD, "deployment": "iris", "instance": "", "name": "AlertFired", "message": "-"}


@pytest.fixture
def stack(tmp_path, host) -> Iterator[Stack]:
    with stack_of(host, tmp_path) as made:
        yield made


def write_old(host, container: str, file: str, line: dict[str, str]) -> None:
    """Write a line into a file of a container that nobody has written for 100 days."""
    said = f"mkdir -p $(dirname {file}) && echo '{json.dumps(line)}' > {file}"
    status, told = run_in(host, container, "sh", "-c", f"{said} && touch -d {OLD} {file}")
    assert status == 0, told


def is_there(host, container: str, file: str) -> bool:
    return run_in(host, container, "test", "-e", file)[0] == 0


def test_calls_and_events_that_are_older_than_is_declared_go_and_newer_ones_stay(stack, host):
    [space] = stack.document["workspaces"]
    space |= {"engine_socket": SOCKET, "logs": {"retention_days": 30}}
    code, said = stack.said("up", "-y")
    assert code == 1
    assert "a Docker Engine bounds what a container prints by size alone, not by age" in said
    space["logs"] = {"retention_days": 3650, "retention_of": ["traffic", "events"]}
    stack.up()
    assert "workspace service runs" in stack.status()
    router, service = names.router(stack.workspace), names.autoscaler(stack.workspace)
    write_old(host, router, CALLS, {"ts": OLD})
    write_old(host, service, EVENTS, EVENT)
    url, headers = stack.load().target
    assert httpx.post(url, headers=headers, timeout=60, trust_env=False).status_code == 200
    assert "AlertFired" in stack.said("events")[1]
    space["logs"]["retention_days"] = 30
    stack.up()
    assert "AlertFired" not in stack.said("events")[1]
    for container in (router, service):  # each looks every five minutes, and at its start
        host.api.restart(container)
    wait_until(lambda: not is_there(host, router, CALLS), 60)
    wait_until(lambda: not is_there(host, service, EVENTS), 60)
    wait_until(lambda: '"ResponseCode": 200' in stack.said("logs", "--table", "traffic")[1], 30)
    assert stack.said("drift")[0] == 0
    del space["logs"]
    stack.up()
    assert host.container(service) is None
