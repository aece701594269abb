"""How GPUs are asked for, and what contradicts itself."""

import re

import pytest
from pydantic import ValidationError
from tests.stacks import deployment

from inference_provider.spec.gpus import gpu_request
from inference_provider.spec.instance_type import InstanceType
from inference_provider.spec.quota import size_of
from inference_provider.spec.resources import Resources

MIG_1G = "nvidia.com/mig-1g.5gb"


def request(**resources):
    return gpu_request(Resources.model_validate(resources).model_dump())


def test_whole_gpus_chosen_ones_slices_and_shares_are_different_requests():
    assert request(limits={"gpu": 2}, gpu_product="A100") == (
        "resources.limits.gpu", 2, "A100", (), "", "", "nvidia.com/gpu", "", (), 1,
    )  # fmt: skip
    assert request(requests={"nvidia.com/gpu": 1})[:2] == ("resources.requests.gpu", 1)
    assert request(gpu_devices=[0, "GPU-5d5ba0d6"])[:6] == (
        "resources.gpu_devices", 2, "", ("0", "GPU-5d5ba0d6"), "", "",
    )  # fmt: skip
    assert request(mig={"1g.5gb": 2})[:6] == ("resources.mig", 2, "", (), "1g.5gb", "")
    assert request(gpu_share="ours")[:6] == ("resources.gpu_share", 1, "", (), "", "ours")
    assert request() is None
    assert request(limits={"gpu": 0}) is None


@pytest.mark.parametrize("name", ["amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"])
def test_gpus_of_other_vendors_are_written_in_place_of_the_number(name):
    asked = Resources.model_validate({"limits": {name: 2, "cpu": "1"}})
    assert asked == Resources.model_validate(
        {"limits": {"gpu": 2, "cpu": "1"}, "gpu_resource": name}
    )
    assert request(limits={name: 2}).resource == name
    assert request(requests={name: 2}, limits={name: 2}).each == 2


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": {"amd.com/gpu": 1, "gpu": 1}},
        {"limits": {"amd.com/gpu": 1, "nvidia.com/gpu": 1}},
        {"limits": {"amd.com/gpu": 1}, "requests": {"gpu.intel.com/xe": 1}},
        {"limits": {"amd.com/gpu": 1}, "gpu_resource": "nvidia.com/gpu"},
    ],
)
def test_gpus_of_two_vendors_are_refused(resources):
    with pytest.raises(ValidationError, match="are different requests; keep one of them"):
        Resources.model_validate(resources)


def test_devices_of_a_class_are_counted_as_gpus_are():
    asked = {"limits": {"gpu": 2}, "device_class": "gpu.nvidia.com", "device_selectors": ["true"]}
    found = request(**asked, gpu_product="A100")
    assert (found.field, found.each, found.product) == ("resources.limits.gpu", 2, "A100")
    assert (found.device_class, found.selectors) == ("gpu.nvidia.com", ("true",))
    assert size_of(deployment(resources=asked, instance_count=3).deployments[0]) == (3, 6)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"mig": {"1g.5gb": 1}}, "mig"),
        ({"gpu_share": "ours"}, "gpu_share"),
        ({"gpu_devices": [0]}, "gpu_devices"),
        ({"limits": {"amd.com/gpu": 1}}, "gpu_resource amd.com/gpu"),
    ],
)
def test_a_class_of_devices_beside_another_request_is_refused(other, named):
    told = f"device_class and {named} are different requests for GPUs; keep one of them"
    with pytest.raises(ValidationError, match=re.escape(told)):
        Resources.model_validate({"device_class": "gpu.nvidia.com", **other})


@pytest.mark.parametrize("model", [Resources, InstanceType])
def test_selectors_without_a_class_are_refused(model):
    with pytest.raises(ValidationError, match="choose devices of a device_class; add one"):
        model.model_validate({"device_selectors": ["true"]})


def test_slices_and_shares_are_of_one_vendor_alone():
    with pytest.raises(ValidationError, match=r"amd\.com/gpu is for gpu alone; leave it out"):
        Resources.model_validate({"mig": {"1g.5gb": 1}, "gpu_resource": "amd.com/gpu"})


def test_slices_are_also_written_as_kubernetes_names_them():
    theirs = Resources.model_validate({"limits": {"nvidia.com/mig-1g.5gb": 2, "cpu": "1"}})
    assert theirs == Resources.model_validate({"limits": {"cpu": "1"}, "mig": {"1g.5gb": 2}})


@pytest.mark.parametrize("other", [{"mig": {"1g.5gb": 2}}, {"requests": {MIG_1G: 2}}])
def test_different_numbers_of_the_same_slices_are_refused(other):
    with pytest.raises(ValidationError) as caught:
        Resources.model_validate({"limits": {MIG_1G: 1}, **other})
    assert (
        "nvidia.com/mig-1g.5gb has different numbers in mig, requests or limits; write it once"
    ) in str(caught.value)


def test_the_same_number_of_slices_may_be_written_twice():
    twice = {"requests": {MIG_1G: 2}, "limits": {MIG_1G: 2.0}}
    assert Resources.model_validate(twice).mig == {"1g.5gb": 2}


def test_what_an_older_release_recorded_asks_for_what_it_did():
    assert gpu_request({"limits": {"gpu": 1}, "requests": {"gpu": None}}).each == 1
    assert gpu_request({"limits": {}, "requests": {}}) is None


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (
            {"limits": {"gpu": 1}, "gpu_share": "ours"},
            "gpu and gpu_share are different requests for GPUs; keep one of them",
        ),
        (
            {"gpu_devices": [0], "mig": {"1g.5gb": 1}},
            "gpu_devices and mig are different requests for GPUs; keep one of them",
        ),
        (
            {"mig": {"1g.5gb": 1, "2g.10gb": 1}},
            "mig has 2 profiles; an instance gets slices of one, so keep one of them",
        ),
        ({"gpu_devices": [0, "0"]}, "gpu_devices has the same GPU twice; write it once"),
        (
            {"gpu_devices": [0], "gpu_product": "A100"},
            "gpu_product has no meaning with gpu_devices, which says which GPUs; leave it out",
        ),
        ({"gpu_devices": ["first"]}, "String should match pattern"),
        ({"gpu_devices": [True]}, "Input should be a valid string"),
        ({"mig": {"small": 1}}, "String should match pattern"),
        ({"mig": {"1g.5gb": 0}}, "greater than or equal to 1"),
        ({"gpu_share": "a b"}, "String should match pattern"),
    ],
)
def test_what_contradicts_itself_or_is_nothing_is_refused(resources, reason):
    with pytest.raises(ValidationError) as caught:
        Resources.model_validate(resources)
    assert reason in str(caught.value)


def test_chosen_gpus_are_for_one_instance():
    with pytest.raises(ValidationError) as caught:
        deployment(resources={"gpu_devices": [0]}, instance_count=2)
    assert (
        "resources.gpu_devices are for one instance, and instance_count is 2; write"
        " instance_count: 1, or limits: {gpu: 1} instead"
    ) in str(caught.value)


def test_a_slice_and_a_share_count_as_one_gpu_of_the_quota():
    asked = [{"mig": {"1g.5gb": 2}}, {"gpu_share": "ours"}, {"limits": {"gpu": 3}}]
    sizes = [size_of(deployment(resources=r, instance_count=2).deployments[0]) for r in asked]
    assert sizes == [(2, 4), (2, 2), (2, 6)]
