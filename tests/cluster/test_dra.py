"""Devices that instances claim of a DeviceClass: allocated by the cluster's own scheduler.

The devices are those of a driver that is none, on nodes that kwok plays.
"""

import time

import pytest

from inference_provider.errors import NotReady, TargetError
from inference_provider.gpus import Wish
from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes.kept_inventory import KeptInventory, surge_faults
from tests.cluster.bare_instances import nodes_of, unit
from tests.cluster.devices import CLASS, DRIVER, GROUP

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

BIG, SMALL = "Maker_Big-96GB", "Maker Small-8GB"
NAME = "iris-blue-5efdeb203621"


def asking(each=2, product="", **more):
    return unit(limits={"gpu": each}, device_class=CLASS, gpu_product=product or None, **more)


def request(each=2, product=""):
    return GpuRequest("resources.limits.gpu", each, product, device_class=CLASS)


def claims(api, namespace):
    return api.items(f"{GROUP}/namespaces/{namespace}/resourceclaims")


def templates(api, namespace):
    return api.items(f"{GROUP}/namespaces/{namespace}/resourceclaimtemplates")


def test_each_instance_claims_devices_of_its_own(api, devices, namespace, compute):
    devices.add(("dra-1", BIG, 2), ("dra-2", BIG, 2), ("dra-small", SMALL, 4))
    compute.ensure(asking(product="Big 96GB"), 2)
    assert nodes_of(api, namespace) == ["dra-1", "dra-2"]
    given = [one["status"]["allocation"]["devices"]["results"] for one in claims(api, namespace)]
    assert sorted((one["pool"], one["device"]) for each in given for one in each) == [
        ("dra-1", "gpu-0"),
        ("dra-1", "gpu-1"),
        ("dra-2", "gpu-0"),
        ("dra-2", "gpu-1"),
    ]
    status = compute.status()
    assert [one.answers for one in status.instances["iris/blue"]] == [True, True]
    assert status.altered == {}


def test_an_instance_that_finds_no_free_device_waits_and_says_so(api, devices, namespace, compute):
    devices.add(("dra-1", BIG, 2), ("dra-2", BIG, 2))
    said: list[str] = []
    with pytest.raises(NotReady, match=r"PodUnschedulable: .*cannot allocate all claims"):
        compute.ensure(asking(start_s=5), 3, lambda _id, text: said.append(text))
    assert "2 of 3 new instances ready" in said
    assert any("cannot allocate all claims" in one for one in said)
    assert templates(api, namespace) == []


def test_an_instance_whose_claim_a_quota_refuses_waits_and_says_so(
    api, devices, namespace, compute
):
    devices.add(("dra-1", BIG, 4))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "devices", "namespace": namespace},
        "spec": {"hard": {f"{CLASS}.deviceclass.resource.k8s.io/devices": "2"}},
    }
    api.apply(quota)
    refused = "PodUnschedulable: no ResourceClaim is made for it: exceeded quota: devices, request"
    with pytest.raises(NotReady, match=refused):
        compute.ensure(asking(start_s=6), 2)


def test_more_devices_than_any_node_has_are_refused_with_what_there_is(devices, platform):
    devices.add(("dra-1", BIG, 2), ("dra-2", BIG, 2), ("dra-small", SMALL, 4))
    fault = platform.capabilities.gpu_fault
    assert fault(request(2, "big")) is fault(request(4)) is None
    assert fault(request(4, "big")) == (
        "an instance asks for 4 whole.tests.example of big, and the largest node has 2"
        " (Maker Small-8GB: 4 others of gpus.tests.example on 1 node, 4 free;"
        " Maker_Big-96GB: 4 whole.tests.example on 2 nodes, 4 free)",
        "ask for at most 2",
    )


def test_a_class_that_is_not_there_is_refused_with_those_that_are(devices, platform):
    wrong = unit(limits={"gpu": 1}, device_class="gpu.example")
    [fault] = platform.capabilities.deployment_faults(wrong.spec, None, None)
    assert str(fault) == (
        "resources.device_class: the cluster has no DeviceClass 'gpu.example'; leave it out, or use"
        " one of: whole.tests.example"
    )
    assert [*platform.capabilities.deployment_faults(asking().spec, None, None)] == []


