"""A change of a workspace that needs new processes reaches every deployment, whichever fails."""

import pytest
from tests.conformance.labs import ANN, MemoryLab

from inference_provider.errors import NotReady
from inference_provider.observed import Kind
from inference_provider.targets.memory import MemoryPlatform
from inference_provider.workspace.system_clock import SystemClock


@pytest.fixture
def lab(tmp_path):
    """Blue, which must fail to start again, and green; a target that can close egress."""
    platform = MemoryPlatform(clock=SystemClock())
    platform.capabilities = platform.capabilities.model_copy(update={"egress_control": True})
    made = MemoryLab(platform, tmp_path, "lab")
    made.up()
    made.apply(made.deployment("green"))
    compute = made.ports.compute
    compute.ended.update({*made.instances(), *made.instances("iris/green")})  # nothing to keep
    compute.fails = lambda unit: "told to fail" if unit.id.name == "iris/blue" else ""
    return made


def test_closing_a_workspace_starts_the_others_though_one_fails(lab):
    before = set(lab.instances("iris/green"))
    with pytest.raises(NotReady, match="told to fail"):
        lab.apply(lab.space(egress="disabled"))
    assert before.isdisjoint(lab.instances("iris/green"))
    assert lab.state.is_closed("enabled")
    recorded = lab.target.record(lab.of(Kind.WORKSPACE).id)
    assert recorded.properties["egress"] == "disabled"


def test_a_change_that_is_in_force_at_once_starts_nothing(lab):
    before = set(lab.instances("iris/green"))
    lab.target.apply(lab.space(description="for all"), ANN)
    assert set(lab.instances("iris/green")) == before


def test_a_deployment_is_closed_by_itself_or_by_its_workspace(lab):
    assert not lab.state.is_closed("enabled")
    assert lab.state.is_closed("disabled")
