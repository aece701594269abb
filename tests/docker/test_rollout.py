"""Splits that the service of a workspace moves on a real Docker Engine, with real requests."""

import json
from collections import Counter

import pytest

from inference_provider.targets.docker import names
from tests.conformance.labs import SERVER, wait_until
from tests.docker.stack import Stack, stack_of
from tests.docker_host import SOCKET, run_in

pytestmark = pytest.mark.docker

GOOD = SERVER.read_text()
BAD = GOOD.replace("do_POST = do_GET", "def do_POST(self):\n        self.send_error(500)")


@pytest.fixture
def stack(tmp_path, host):
    """A stack whose deployment blue answers all requests; green fails all that it gets."""
    with stack_of(host, tmp_path, engine_socket=SOCKET) as made:
        made.write_code("green", BAD)
        [blue] = made.document["deployments"]
        green = {**blue, "name": "green", "code_configuration": {"code": "green"}}
        made.document["deployments"] = [blue, green]
        made.up()
        yield made


def declare(stack: Stack, *, bake_s: float) -> None:
    """Declare all requests to be green's, by 20 % and 60 % of the way."""
    steps = [{"share": share, "bake_minutes": bake_s / 60} for share in (20, 60)]
    plan = {"steps": steps, "alarms": [{"metric": "ErrorRate", "above": 5, "window_s": 10}]}
    stack.document["traffic"] = [{"endpoint": "iris", "traffic": {"green": 100}, "rollout": plan}]


def moves(stack: Stack) -> list[str]:
    """Return what was done to the split by itself."""
    found = json.loads(stack.said("journal", "--json")[1])
    return [one["action"] for one in found if one.get("why")]


def test_a_bad_version_goes_back_and_a_good_one_through_though_the_service_is_killed(stack, host):
    own = names.autoscaler(stack.workspace)
    assert host.container(own) is None
    with stack.load(takes_s=0.05) as load:
        declare(stack, bake_s=60)
        stack.up()
        run_in(host, own, "sh", "-c", "kill -9 -1")  # in the step; the Engine starts it again
        wait_until(lambda: "the rollout went back: 'iris/green': ErrorRate" in stack.status(), 60)
    failed = Counter(load.answers)
    assert set(failed) == {200, 424}
    assert failed[424] < 0.3 * failed.total()
    assert stack.said("drift")[0] == 2
    assert moves(stack) == ["roll back"]

    stack.write_code("green", GOOD)
    declare(stack, bake_s=4)
    with stack.load(takes_s=0.05) as load:
        stack.up()
        host.api.kill(own)  # by hand, so that the Engine does not start it again
        missing = "the workspace service does not run: splits stay where they are on their way"
        assert missing in stack.status()
        assert stack.said("drift")[0] == 2
        stack.up()
        wait_until(lambda: moves(stack)[-1] == "finish the rollout of", 60)
        assert "rollout" not in stack.status()
        assert "green 100 %" in stack.status()
    assert set(load.answers) == {200}
    assert moves(stack)[-2:] == ["step on", "finish the rollout of"]
    assert stack.said("drift")[0] == 0


def test_a_split_a_stop_and_a_down_in_the_middle_are_as_without_a_rollout(stack, host):
    stack.write_code("green", GOOD)
    declare(stack, bake_s=600)
    stack.up()
    wait_until(lambda: "rollout step 1 of 3 (20 %)" in stack.status(), 20)
    assert stack.said("stop")[0] == 0
    assert host.containers(names.selecting(stack.workspace, names.AUTOSCALER)) == []
    assert stack.said("start")[0] == 0
    assert "rollout step 1 of 3 (20 %)" in stack.status()
    assert "workspace service runs" in stack.status()
    code, said = stack.said("split", "iris", "blue=50", "green=50")
    assert code == 0, said
    assert "blue 50 %, green 50 %" in stack.status()
    assert "rollout" not in stack.status()
    stack.up()  # on the way again, from there
    assert "rollout step 1 of 3" in stack.status()
