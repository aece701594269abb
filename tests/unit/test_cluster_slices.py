"""Which addresses of a deployment's pods get requests, by its EndpointSlices."""

import pytest

from inference_provider.router.table import Backend
from inference_provider.targets.kubernetes.slices import Reached, instances_in
from inference_provider.workspace.statuses import Instance

BLUE = {
    "kubernetes.io/service-name": "iris-blue-5ef",
    "pulumi-inference/endpoint": "iris",
    "pulumi-inference/deployment": "blue",
    "pulumi-inference/generation": "5ef",
}


def slice_of(*endpoints, labels=BLUE, family="IPv4", port=5001, version="1"):
    ports = [{"name": "http", "port": port}]
    about = {"name": "x", "labels": labels, "resourceVersion": version}
    return {"metadata": about, "addressType": family, "ports": ports, "endpoints": [*endpoints]}


def endpoint(address, **conditions):
    return {"addresses": [address], "conditions": conditions}


@pytest.mark.parametrize(
    ("conditions", "takes"),
    [
        pytest.param({"ready": True, "serving": True, "terminating": False}, True, id="ready"),
        pytest.param({"ready": False, "serving": True, "terminating": False}, True, id="serving"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, False, id="ending"),
        pytest.param({"ready": True, "terminating": True}, False, id="ready but ending"),
        pytest.param({"ready": False, "serving": False}, False, id="not ready"),
        pytest.param({"ready": False}, False, id="not ready, an older API server"),
        pytest.param({}, True, id="nothing said"),
    ],
)
def test_a_pod_takes_requests_while_it_serves_and_does_not_end(conditions, takes):
    found = instances_in([slice_of(endpoint("10.0.0.1", **conditions))])
    backends = (Backend(host="10.0.0.1", port=5001),) if takes else ()
    assert found == {"iris/blue": (Instance("iris-blue-5ef", "5ef", backends),)}


def test_slices_of_one_service_are_one_instance_with_sorted_addresses():
    found = instances_in([slice_of(endpoint("10.0.0.2")), slice_of(endpoint("10.0.0.1"))])
    [instance] = found["iris/blue"]
    assert [backend.host for backend in instance.backends] == ["10.0.0.1", "10.0.0.2"]


def test_each_generation_of_a_deployment_is_an_instance():
    other = {
        **BLUE,
        "kubernetes.io/service-name": "iris-blue-9",
        "pulumi-inference/generation": "9",
    }
    found = instances_in([slice_of(endpoint("10.0.0.1")), slice_of(labels=other)])
    assert [(one.name, one.generation) for one in found["iris/blue"]] == [
        ("iris-blue-5ef", "5ef"), ("iris-blue-9", "9"),
    ]  # fmt: skip


def test_a_pod_of_two_families_is_one_backend():
    both = [slice_of(endpoint("fd00::1"), family="IPv6"), slice_of(endpoint("10.0.0.1"))]
    [instance] = instances_in(both)["iris/blue"]
    assert instance.backends == (Backend(host="10.0.0.1", port=5001),)


def test_a_slice_that_no_service_owns_or_that_has_no_port_gives_no_backend():
    without_port = {**slice_of(endpoint("10.0.0.1")), "ports": None, "endpoints": None}
    assert instances_in([slice_of(endpoint("10.0.0.1"), labels={})]) == {}
    assert instances_in([without_port])["iris/blue"][0].backends == ()


def test_of_slices_that_were_read_before_only_the_changed_ones_are_read_again():
    reached = Reached()
    first = slice_of(endpoint("10.0.0.1"))
    [known] = reached.instances([first])["iris/blue"]
    [same] = reached.instances([dict(first)])["iris/blue"]
    assert same is known
    [moved] = reached.instances([slice_of(endpoint("10.0.0.9"), version="2")])["iris/blue"]
    assert [one.host for one in moved.backends] == ["10.0.0.9"]
    assert reached.instances([]) == {}
