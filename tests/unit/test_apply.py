"""A plan applied side by side, to a target that publishes the edits of all who wait at once."""

import threading
import time

import pytest
from pydantic import SecretStr

from inference_provider.apply import apply, refuse_unsupported
from inference_provider.desired import resolve
from inference_provider.errors import NotReady, SeveralFailed, TargetError
from inference_provider.gpus import Gpu
from inference_provider.observed import Actor, Kind, ObservedState
from inference_provider.plan import plan
from inference_provider.spec import StackSpec
from inference_provider.targets.memory import MemoryCompute, MemoryTarget

ANN = Actor(user="ann")
PUBLISH_S = 0.02


class GroupCommitTarget(MemoryTarget):
    """Whoever publishes, publishes for all who wait; deployments and environments take a while."""

    def __init__(self, failing=()):
        super().__init__()
        self.publications, self.at_work, self.most_at_work = 0, 0, 0
        self._failing = failing
        self._all_failing = threading.Barrier(max(len(failing), 1))
        self._published = threading.Condition()
        self._edits, self._in_force, self._publishing = 0, 0, False

    def apply(self, desired, actor, progress=lambda *_: None, for_each=None):
        if desired.id.name in self._failing:
            self._all_failing.wait(timeout=10)  # after the first failure nothing new begins
            raise NotReady("start", str(desired.id), "its process ended before it was ready")
        if desired.id.kind in (Kind.DEPLOYMENT, Kind.ENVIRONMENT):
            self._work()
        with self._published:
            applied = super().apply(desired, actor, progress)
            self._edits += 1
            self._publish_up_to(self._edits)
        return applied

    def delete(self, *args, **options):
        with self._published:
            super().delete(*args, **options)

    def _work(self):
        with self._published:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        time.sleep(0.02)
        with self._published:
            self.at_work -= 1

    def _publish_up_to(self, edit):
        while self._in_force < edit:
            if self._publishing:
                self._published.wait()
                continue
            self._publishing, newest = True, self._edits
            self._published.release()
            time.sleep(PUBLISH_S)
            self._published.acquire()
            self._publishing, self._in_force = False, newest
            self.publications += 1
            self._published.notify_all()


def stack(endpoints, **fields):
    base = {
        "name": "demo",
        "workspaces": [{"target": "memory"}],
        "environments": [{"name": "env", "content_hash": "b" * 64}],
        "endpoints": [{"name": f"ep-{i}"} for i in range(endpoints)],
        "deployments": [
            {"endpoint": f"ep-{i}", "name": "blue", "environment": "env:1"}
            for i in range(endpoints)
        ],
        "traffic": [{"endpoint": f"ep-{i}", "traffic": {"blue": 100}} for i in range(endpoints)],
    }
    return StackSpec.model_validate(base | fields)


def planned(spec, target):
    return plan(resolve(spec), target.observe(["default"]), "demo")


def test_edits_that_wait_together_are_published_together():
    target = GroupCommitTarget()
    apply(planned(stack(200, deployments=[], traffic=[]), target), target, ANN, parallel=4)
    assert len(target.observe(["default"]).resources) == 202
    assert target.publications <= 20


def test_starts_are_bounded_by_parallel():
    target = GroupCommitTarget()
    apply(planned(stack(12), target), target, ANN, parallel=3)
    assert target.most_at_work == 3


def test_deployments_without_instances_start_nothing_and_are_not_bounded():
    target = GroupCommitTarget()
    spec = stack(12)
    asked = [d.model_copy(update={"instance_count": 0}) for d in spec.deployments]
    spec = spec.model_copy(update={"deployments": tuple(asked)})
    apply(planned(spec, target), target, ANN, parallel=2)
    assert target.most_at_work > 2


def test_one_at_a_time_is_the_order_of_the_plan():
    target, told = GroupCommitTarget(), []
    found = planned(stack(2), target)
    apply(found, target, ANN, finished=lambda action, there: told.append(action))
    assert told == list(found.pending)


@pytest.mark.parametrize("parallel", [1, 8])
def test_everything_is_made_and_everything_is_deleted(parallel):
    target = GroupCommitTarget()
    apply(planned(stack(10), target), target, ANN, parallel=parallel)
    assert planned(stack(10), target).pending == ()
    gone = plan((), target.observe(["default"]), "demo")
    apply(gone, target, ANN, parallel=parallel)
    assert target.observe(["default"]).resources == {}


