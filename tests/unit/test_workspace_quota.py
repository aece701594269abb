"""What counts in a quota: what is recorded, what others are starting, never what is left over."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from inference_provider.desired import DesiredResource, identify
from inference_provider.errors import OutOfCapacity
from inference_provider.observed import Actor, Kind, Record
from inference_provider.spec import DeploymentSpec, WorkspaceSpec
from inference_provider.spec.quota import Size
from inference_provider.targets.memory import MemoryClock
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.convergence import Convergence
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Ports
from inference_provider.workspace.quota import reserved
from inference_provider.workspace.reservation import Reservation
from inference_provider.workspace.state import State, deployment_lock

ANN, BOB = Actor(user="ann"), Actor(user="bob", command="inferctl up")
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def desired(kind, spec):
    return DesiredResource(id=identify(kind, spec), spec=spec, owner="demo")


def deployment(name, count, gpus=0, **more):
    limits = {"limits": {"gpu": gpus}} if gpus else {}
    fields = {"instance_count": count, "resources": limits, "environment": "plain:1", **more}
    return desired(
        Kind.DEPLOYMENT,
        DeploymentSpec.model_validate({"endpoint": "iris", "name": name, **fields}),
    )


class Ledger:
    """Records of one workspace, with its quota and what is deployed in it."""

    def __init__(self, *, deployed=(), **quota) -> None:
        self.records = MemoryRecords("default")
        self.state = State(self.records)
        nothing: Any = None
        ports = Ports(self.records, nothing, nothing, nothing)
        convergence = Convergence(self.records, nothing, tuple)
        self.workspace = Workspace(ports, self.state, convergence, MemoryClock())
        for wanted in (desired(Kind.WORKSPACE, WorkspaceSpec(quota=quota)), *deployed):
            properties = wanted.properties
            self.state.put_record(
                Record(id=wanted.id, owner="demo", properties=properties, actor=ANN, time=NOW)
            )

    def reserve(self, wanted, actor=ANN):
        return reserved(self.workspace, wanted, actor)

    def refusal(self, wanted) -> str:
        with pytest.raises(OutOfCapacity) as caught, self.reserve(wanted):
            pass
        return str(caught.value)


def start(ledger, stack, wanted, actor):
    """Hold a deployment's lock in another thread, and reserve for it, until the stack ends."""
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with ledger.records.lock(deployment_lock(wanted.id.name)):
            held.set()
            assert let_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    stack.callback(thread.join)
    stack.callback(let_go.set)
    assert held.wait(10)
    stack.enter_context(ledger.reserve(wanted, actor))


def test_what_starts_is_reserved_and_then_no_more():
    ledger = Ledger()
    with ledger.reserve(deployment("blue", 2, gpus=1), BOB):
        found = ledger.state.reservations()
        assert {name: one.size for name, one in found.items()} == {"iris/blue": Size(2, 2)}
        assert found["iris/blue"].actor == BOB
    assert ledger.state.reservations() == {}


@pytest.mark.parametrize("fault", [ZeroDivisionError, KeyboardInterrupt])
def test_a_start_that_ends_in_an_error_keeps_nothing_reserved(fault):
    ledger = Ledger(max_instances=2)
    with pytest.raises(fault), ledger.reserve(deployment("blue", 2)):
        raise fault
    assert ledger.state.reservations() == {}


def test_0_instances_are_not_reserved_and_never_refused():
    ledger = Ledger(max_instances=1, deployed=[deployment("green", 5)])
    with ledger.reserve(deployment("blue", 0)):
        assert ledger.state.reservations() == {}


def test_without_a_quota_nothing_is_refused():
    with Ledger().reserve(deployment("blue", 50)):
        pass


def test_what_is_recorded_counts_once_and_the_wanted_replaces_its_own():
    ledger = Ledger(max_instances=3, deployed=[deployment("blue", 2), deployment("green", 1)])
    with ledger.reserve(deployment("blue", 2)):
        pass
    assert ledger.refusal(deployment("blue", 3)) == (
        "start Deployment 'default/iris/blue': would bring the workspace to 4 instances; its quota"
        " is 3; raise quota.max_instances, or scale another deployment in"
    )


def test_all_who_are_starting_count_and_are_named():
    ledger = Ledger(max_instances=5)
    with ExitStack() as stack:
        start(ledger, stack, deployment("red", 2), BOB)
        start(ledger, stack, deployment("green", 2), ANN)
        assert ledger.refusal(deployment("blue", 2)) == (
            "start Deployment 'default/iris/blue': would bring the workspace to 6 instances; its"
            " quota is 5 (iris/green is being started by ann; iris/red is being started by bob"
            " (inferctl up)); raise quota.max_instances, or scale another deployment in"
        )
        assert sorted(ledger.state.reservations()) == ["iris/green", "iris/red"]
        with ledger.reserve(deployment("blue", 1)):
            pass


@pytest.mark.parametrize(("before", "coming"), [(4, 1), (1, 4)])
def test_one_who_scales_counts_with_what_is_more(before, coming):
    ledger = Ledger(max_instances=4, deployed=[deployment("red", before)])
    with ExitStack() as stack:
        start(ledger, stack, deployment("red", coming), BOB)
        assert "to 5 instances; its quota is 4" in ledger.refusal(deployment("blue", 1))


def test_what_somebody_reserved_who_is_gone_is_dropped():
    ledger = Ledger(max_instances=2)
    left = Reservation(size=Size(2, 0), actor=BOB, time=NOW)
    ledger.state.put_reservation("iris/ghost", left)
    with ledger.reserve(deployment("blue", 2)):
        assert [*ledger.state.reservations()] == ["iris/blue"]


def test_ones_own_reservation_of_a_killed_run_is_overwritten():
    ledger = Ledger(max_instances=2)
    left = Reservation(size=Size(2, 0), actor=BOB, time=NOW)
    ledger.state.put_reservation("iris/blue", left)
    with ledger.reserve(deployment("blue", 1)):
        assert ledger.state.reservations()["iris/blue"].size == Size(1, 0)


def test_gpus_are_counted_by_instance():
    ledger = Ledger(max_gpus=4, deployed=[deployment("green", 1, gpus=2)])
    with ledger.reserve(deployment("blue", 2, gpus=1)):
        pass
    assert "would bring the workspace to 5 gpus; its quota is 4; raise quota.max_gpus" in (
        ledger.refusal(deployment("blue", 3, gpus=1))
    )


def test_the_gpus_of_every_node_of_an_instance_count_and_it_counts_as_one_instance():
    spread = {"gpus": 2, "nodes_per_instance": 3}
    ledger = Ledger(max_gpus=12, max_instances=2, deployed=[deployment("green", 1, **spread)])
    with ledger.reserve(deployment("blue", 1, **spread)):
        assert ledger.state.reservations()["iris/blue"].size == Size(instances=1, gpus=6)
    assert "would bring the workspace to 14 gpus; its quota is 12" in (
        ledger.refusal(deployment("blue", 1, gpus=2, nodes_per_instance=4))
    )
