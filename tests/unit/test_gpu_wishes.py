"""What a target refuses of the GPUs that deployments want."""

import pytest
from tests.stacks import deployment, stack

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import resolve
from inference_provider.gpu_wishes import gpu_refusals
from inference_provider.gpus import Gpu, Holder, Ledger

T4, A100 = Gpu("GPU-a", "0", "Tesla T4"), Gpu("GPU-b", "1", "NVIDIA A100-SXM4-80GB")


SLICES = (
    Gpu("MIG-a", "2:0", "NVIDIA A100-SXM4-80GB", "1g.10gb", "GPU-c"),
    Gpu("MIG-b", "2:1", "NVIDIA A100-SXM4-80GB", "1g.10gb", "GPU-c"),
)


def two(blue, green, **more):
    """Return a stack with these two deployments."""
    base = {"endpoint": "iris", "model": "iris:1", "environment": "env:1"}
    return stack(
        deployments=[{**base, "name": "blue", **blue}, {**base, "name": "green", **green}], **more
    )


def gpus_refused(asked, ledger, **more):
    able = TargetCapabilities(name="docker", gpus=lambda _base_image: ledger)
    return [str(refusal) for refusal in gpu_refusals(resolve(asked), able, **more)]


BOTH = "GPU-a Tesla T4: free, GPU-b NVIDIA A100-SXM4-80GB: free"


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        pytest.param(
            {"limits": {"gpu": 1}},
            "resources.limits.gpu: 3 for all instances, and the target has 2"
            f" ({BOTH}); ask for fewer",
            id="whole GPUs",
        ),
        pytest.param(
            {"requests": {"gpu": 1}, "gpu_product": "A100"},
            "resources.requests.gpu: 3 of product 'A100' for all instances, and the target has 1 of"
            f" them ({BOTH}); ask for fewer",
            id="of one product",
        ),
        pytest.param(
            {"mig": {"1g.10gb": 2}},
            "resources.mig: 6 of profile 1g.10gb for all instances, and the target has 0 of them"
            f" ({BOTH}); ask for fewer",
            id="slices",
        ),
        pytest.param(
            {"gpu_share": "ours", "gpu_product": "H100"},
            "resources.gpu_share: one that is shared as 'ours' for all instances, and the target"
            f" has 0 of them ({BOTH}); ask for fewer",
            id="a share",
        ),
    ],
)
def test_more_gpus_than_there_are_are_refused_with_the_ledger(resources, sentence):
    asked = deployment(resources=resources, instance_count=3)
    place = "Deployment 'default/iris/blue' on target 'docker': "
    assert gpus_refused(asked, Ledger((T4, A100))) == [place + sentence]


def test_gpus_that_no_ledger_counts_are_refused():
    asked = deployment(resources={"limits": {"amd.com/gpu": 1}})
    assert gpus_refused(asked, Ledger((T4,))) == [
        "Deployment 'default/iris/blue' on target 'docker': resources.limits.gpu: 'amd.com/gpu' is"
        " not supported; use target 'kubernetes'"
    ]


def test_devices_of_a_class_are_refused_where_there_is_no_cluster():
    asked = deployment(resources={"limits": {"gpu": 1}, "device_class": "gpu.nvidia.com"})
    assert gpus_refused(asked, Ledger((T4,))) == [
        "Deployment 'default/iris/blue' on target 'docker': resources.device_class: DeviceClass"
        " 'gpu.nvidia.com': only a cluster has such; use target 'kubernetes'"
    ]


def test_a_chosen_gpu_that_is_not_there_is_refused():
    asked = deployment(resources={"gpu_devices": [0, 7]})
    assert gpus_refused(asked, Ledger((T4, A100))) == [
        "Deployment 'default/iris/blue' on target 'docker': resources.gpu_devices: GPUs 0, 7 for"
        f" all instances, and the target has 1 of them ({BOTH}); ask for fewer"
    ]


