"""ResourceSlices and claims -> how many devices of a class, and what could never be had."""

import pytest

from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes.devices import (
    comparisons,
    counted,
    devices_in,
    held_of,
)
from inference_provider.targets.kubernetes.inventory import never_fits, no_room

DRIVER, CLASS = "gpu.nvidia.com", "gpu.nvidia.com"
A100, T4 = "NVIDIA A100-SXM4-80GB", "Tesla T4"
OF_CLASS = {"spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]}}


def pool(node, product, count, *, generation=1, slices=1, driver=DRIVER, **more):
    """Return a slice with devices of one product."""
    attributes = {"productName": {"string": product}, "type": {"string": "gpu"}}
    devices = [{"name": f"gpu-{i}", "attributes": attributes} for i in range(count)]
    named = {"name": node, "generation": generation, "resourceSliceCount": slices}
    return {"spec": {"driver": driver, "nodeName": node, "pool": named, "devices": devices, **more}}


def claim(node, *names):
    results = [{"driver": DRIVER, "pool": node, "device": name} for name in names]
    return {"status": {"allocation": {"devices": {"results": results}}}}


SLICES = [pool("a-1", A100, 4), pool("a-2", A100, 4), pool("t-1", T4, 2)]
CLAIMS = [claim("a-1", "gpu-0", "gpu-1"), {"status": {}}, {}]


def asked(each=1, product="", *selectors):
    return GpuRequest("limits.gpu", each, product, device_class=CLASS, selectors=selectors)


def gpus(request, slices=SLICES, of_class=OF_CLASS):
    return counted(request, of_class, devices_in(slices), CLAIMS)


def test_what_claims_hold_is_not_free():
    assert [(one.node, one.name, one.total, one.free) for one in gpus(asked())] == [
        ("a-1", CLASS, 4, 2),
        ("a-2", CLASS, 4, 4),
        ("t-1", CLASS, 2, 2),
    ]


@pytest.mark.parametrize(
    ("request_", "most"),
    [
        pytest.param(asked(5), 4, id="of any product"),
        pytest.param(asked(3, "t4"), 2, id="of one product"),
        pytest.param(
            asked(3, "", f"device.attributes['{DRIVER}'].productName == \"Tesla T4\""),
            2,
            id="of one product, as CEL",
        ),
        pytest.param(asked(1, "H100"), 0, id="of a product that is not there"),
        pytest.param(asked(1, "", "device.driver == 'gpu.amd.com'"), 0, id="of another driver"),
        pytest.param(
            asked(1, "", f"device.attributes['{DRIVER}'].memory == '80Gi'"),
            0,
            id="with an attribute that no device has",
        ),
    ],
)
def test_more_than_any_node_could_give_is_refused(request_, most):
    _, remedy = never_fits(request_, gpus(request_))
    assert remedy == (f"ask for at most {most}" if most else "ask for what there is, or add a node")


def test_what_is_refused_is_told_with_what_there_is():
    slices = [*SLICES, pool("m-1", "Instinct", 8, driver="gpu.amd.com")]
    assert never_fits(asked(8), gpus(asked(8), slices)) == (
        "an instance asks for 8 gpu.nvidia.com, and the largest node has 4"
        " (Instinct: 8 others of gpu.amd.com on 1 node, 8 free;"
        " NVIDIA A100-SXM4-80GB: 8 gpu.nvidia.com on 2 nodes, 6 free;"
        " Tesla T4: 2 gpu.nvidia.com on 1 node, 2 free)",
        "ask for at most 4",
    )


@pytest.mark.parametrize(
    "expression",
    [
        "device.capacity['x'].memory.compareTo(quantity('80Gi')) >= 0",
        "device.driver == 'gpu.amd.com' || true",
        "true ? true : device.driver == 'gpu.amd.com'",
        "!(true && device.driver == 'gpu.amd.com' && false)",
        "'a && b' != \"device.driver == 'gpu.amd.com'\"",
    ],
)
def test_what_only_cel_could_decide_is_refused_nothing(expression):
    assert never_fits(asked(4, "", expression), gpus(asked(4, "", expression))) is None


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("device.driver == 'a.b'", [("", "a.b")]),
        ("device.driver=='a.b'&&device.attributes[\"a.b\"].type == 'gpu'",
         [("", "a.b"), ("a.b/type", "gpu")]),
        ("(device.attributes['a.b'].fast == true)", []),
        ("device.attributes['a.b'].fast == true", [("a.b/fast", True)]),
        ("device.attributes['a.b'].memory > 4", []),
        ("has(device.attributes['a.b'].x) && device.driver == 'a && b'", [("", "a && b")]),
    ],
)  # fmt: skip
def test_comparisons_with_values_are_known(expression, found):
    assert [*comparisons(expression)] == found


def test_devices_of_all_nodes_go_with_those_of_each():
    network = pool("network", A100, 2, nodeName=None, allNodes=True)
    slices = [*SLICES, network]
    assert never_fits(asked(6), gpus(asked(6), slices)) is None
    assert never_fits(asked(7), gpus(asked(7), slices))[1] == "ask for at most 6"


def test_two_products_of_one_node_go_into_one_claim():
    slices = [pool("m-1", A100, 1), pool("m-1", T4, 1)]
    slices[1]["spec"]["pool"]["name"] = "m-1-old"
    assert never_fits(asked(2), gpus(asked(2), slices)) is None


def test_slices_of_an_older_generation_of_a_pool_do_not_count():
    slices = [pool("a-1", A100, 8), pool("a-1", A100, 4, generation=2)]
    assert len(devices_in(slices)) == 4


def test_a_pool_that_is_not_all_published_may_have_more():
    slices = [pool("a-1", A100, 4, slices=2)]
    assert gpus(asked(99), slices) is None
    slices += [pool("a-1", T4, 1, slices=2)]
    assert never_fits(asked(99), gpus(asked(99), slices))[1] == "ask for at most 5"


def test_devices_that_several_claims_may_have_are_not_counted():
    shared = pool("a-1", A100, 1)
    shared["spec"]["devices"][0]["allowMultipleAllocations"] = True
    assert gpus(asked(99), [shared]) is None
    assert never_fits(asked(99, "T4"), gpus(asked(99, "T4"), [*SLICES, shared]))


def test_another_driver_whose_devices_cannot_be_counted_keeps_nothing_from_being_counted():
    network = pool("n-1", "Nic", 0, driver="net.example", slices=2)
    shared = pool("n-2", "Nic", 1, driver="net.example")
    shared["spec"]["devices"][0]["allowMultipleAllocations"] = True
    found = gpus(asked(5), [*SLICES, network, shared])
    told, remedy = never_fits(asked(5), found)
    assert "Nic: 1 others of net.example on 1 node" in told  # and nothing of what has no name yet
    assert "unknown product" not in told
    assert remedy == "ask for at most 4"


@pytest.mark.parametrize(
    ("each", "count", "room"),
    [(2, 3, None), (2, 4, 3), (4, 1, None), (4, 2, 1)],
)
def test_room_beside_old_instances_is_what_these_do_not_hold(each, count, room):
    slices, old = SLICES[:2], [claim("a-1", "gpu-0", "gpu-1")]
    theirs = counted(asked(each), OF_CLASS, devices_in(slices), old)
    held = held_of(asked(each), theirs)
    found = no_room(asked(each), count, gpus(asked(each), slices), held)
    assert (found is None) is (room is None)
    if found:
        assert f"{count} of {each} gpu.nvidia.com each, and there is room for {room} (" in found[0]
