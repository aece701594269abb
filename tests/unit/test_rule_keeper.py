"""A rule, and a split on its way, on a target where something has to start that keeps them."""

import dataclasses

import pytest
from tests.conformance.labs import MemoryLab

from inference_provider.errors import TargetError
from inference_provider.targets.memory import MemoryPlatform


class Platform(MemoryPlatform):
    """Starts nothing that would keep a rule."""

    def make(self, workspace):
        return dataclasses.replace(super().make(workspace), keep_rules=self.keep)

    def keep(self):
        raise TargetError("start", "the autoscaler", "no socket")


def test_a_rule_that_nothing_can_keep_changes_no_count_and_is_not_recorded(tmp_path):
    lab = MemoryLab(Platform(), tmp_path, "lab")
    lab.up()
    with pytest.raises(TargetError, match="no socket"):
        lab.apply(lab.rule(min_instances=2, max_instances=3))
    assert lab.target.record(lab.rule(max_instances=3).id) is None
    assert len(lab.instances()) == 1


@pytest.fixture
def lab(tmp_path):
    """A lab with two deployments, of which blue answers all requests."""
    made = MemoryLab(Platform(), tmp_path, "lab")
    made.up()
    made.apply(made.deployment("green"))
    return made


def split(lab):
    found = lab.router.status().weights["iris"]
    return {name: share for name, share in found.items() if share}


def test_a_split_that_nothing_can_move_does_not_begin_its_way(lab):
    before = lab.target.record(lab.rollout(green=100).id)
    with pytest.raises(TargetError, match="no socket"):
        lab.apply(lab.rollout(green=100))
    assert split(lab) == {"blue": 100}
    assert lab.target.record(lab.rollout(green=100).id) == before
    assert lab.target.shifts("lab") == ()
    assert lab.target.observe(["lab"]).get(before.id).status == "blue 100 %"


def test_a_split_at_once_needs_nothing_that_moves_it(lab):
    lab.apply(lab.rollout(green=100).model_copy(update={"at_once": True}))
    assert split(lab) == {"green": 100}
    lab.apply(lab.rollout(green=100))  # it is there already
    assert split(lab) == {"green": 100}
