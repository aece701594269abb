"""Logs of a workspace on a real Docker Engine, sent to a real collector of its host."""

from collections import Counter

import httpx
import pytest

from inference_provider.targets.docker import names
from tests.collector import Collector, collecting, named
from tests.conformance.labs import SERVER, wait_until
from tests.docker.stack import Stack, stack_of
from tests.docker_host import SOCKET, run_in
from tests.ports import own_port

pytestmark = pytest.mark.docker
CALLS, EVENTS = "AmlOnlineEndpointTrafficLog", "AmlOnlineEndpointEventLog"
CONSOLE = "AmlOnlineEndpointConsoleLog"
PRINTS = SERVER.read_text().replace(
    "    def do_GET(self):",
    """    def do_GET(self):
        for number in range(int(self.headers.get("x-prints", "0"))):
            print(f"line {number} {'x' * 2000}")
        if self.command == "POST":
            said = f"asked {self.headers.get('x-request-id')}\\n"
            print(said, end="", flush=True)  # at once: others print beside""",
)
MANY = 12_000
"""Lines of 2 KB, for which an Engine begins two more files."""


@pytest.fixture
def stack(tmp_path, host):
    with stack_of(host, tmp_path) as made:
        made.write_code("code", PRINTS)
        yield made


def called(collector: Collector) -> list[str]:
    rows = [named(one.attributes) for one in [*collector.logs]]
    return [one["XRequestId"] for one in rows if one["Type"] == CALLS]


def asked(collector: Collector) -> list[str]:
    said = (one.split() for one in collector.bodies(CONSOLE))
    return [one[1] for one in said if one[:1] == ["asked"]]


def kill_the_service(stack: Stack, host) -> None:
    own = names.autoscaler(stack.workspace)
    run_in(host, own, "sh", "-c", "kill -9 -1")  # the Engine starts it again
    wait_until(lambda: host.container(own)["RestartCount"] == 1, 60)


def test_no_line_is_lost_over_a_collector_that_is_away_a_killed_service_and_instances_that_go(
    stack, host
):
    port, own = own_port(), names.autoscaler(stack.workspace)
    url, [space] = f"http://127.0.0.1:{port}", stack.document["workspaces"]
    space |= {"logs": {"otlp_endpoint": url}}
    code, said = stack.said("up", "-y")
    assert code == 1
    assert "logs.otlp_endpoint: a Docker host sends logs by a container that has the Eng" in said
    space["engine_socket"] = SOCKET
    stack.up()
    with stack.load(takes_s=0.05) as load:
        wait_until(lambda: f"logs wait for {url} since " in stack.status(), 60)
        assert stack.said("drift")[0] == 0
        with collecting(port) as collector:
            collector.wait_for(lambda: len(called(collector)) > 50)
            kill_the_service(stack, host)
            before = len(called(collector))
            collector.wait_for(lambda: len(called(collector)) > before + 50)
            assert f"router ready; logs go to {url}" in stack.status()
            stack.write_code("code", f"{PRINTS}\n# another generation")
            stack.up()  # the container of before goes with its log
            before = len(called(collector))
            collector.wait_for(lambda: len(called(collector)) > before + 50)
            load.__exit__()
            answered = len(load.answers)
            collector.wait_for(lambda: len({*called(collector)}) >= answered)
            wait_until(lambda: {*called(collector)} <= {*asked(collector)}, 30)
            events = collector.bodies(EVENTS)
            said = stack.status()
    assert set(load.answers) == {200}
    twice = [one for one, times in Counter(called(collector)).items() if times > 1]
    assert len(twice) <= 2000
    assert len({*called(collector)}) == answered
    assert {"Created container", "Started container"} <= {*events}
    assert "lost" not in said
    assert {one["service.instance.id"] for one in collector.resources} == {stack.workspace}
    del space["logs"]
    stack.up()
    assert host.container(own) is None


def test_lines_come_once_each_though_the_engine_begins_other_files_meanwhile(stack, host):
    stack.document["workspaces"][0] |= {"engine_socket": SOCKET}
    with collecting() as collector:
        stack.document["workspaces"][0] |= {"logs": {"otlp_endpoint": collector.url}}
        stack.up()
        url, headers = stack.load().target
        headers = {**headers, "x-prints": str(MANY)}
        assert httpx.post(url, headers=headers, timeout=60, trust_env=False).status_code == 200
        collector.wait_for(lambda: len(asked(collector)) == 1, 120)
        said = (one.split()[:2] for one in collector.bodies(CONSOLE))
        numbers = [int(one[1]) for one in said if one[0] == "line"]
        status = stack.status()
    assert numbers == [*range(MANY)]
    assert "lost" not in status
