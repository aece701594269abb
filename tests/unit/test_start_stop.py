"""`start` and `stop`: what is independent side by side, and what fails holds up nothing else."""

import threading
import time

import pytest

from inference_provider import start_stop
from inference_provider.apply import apply, concurrently
from inference_provider.desired import resolve
from inference_provider.errors import (
    Interrupted,
    NotReady,
    SeveralFailed,
    TargetError,
    TargetUnreachable,
)
from inference_provider.gpus import Gpu
from inference_provider.observed import Actor, Kind
from inference_provider.plan import ActionKind, plan
from inference_provider.spec import StackSpec
from inference_provider.spec.resources import Resources
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.ports import silent

ANN = Actor(user="ann")
WAIT_S = 10


def stack(workspaces=("default",), names=("blue", "green"), **fields):
    places = [{"workspace": name} for name in workspaces]
    document = {
        "name": "demo",
        "workspaces": [{"name": name, "target": "memory"} for name in workspaces],
        "environments": [{**place, "name": "env", "content_hash": "b" * 64} for place in places],
        "endpoints": [{**place, "name": "iris"} for place in places],
        "deployments": [
            {**place, "endpoint": "iris", "name": name, "environment": "env:1", **fields}
            for place in places
            for name in names
        ],
    }
    return resolve(StackSpec.model_validate(document))


def applied(desired, gpu_count=0):
    """Return a target with all of a stack, of which no instance runs any more."""
    target = MemoryTarget(gpu_count)
    names = {resource.id.workspace for resource in desired}
    apply(plan(desired, target.observe(names), "demo"), target, ANN)
    for name in names:
        end_all(target, name)
    return target


def end_all(target, workspace="default"):
    compute = target.memory.ports(workspace).compute
    compute.ended |= {one.name for found in compute.instances().values() for one in found}


def on_start(target, does, workspace="default"):
    """Have something done for each deployment of which an instance starts."""
    target.memory.ports(workspace).compute.fails = lambda unit: does(unit.id.name) or ""


def running(target, workspace="default"):
    compute = target.memory.ports(workspace).compute
    found = compute.status().instances
    return sorted(name for name, there in found.items() if any(one.runs for one in there))


def start(target, names=("default",), parallel=2, said=None):
    started = []
    try:
        start_stop.start(names, target, ANN, silent, started.append, parallel)
    finally:
        if said is not None:
            said.extend(started)


def test_deployments_start_side_by_side():
    target, both = applied(stack()), threading.Barrier(2)
    on_start(target, lambda name: both.wait(WAIT_S) and None)
    start(target)
    assert running(target) == ["iris/blue", "iris/green"]


def test_one_at_a_time_starts_them_in_order():
    target, begun = applied(stack()), []
    on_start(target, begun.append)
    start(target, parallel=1)
    assert begun == ["iris/blue", "iris/green"]


@pytest.mark.parametrize("parallel", [1, 2])
def test_all_that_fail_are_named_and_the_others_start(parallel):
    target = applied(stack(names=("blue", "green", "red")))
    on_start(target, lambda name: "" if name == "iris/green" else "its process ended")
    said = []
    with pytest.raises(SeveralFailed) as caught:
        start(target, parallel=parallel, said=said)
    assert str(caught.value) == (
        "2 changes failed:\n"
        "  start Deployment 'default/iris/blue': its process ended;"
        " fix the cause and run this again\n"
        "  start Deployment 'default/iris/red': its process ended;"
        " fix the cause and run this again"
    )
    assert (running(target), said) == (["iris/green"], [])


def test_an_error_that_is_not_ours_holds_up_no_other_deployment():
    target = applied(stack())

    def breaks(name):
        if name == "iris/blue":
            raise ValueError("odd")

    on_start(target, breaks)
    with pytest.raises(ValueError, match="odd"):
        start(target, parallel=1)
    assert running(target) == ["iris/green"]


def test_an_interrupt_starts_nothing_more():
    target, begun = applied(stack()), []

    def interrupted(name):
        begun.append(name)
        raise Interrupted("start", name, "interrupted")

    on_start(target, interrupted)
    with pytest.raises(Interrupted):
        start(target, parallel=1)
    assert begun == ["iris/blue"]


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_workspace_that_does_not_start_holds_up_no_other(parallel):
    target, said = applied(stack(("one", "two"))), []

    def no_answer(endpoints):
        raise TargetUnreachable("start", "the router", "it does not answer")

    target.memory.ports("one").router.ensure_up = no_answer
    with pytest.raises(TargetUnreachable, match="start the router: it does not answer"):
        start(target, ("one", "two"), parallel, said)
    assert (running(target, "one"), running(target, "two"), said) == (
        [],
        ["iris/blue", "iris/green"],
        ["two"],
    )


