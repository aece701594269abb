"""A rule on a target where something has to start that keeps it."""

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
