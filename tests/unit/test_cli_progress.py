"""How inferctl applies side by side, and what it tells meanwhile."""

import threading
from io import StringIO

import pytest
from rich.console import Console

from inference_provider.cli.progress import shown, under_way
from inference_provider.errors import NotReady
from inference_provider.observed import Kind, ObservedResource, Presence, ResourceId
from inference_provider.plan import Action, ActionKind
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.ports import silent

TRAFFIC = ResourceId(kind=Kind.TRAFFIC, workspace="default", name="iris")


class FailingTarget(MemoryTarget):
    """A target on which no deployment starts, whichever of two comes first."""

    def __init__(self):
        super().__init__()
        self.both = threading.Barrier(2)

    def apply(self, desired, actor, progress=silent, for_each=None):
        if desired.id.kind == Kind.DEPLOYMENT:
            self.both.wait(10)
            raise NotReady("start", str(desired.id), "its process ended", "see its log")
        return super().apply(desired, actor, progress)


def test_up_one_at_a_time_says_what_is_finished_in_the_order_of_the_plan(cli):
    result = cli("up", "--parallel", "1")
    finished = [line for line in result.stderr.splitlines() if not line.startswith("  ")]
    assert [line.split()[0] for line in finished] == [
        "Workspace", "Environment", "Endpoint", "Deployment", "Deployment", "Traffic",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["up", "down"])
def test_less_than_one_at_a_time_is_a_wrong_command_line(cli, command):
    result = cli(command, "--parallel", "0")
    assert result.exit_code == 1
    assert "--parallel" in result.stderr


def test_of_much_that_is_under_way_five_are_shown_and_the_rest_counted():
    steps = {TRAFFIC.model_copy(update={"name": f"ep-{i}"}): "served" for i in range(8)}
    assert under_way(steps) == [
        "Traffic 'default/ep-0': served",
        "Traffic 'default/ep-1': served",
        "Traffic 'default/ep-2': served",
        "Traffic 'default/ep-3': served",
        "Traffic 'default/ep-4': served",
        "and 3 more",
    ]


def test_up_tells_all_that_failed_and_the_next_one_goes_on(cli):
    cli.target = FailingTarget()
    result = cli("up", "--parallel", "2")
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "error: 2 changes failed:\n"
        "  start Deployment 'default/iris/blue': its process ended; see its log\n"
        "  start Deployment 'default/iris/green': its process ended; see its log\n"
    )
    assert cli("plan").stdout.splitlines()[-1] == "3 to create; 3 unchanged"


def test_a_terminal_has_one_line_for_each_resource_that_is_finished():
    text = StringIO()
    with shown(Console(file=text, force_terminal=True, width=100)) as (step, finished):
        for name in ("blue", "green"):
            there = TRAFFIC.model_copy(update={"kind": Kind.DEPLOYMENT, "name": f"iris/{name}"})
            step(there, "[1] of 2 instances ready")
            finished(Action(kind=ActionKind.CREATE, id=there), None)
    lines = [line for line in text.getvalue().splitlines() if "created" in line]
    assert len(lines) == 2
    assert "Deployment" in lines[0]
    assert "[1] of 2 instances ready" in text.getvalue()


def told_of(**there) -> str:
    text = StringIO()
    action = Action(kind=ActionKind.UPDATE, id=TRAFFIC)
    with shown(Console(file=text, width=100)) as (_, finished):
        finished(action, ObservedResource(id=TRAFFIC, presence=Presence.PRESENT, **there))
    return text.getvalue()


def test_a_split_that_a_rollout_has_given_back_is_not_said_to_be_updated():
    back = "blue 100 %, green 0 %; the rollout went back: ErrorRate 40 %"
    shares = {"blue": 100}
    assert (
        told_of(status=back, in_force=shares) == f"Traffic 'default/iris' stays as it is: {back}\n"
    )
    step = "blue 90 %, green 10 %; rollout step 1 of 3 (10 %)"
    said = told_of(status=step, in_force=shares, under_way="rollout step 1 of 3 (10 %)")
    assert said == f"Traffic 'default/iris' updated: {step}\n"
    assert told_of(status="green 100 %") == "Traffic 'default/iris' updated: green 100 %\n"