def test_all_that_failed_is_told_and_what_was_done_stays():
    target = GroupCommitTarget(failing={"ep-0/blue", "ep-1/blue"})
    told = []
    with pytest.raises(SeveralFailed) as caught:
        apply(planned(stack(2), target), target, ANN, lambda i, m: told.append(m), parallel=4)
    assert told.count("failed; waiting for what is under way") == 2
    assert str(caught.value) == (
        "2 changes failed:\n"
        "  start Deployment 'default/ep-0/blue': its process ended before it was ready\n"
        "  start Deployment 'default/ep-1/blue': its process ended before it was ready"
    )
    assert len(target.observe(["default"]).resources) == 4


def test_nothing_is_deleted_after_a_creation_that_failed():
    target = GroupCommitTarget(failing={"ep-0/green"})
    apply(planned(stack(1), target), target, ANN)
    after = stack(
        1,
        deployments=[{"endpoint": "ep-0", "name": "green", "environment": "env:1"}],
        traffic=[{"endpoint": "ep-0", "traffic": {"green": 100}}],
    )
    before = target.observe(["default"]).resources
    with pytest.raises(TargetError, match="ep-0/green"):
        apply(planned(after, target), target, ANN, parallel=4)
    assert target.observe(["default"]).resources == before


class LeakingTarget(MemoryTarget):
    def apply(self, desired, actor, progress=lambda *_: None, for_each=None):
        raise TargetError("create", str(desired.id), "cannot use hunter2-hunter2")


def test_a_secret_of_a_placeholder_is_in_no_failure():
    [workspace, *_] = resolve(stack(0))
    secret = workspace.model_copy(update={"placeholders": (SecretStr("hunter2-hunter2"),)})
    with pytest.raises(TargetError) as caught:
        apply(plan([secret], ObservedState(), "demo"), LeakingTarget(), ANN, parallel=4)
    assert str(caught.value).startswith("create Workspace 'default': cannot use ")
    assert "hunter2" not in str(caught.value)


def test_a_plan_that_starts_nothing_with_gpus_asks_no_host_for_any():
    gpu = {"resources": {"limits": {"gpu": 1}}}
    blue = {"endpoint": "ep-0", "name": "blue", "environment": "env:1"}
    target = MemoryTarget(gpu_count=1)
    apply(planned(stack(1, deployments=[blue | gpu]), target), target, ANN)
    target.memory.capabilities = target.capabilities.model_copy(update={"gpus": never})
    green = blue | {"name": "green"}
    found = planned(stack(1, deployments=[blue | gpu, green]), target)
    assert [str(action.id) for action in found.pending] == ["Deployment 'default/ep-0/green'"]
    refuse_unsupported(found, target)
    with pytest.raises(AssertionError):
        refuse_unsupported(planned(stack(1, deployments=[blue | gpu, green | gpu]), target), target)


def never(_base_image):
    raise AssertionError


A100, LARGE, ANY, SECOND = (
    {"limits": {"gpu": 1}, "gpu_product": "A100"},
    {"limits": {"gpu": 1}, "gpu_product": "80GB"},
    {"limits": {"gpu": 1}},
    {"gpu_devices": [1]},
)


@pytest.mark.parametrize(
    "asked", [(A100, LARGE), (LARGE, A100), (ANY, LARGE), (ANY, SECOND), (SECOND, A100)]
)
def test_no_deployment_takes_a_gpu_that_another_one_needs(asked):
    target = MemoryTarget()
    names = ("NVIDIA A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB")
    target.memory._devices = tuple(Gpu(f"GPU-{i}", str(i), names[i]) for i in (0, 1))
    deployments = [
        {
            "endpoint": "ep-0",
            "name": name,
            "environment": "env:1",
            "resources": resources,
        }
        for name, resources in zip(("blue", "green"), asked, strict=True)
    ]
    apply(planned(stack(1, deployments=deployments), target), target, ANN, parallel=2)
    held = target.memory.ports("default").compute
    assert isinstance(held, MemoryCompute)
    assert len(held.ledger().holders) == 2
