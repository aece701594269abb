"""Closing the way out starts new instances, which serve as before."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_provider.observed import Kind
from inference_provider.spec.cluster import ClusterSettings
from tests.conformance.labs import ANN, Lab, wait_until

CLUSTER = {"cluster": ClusterSettings(network_policies="enforced")}


@pytest.fixture
def space(lab: Lab):
    """Return a function that makes the workspace with other fields, its egress closed or not."""
    can = lab.target.capabilities
    if not can.egress_control:
        pytest.skip("this target cannot close egress")

    def made(access: str, **fields):
        return lab.space(egress=access, **fields, **(CLUSTER if can.cluster_settings else {}))

    lab.apply(made("enabled"), *lab.desired[1:])
    return made


def is_fine(lab: Lab, deployment: str = "iris/blue") -> bool:
    found = lab.target.observe_one(lab.id(Kind.DEPLOYMENT, deployment))
    return lab.ask() == 200 and not found.degraded


def test_closing_a_workspace_replaces_all_instances_and_opening_it_does_again(lab: Lab, space):
    before = {*lab.instances()}
    for access in ("disabled", "enabled"):
        lab.apply(space(access))
        there = {*lab.instances()}
        assert len(there) == 1
        assert before.isdisjoint(there)
        assert is_fine(lab)
        before = there


def test_a_request_in_flight_is_answered_by_the_instance_that_goes(lab: Lab, space):
    before = lab.instances()
    with lab.in_flight() as flight, ThreadPoolExecutor(1) as pool:
        change = pool.submit(lab.apply, space("disabled"))
        wait_until(lambda: lab.instances().keys() - before.keys())
        flight.land()
        change.result()
    assert flight.status == 200
    assert is_fine(lab)


def test_a_deployment_is_closed_alone_and_another_is_left(lab: Lab, space):
    lab.apply(lab.deployment("green"))
    before = lab.instances("iris/green")
    lab.apply(lab.deployment(egress_public_network_access="disabled"))
    assert is_fine(lab)
    assert lab.instances("iris/green") == before
    lab.apply(lab.deployment(instance_count=2, egress_public_network_access="disabled"))
    assert len(lab.instances()) == 2
    assert is_fine(lab)


def test_rules_come_and_go_and_start_no_instance(lab: Lab, space):
    lab.apply(space("disabled"))
    before = lab.instances()
    for listed in ([{"name": "index", "destination": "pypi.org"}], []):
        lab.apply(space("disabled", outbound_rules=listed))
        assert lab.instances() == before
        assert is_fine(lab)


def test_stopped_and_started_it_is_closed_still(lab: Lab, space):
    lab.apply(space("disabled"))
    lab.target.stop(lab.workspace, ANN)
    lab.target.start(lab.workspace, ANN)
    assert is_fine(lab)