def test_failures_in_several_workspaces_are_told_together():
    target = applied(stack(("one", "two")))
    for name in ("one", "two"):
        on_start(target, lambda name: "its process ended", name)
    with pytest.raises(SeveralFailed, match="4 changes failed") as caught:
        start(target, ("one", "two"))
    assert [type(failure) for failure in caught.value.failures] == [NotReady] * 4


def test_deployments_of_several_workspaces_start_side_by_side():
    target, all_four = applied(stack(("one", "two"))), threading.Barrier(4)
    for name in ("one", "two"):
        on_start(target, lambda name: all_four.wait(WAIT_S) and None, name)
    start(target, ("one", "two"), parallel=4)
    assert running(target, "one") == running(target, "two") == ["iris/blue", "iris/green"]


def test_deployments_on_gpus_start_side_by_side_where_none_runs():
    gpu = {"resources": {"limits": {"gpu": 1}}}
    target, both = applied(stack(**gpu), gpu_count=2), threading.Barrier(2)
    on_start(target, lambda name: both.wait(WAIT_S) and None)
    start(target)
    assert running(target) == ["iris/blue", "iris/green"]


def test_no_deployment_takes_a_gpu_that_another_one_needs():
    any_, large = {"limits": {"gpu": 1}}, {"limits": {"gpu": 1}, "gpu_product": "80GB"}
    target, desired = MemoryTarget(), stack(resources=any_)
    names = ("NVIDIA A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB")
    target.memory._devices = tuple(Gpu(f"GPU-{i}", str(i), names[i]) for i in (0, 1))
    [green] = [one for one in desired if one.id.name == "iris/green"]
    spec = green.spec.model_copy(update={"resources": Resources.model_validate(large)})
    desired = [one for one in desired if one != green] + [green.model_copy(update={"spec": spec})]
    apply(plan(desired, target.observe(["default"]), "demo"), target, ANN)
    compute = target.memory.ports("default").compute
    for name in ("iris/blue", "iris/green"):
        compute.forget(name)  # as a stop does
    start(target, parallel=1)
    assert running(target) == ["iris/blue", "iris/green"]


def test_deployments_on_gpus_roll_one_after_another():
    gpu = {"resources": {"limits": {"gpu": 1}}}
    deployments = [one for one in stack(**gpu) if one.id.kind == Kind.DEPLOYMENT]
    at_once, most = [], []

    def roll(desired):
        at_once.append(desired)
        most.append(len(at_once))
        time.sleep(0.05)
        at_once.remove(desired)

    concurrently(applied(stack(**gpu), gpu_count=2), ActionKind.UPDATE, silent, 4)(
        deployments, roll
    )
    assert most == [1, 1]


def test_a_change_of_a_workspace_rolls_its_deployments_side_by_side():
    desired = stack()
    target, both = applied(desired), threading.Barrier(2)
    target.memory.capabilities = target.capabilities.model_copy(update={"egress_control": True})
    on_start(target, lambda name: both.wait(WAIT_S) and None)
    closed = [
        one.model_copy(update={"spec": one.spec.model_copy(update={"egress": "disabled"})})
        if one.id.kind == Kind.WORKSPACE
        else one
        for one in desired
    ]
    found = plan(closed, target.observe(["default"]), "demo")
    workspace = found.model_copy(
        update={"actions": tuple(a for a in found.actions if a.id.kind == Kind.WORKSPACE)}
    )
    apply(workspace, target, ANN, parallel=2)
    assert running(target) == ["iris/blue", "iris/green"]


def test_a_workspace_that_does_not_stop_holds_up_no_other():
    target, stopped, said = applied(stack(("one", "two"))), [], []

    def shut_down(name):
        if name == "one":
            raise TargetError("stop", "workspace 'one'", "its namespace is gone")
        stopped.append(name)

    target.memory.shut_down = shut_down
    with pytest.raises(TargetError, match="its namespace is gone"):
        start_stop.stop(("one", "two"), target, ANN, silent, said.append, 1)
    assert (stopped, said) == (["two"], ["two"])