def test_why_there_is_no_gpu_is_said_with_what_to_do():
    none = Ledger(nothing="its Engine has no NVIDIA runtime", remedy="install it there")
    assert gpus_refused(deployment(resources={"limits": {"gpu": 1}}), none) == [
        "Deployment 'default/iris/blue' on target 'docker': resources.limits.gpu: 1 for all"
        " instances, and the target has 0: its Engine has no NVIDIA runtime; install it there"
    ]
    assert gpus_refused(deployment(resources={"limits": {"gpu": 1}}), Ledger()) == [
        "Deployment 'default/iris/blue' on target 'docker': resources.limits.gpu: 1 for all"
        " instances, and the target has 0; ask for fewer"
    ]


def test_more_gpus_over_all_deployments_than_there_are_are_refused():
    each, one = {"resources": {"limits": {"gpu": 1}}}, Ledger((T4,))
    assert gpus_refused(two(each, each), one, together=True) == [
        "the deployments that change on target 'docker': resources.limits.gpu: 2 together, and the"
        " target has 1 (GPU-a Tesla T4: free); ask for fewer"
    ]
    assert gpus_refused(two(each, {}), one, together=True) == []
    assert gpus_refused(two(each, each), one) == []  # one resource at a time


def test_gpus_that_others_hold_are_not_there_for_a_plan():
    each = {"resources": {"limits": {"gpu": 1}}}
    stranger = Ledger((T4, A100)).held_by(Holder("notebook"), ["GPU-b"])
    assert gpus_refused(two(each, each), stranger, together=True) == [
        "the deployments that change on target 'docker': resources.limits.gpu: 2 together, and the"
        " target has 2, 1 of them held already (GPU-a Tesla T4: free, GPU-b NVIDIA A100-SXM4-80GB:"
        " notebook); ask for fewer"
    ]
    own = stranger.held_by(Holder("iris.blue.5.0", "default/iris/blue"), ["GPU-a"])
    assert gpus_refused(deployment(**each), own, together=True) == []


def test_gpus_of_a_product_are_kept_for_those_that_need_it():
    any_, a100 = (
        {"resources": {"limits": {"gpu": 1}}},
        {"limits": {"gpu": 1}, "gpu_product": "A100"},
    )
    ledger = Ledger((A100, T4))
    assert gpus_refused(two(any_, {"resources": a100}), ledger, together=True) == []
    chosen = {"resources": {"gpu_devices": [1]}}
    assert gpus_refused(two(any_, chosen), ledger, together=True) == []
    assert len(gpus_refused(two({"resources": a100}, chosen), ledger, together=True)) == 1


def test_all_that_name_a_share_have_one_gpu_together():
    ours, any_ = {"resources": {"gpu_share": "ours"}}, {"resources": {"limits": {"gpu": 1}}}
    assert gpus_refused(two(ours, ours), Ledger((T4,)), together=True) == []
    assert len(gpus_refused(two(ours, any_), Ledger((T4,)), together=True)) == 1
    theirs = {"resources": {"gpu_share": "theirs"}}
    assert len(gpus_refused(two(ours, theirs), Ledger((T4,)), together=True)) == 1


def test_a_partitioned_gpu_is_there_in_slices_only():
    assert gpus_refused(deployment(resources={"mig": {"1g.10gb": 2}}), Ledger(SLICES)) == []
    assert len(gpus_refused(deployment(resources={"limits": {"gpu": 1}}), Ledger(SLICES))) == 1


def test_a_target_is_not_asked_for_gpus_that_nobody_wants():
    def never(_base_image):
        raise AssertionError

    able = TargetCapabilities(name="local", gpus=never)
    assert gpu_refusals(resolve(deployment()), able) == ()
    none = deployment(resources={"limits": {"gpu": 1}}, instance_count=0)
    assert gpu_refusals(resolve(none), able) == ()