def test_a_generation_that_does_not_fit_beside_the_old_one_is_refused(
    api, devices, namespace, compute, platform
):
    devices.add(("dra-1", BIG, 4))
    compute.ensure(asking(), 2)
    wishes = [Wish(f"{namespace}/iris/{name}", request(), 1) for name in ("blue", "green")]
    inventory = KeptInventory(lambda: platform.client)
    assert surge_faults(inventory, lambda _workspace: namespace, wishes) == {
        f"{namespace}/iris/blue": (
            "new instances start beside the old ones: 1 of 2 whole.tests.example each, and there is"
            " room for 0 (Maker_Big-96GB: 4 whole.tests.example on 1 node, 0 free)",
            "write `surge: 0`, which ends the old ones first, or add a node",
        )
    }


def test_a_template_that_somebody_deletes_or_changes_is_told_and_made_again(
    api, devices, namespace, compute
):
    devices.add(("dra-1", BIG, 4))
    compute.ensure(asking(), 1)
    path = f"{GROUP}/namespaces/{namespace}/resourceclaimtemplates"
    [ours] = templates(api, namespace)
    api.delete(f"{path}/{NAME}")
    assert compute.status().altered == {"iris/blue": (f"ResourceClaimTemplate {NAME} is gone",)}

    about = {part: ours["metadata"][part] for part in ("name", "labels", "annotations")}
    other = {**ours, "metadata": about}
    other["spec"]["spec"]["devices"]["requests"][0]["exactly"]["count"] = 4
    made = api.http.post(path, params={"fieldManager": "kubectl-replace"}, json=other)
    assert made.is_success, made.text
    [said] = compute.status().altered["iris/blue"]
    assert said.startswith(f"ResourceClaimTemplate {NAME}: spec.")
    assert " set by kubectl-replace at 20" in said

    told: list[str] = []
    compute.ensure(asking(), 1, lambda _id, text: told.append(text))
    assert told[0].startswith(f"ResourceClaimTemplate {NAME}: taken back: spec.")
    assert compute.status().altered == {}
    [mended] = templates(api, namespace)
    assert mended["spec"]["spec"]["devices"]["requests"][0]["exactly"]["count"] == 2


def test_a_selector_that_is_no_cel_fails_with_what_is_wrong_and_leaves_nothing(
    api, devices, namespace, compute
):
    devices.add(("dra-1", BIG, 4))
    with pytest.raises(TargetError, match="compilation failed: ERROR: <input>:1:7: undefined fiel"):
        compute.ensure(asking(device_selectors=["device.colour == 'red'"]), 1)
    assert templates(api, namespace) == []
    assert api.items(f"/api/v1/namespaces/{namespace}/services") == []


def test_selectors_choose_among_the_devices_of_a_class(api, devices, namespace, compute):
    devices.add(("dra-1", BIG, 2), ("dra-small", SMALL, 2))
    small = f"device.attributes['{DRIVER}'].productName.endsWith('8GB')"
    compute.ensure(asking(1, device_selectors=[small]), 2)
    assert nodes_of(api, namespace) == ["dra-small"] * 2


def test_the_end_of_a_generation_leaves_no_template_and_no_claim(api, devices, namespace, compute):
    devices.add(("dra-1", BIG, 4))
    compute.ensure(asking(), 2)
    assert [one["metadata"]["name"] for one in templates(api, namespace)] == [NAME]
    compute.retire("iris/blue", [NAME], 0)
    assert templates(api, namespace) == []
    compute.wait_gone(30)
    until_s = time.monotonic() + 30
    while claims(api, namespace) and time.monotonic() < until_s:
        time.sleep(0.2)
    assert claims(api, namespace) == []


def test_a_template_that_lost_its_labels_is_told_and_mended(api, devices, namespace, compute):
    devices.add(("dra-1", BIG, 4))
    compute.ensure(asking(), 1)
    path = f"{GROUP}/namespaces/{namespace}/resourceclaimtemplates/{NAME}"
    bare = {"metadata": {"labels": None}}
    how = {"content-type": "application/merge-patch+json"}
    assert api.http.patch(path, json=bare, headers=how).is_success
    told = f"ResourceClaimTemplate {NAME}: some of its fields were changed or removed by hand"
    assert compute.status().altered == {"iris/blue": (told,)}
    compute.ensure(asking(), 1)
    assert compute.status().altered == {}
