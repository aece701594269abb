"""Alerts of a workspace on a real Docker Engine: real requests, and a real webhook of its host."""

import json

import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import SERVER, wait_until
from tests.docker.stack import Stack, stack_of
from tests.docker_host import SOCKET, run_in
from tests.hook import TOKEN, Hook
from tests.ports import own_port

pytestmark = pytest.mark.docker

GOOD = SERVER.read_text()
BAD = GOOD.replace("do_POST = do_GET", "def do_POST(self):\n        self.send_error(500)")
RULE = {"metric": "ErrorRate", "threshold": 5, "window_s": 15, "resolve_after_s": 0}


@pytest.fixture
def hook():
    found = Hook(own_port())
    found.begin()
    yield found
    found.end()


@pytest.fixture
def stack(tmp_path, host, hook):
    with stack_of(host, tmp_path) as made:
        [endpoint] = made.document["endpoints"]
        endpoint |= {"alerts": {"errors": RULE | {"webhook": "ops"}}}
        endpoint |= {"alert_webhooks": {"ops": hook.url}}
        yield made


def listed(stack: Stack) -> dict:
    code, said = stack.said("alerts", "iris", "--json")
    assert code == 0, said
    [found] = json.loads(said)
    return found


def stands(stack: Stack) -> tuple[str, int]:
    found = listed(stack)
    return found["state"], found["pending"]


def events(stack: Stack) -> list[str]:
    found = json.loads(stack.said("events", "iris", "--json")[1])
    return [one["name"] for one in found if one["name"].startswith("Alert")]


def kill_the_service(stack: Stack, host) -> None:
    own = names.autoscaler(stack.workspace)
    before = host.container(own)["RestartCount"]
    run_in(host, own, "sh", "-c", "kill -9 -1")  # the Engine starts it again
    wait_until(lambda: host.container(own)["RestartCount"] == before + 1, 60)


def everything_told(stack: Stack, host) -> str:
    """Return what the Engine says of all containers, and what the service and the router keep."""
    there = host.containers({"label": f"{names.WORKSPACE}={stack.workspace}"})
    said = [json.dumps(host.container(one["Id"])) for one in there]
    said += [host.last_lines(one["Id"], 10_000) for one in there]
    kept = host.get_files(names.autoscaler(stack.workspace), "/service")
    return "\n".join([*said, kept.decode(errors="replace")])


def test_a_webhook_of_the_host_hears_once_that_an_alert_fired_and_once_that_it_is_resolved(
    stack, host, hook
):
    own = names.autoscaler(stack.workspace)
    [space] = stack.document["workspaces"]
    code, said = stack.said("up", "-y")
    assert code == 1
    assert "alerts: a Docker host watches alerts by a container that has the Engine's" in said
    space["engine_socket"] = "/run/nowhere.sock"
    code, said = stack.said("up", "-y")
    assert code == 1
    assert "bind source path does not exist: /run/nowhere.sock; set the workspace's engine" in said
    space["engine_socket"] = SOCKET
    stack.write_code("code", BAD)
    stack.up()
    with stack.load(takes_s=0.05):
        wait_until(lambda: listed(stack)["told"], 90)
        kill_the_service(stack, host)
        assert "alert 'errors' fired at" in stack.status()
        assert stack.said("drift")[0] == 0
        stack.write_code("code", GOOD)
        stack.up()
        wait_until(
            lambda: (listed(stack)["state"], listed(stack)["pending"]) == ("resolved", 0), 90
        )
    assert hook.told == ["Fired", "Resolved"]
    assert hook.got[0]["text"].startswith(
        f"Fired: alert 'errors' (Sev3) of endpoint '{stack.workspace}/iris': ErrorRate 100 % above"
    )
    assert events(stack) == ["AlertFired", "AlertResolved"]
    assert TOKEN not in everything_told(stack, host)
    del stack.document["endpoints"][0]["alerts"], stack.document["endpoints"][0]["alert_webhooks"]
    stack.up()
    assert host.container(own) is None


def test_one_that_nobody_is_told_of_needs_no_network_and_says_who_watches_it(stack, host):
    own, [space] = names.autoscaler(stack.workspace), stack.document["workspaces"]
    space["engine_socket"] = SOCKET
    idle = {"metric": "RequestsPerMinute", "operator": "less_than", "threshold": 1, "window_s": 15}
    stack.document["endpoints"] = [{"name": "iris", "alerts": {"idle": idle}}]
    stack.up()
    assert host.container(own)["HostConfig"]["NetworkMode"] == "none"
    wait_until(lambda: listed(stack)["state"] == "fired", 60)
    assert "workspace service runs" in stack.status()
    assert stack.up().startswith("no changes")
    host.api.kill(own)  # by hand, so that the Engine does not start it again
    assert "the workspace service does not run: nobody watches alerts" in stack.status()
    wait_until(lambda: "nobody has looked since" in listed(stack)["now"], 60)
    stack.up()
    wait_until(lambda: "RequestsPerMinute" in listed(stack)["now"], 60)
    assert listed(stack)["state"] == "fired"
    assert events(stack) == ["AlertFired"]
