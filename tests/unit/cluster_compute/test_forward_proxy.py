"""Pods of a closed workspace, and another address of the forward proxy than they know."""

from base64 import b64decode

import pytest
from tests.cluster_controllers import DEPLOYMENTS, NAMESPACE
from tests.unit.cluster_compute.units import unit

from inference_provider.observed import Actor, Record, ResourceId
from inference_provider.workspace.state import State

NAME = "iris-blue-5efdeb203621"
PROXY = f"{NAMESPACE}/services/inference-egress"
TOLD = "its pods know an earlier address of the forward proxy; the next `up` replaces them"


def reached_at(api, address: str) -> None:
    labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "router"}
    about = {"name": "inference-egress", "namespace": "lab", "labels": labels}
    api.put(PROXY, {"kind": "Service", "metadata": about, "spec": {"clusterIP": address}})


@pytest.fixture
def closed(api, compute):
    """A Compute whose workspace is closed, and has a forward proxy."""
    closing = {"egress": "disabled", "cluster": {"network_policies": "enforced"}}
    made = Record(
        id=ResourceId.of_workspace("demo"),
        owner="demo",
        properties=closing,
        actor=Actor(user="ann"),
        time="2026-11-26T08:00:00Z",
    )
    with compute._records.edit():
        State(compute._records).put_record(made)
    reached_at(api, "10.218.0.7")
    return compute


def known(api) -> str:
    return b64decode(api.objects[f"{NAMESPACE}/secrets/{NAME}"]["data"]["HTTPS_PROXY"]).decode()


def restarted(api) -> bool:
    template = api.objects[f"{DEPLOYMENTS}/{NAME}"]["spec"]["template"]
    return "pulumi-inference/restarted" in template["metadata"].get("annotations", {})


def told(compute) -> tuple[str, ...]:
    found = compute.status().altered.get("iris/blue", ())
    assert compute.status("iris/blue").altered.get("iris/blue", ()) == found
    return found


def test_another_address_of_the_forward_proxy_is_drift_and_pods_start_again(api, closed):
    closed.ensure(unit(), 1)
    assert (known(api), told(closed)) == ("http://10.218.0.7:3128", ())
    reached_at(api, "10.218.0.9")
    assert told(closed) == (TOLD,)
    closed.ensure(unit(), 1)
    assert (known(api), told(closed), restarted(api)) == ("http://10.218.0.9:3128", (), True)


def test_pods_that_know_the_address_do_not_start_again(api, closed):
    closed.ensure(unit(), 1)
    closed.ensure(unit(), 2)
    assert not restarted(api)


def test_a_proxy_of_the_deployment_s_own_is_no_earlier_address(api, closed):
    own = {"HTTPS_PROXY": "http://proxy.example.org:3128"}
    closed.ensure(unit(environment_variables=own), 1)
    reached_at(api, "10.218.0.9")
    assert told(closed) == ()


def test_a_proxy_that_is_gone_is_not_told_of_pods(api, closed):
    closed.ensure(unit(), 1)
    api.drop(PROXY)
    assert told(closed) == ()
