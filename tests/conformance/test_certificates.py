"""The certificate of a workspace, through its years."""

from datetime import timedelta

from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.memory import MemoryTarget
from tests.memory import ANN, desired, state_of


def test_a_generated_certificate_in_its_last_days_is_drift_and_an_up_makes_another():
    target = MemoryTarget()
    spec = WorkspaceSpec(name="lab", target="memory", tls={"generate": True})
    space = desired(Kind.WORKSPACE, spec)
    target.apply(space, ANN)
    before = state_of(target, "lab").tls()
    seen = target.observe_one(space.id)
    assert (seen.degraded, seen.outputs["ca_certificate"]) == ("", before.trusted)
    target.memory.clock.sleep(timedelta(days=800).total_seconds())
    assert target.observe_one(space.id).degraded.startswith("its certificate ends on 20")
    [action] = plan([space], target.observe(["lab"]), "demo").pending
    assert action.kind.value == "update"
    target.apply(space, ANN)
    after = state_of(target, "lab").tls()
    assert target.observe_one(space.id).degraded == ""
    assert after.trusted == before.trusted
    assert after.tls.certificate != before.tls.certificate


def test_a_workspace_that_speaks_tls_no_more_keeps_no_private_key():
    target = MemoryTarget()
    with_tls = WorkspaceSpec(name="lab", target="memory", tls={"generate": True})
    target.apply(desired(Kind.WORKSPACE, with_tls), ANN)
    target.apply(desired(Kind.WORKSPACE, WorkspaceSpec(name="lab", target="memory")), ANN)
    assert state_of(target, "lab").tls() is None
