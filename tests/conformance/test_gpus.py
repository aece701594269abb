"""Who gets which GPU while deployments come, change and go, on targets that have some."""

import pytest

from inference_provider.errors import OutOfCapacity


def whole(count):
    return {"resources": {"limits": {"nvidia.com/gpu": count}}}


@pytest.fixture
def bare(lab, gpus):
    """A lab with 4 GPUs and no deployment."""
    assert gpus == 4
    lab.apply(*lab.desired[:4])
    return lab


def test_a_new_generation_shares_the_gpus_of_the_old_when_none_is_to_spare(bare):
    bare.apply(bare.deployment(**whole(4)))
    before = bare.instances()
    bare.apply(bare.deployment(environment_variables={"A": "2"}, **whole(4)))
    assert len(bare.instances()) == 1
    assert bare.instances().keys().isdisjoint(before)


def test_what_stays_shares_its_gpus_with_no_instance_that_is_added(bare):
    bare.apply(bare.deployment(instance_count=2, **whole(1)), bare.deployment("green", **whole(2)))
    with pytest.raises(OutOfCapacity) as caught:
        bare.apply(bare.deployment(instance_count=3, **whole(1)))
    assert "1 wanted, 0 of 4 free (GPU-0" in str(caught.value)
    assert f"{min(bare.instances('iris/green'))}, GPU-3" in str(caught.value)
    assert len(bare.instances()) == 2


def test_instances_that_name_a_share_have_one_gpu_and_leave_the_others(bare):
    ours = {"resources": {"gpu_share": "ours"}}
    bare.apply(bare.deployment(instance_count=2, **ours), bare.deployment("green", **ours))
    bare.apply(bare.deployment("grey", **whole(3)))
    with pytest.raises(OutOfCapacity, match="1 wanted, 0 of 4 free"):
        bare.apply(bare.deployment("black", **whole(1)))
    bare.delete(bare.deployment("grey").id)
    bare.apply(bare.deployment("black", **whole(3)))


def test_a_chosen_gpu_is_given_to_one_deployment_and_freed_with_it(bare):
    chosen = {"resources": {"gpu_devices": [2]}}
    bare.apply(bare.deployment(**chosen))
    with pytest.raises(OutOfCapacity, match=r"GPU 2 wanted, 0 of 1 free \("):
        bare.apply(bare.deployment("green", **chosen))
    bare.delete(bare.deployment().id)
    bare.apply(bare.deployment("green", **chosen))
