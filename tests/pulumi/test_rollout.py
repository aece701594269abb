"""A split that a rollout moves, beside Pulumi: no diff on its way, one when it went back."""

import shutil
from pathlib import Path

import pytest
from tests.pulumi.conftest import STACK

from inference_provider.canary import Move
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.targets.local.target import LocalTarget

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.local,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]
TRAFFIC = ResourceId(kind=Kind.TRAFFIC, workspace="edge", name="echo")
SERVICE = Actor(user="service", command="rollout")


def with_rollout(bake_minutes: float, more: str = "") -> str:
    steps = f"[{{share: 50, bake_minutes: {bake_minutes}}}]"
    plan = f"{{steps: {steps}, alarms: [{{metric: ErrorRate, above: 5}}]{more}}}"
    return STACK.replace("{blue: 90, green: 10}", f"{{green: 100}}\n    rollout: {plan}")


def shown(target: LocalTarget) -> str:
    return target.observe_one(TRAFFIC).status


def test_a_rollout_is_no_change_on_its_way_and_one_that_went_back_begins_again(program):
    program.up()
    program.declare(with_rollout(60))
    assert "rollout step 1 of 2 (50 %)" in program.up()
    program.expect_no_changes()

    target = LocalTarget.open(Path(program.environment["INFERENCE_STATE_DIR"]))
    [seen] = target.shifts("edge")
    target.move(seen, Move.BACK, "told to", SERVICE)
    assert "the rollout went back: told to" in shown(target)
    assert "Traffic edge/echo update [diff: -degraded]" in program.pulumi("preview")

    program.declare(with_rollout(60, ", wait_minutes: 90"))
    failed = program.pulumi("up", "--yes", "--skip-preview", rc=1)
    assert "wait for the rollout of Traffic 'edge/echo': the rollout went back: told to; " in failed

    program.declare(with_rollout(0.02, ", wait_minutes: 3"))
    program.up()
    assert shown(target) == "green 100 %"
    program.expect_no_changes()
