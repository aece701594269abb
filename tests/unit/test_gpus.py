"""The GPU ledger, with a machine of two."""

import pytest

from inference_provider.errors import OutOfCapacity
from inference_provider.targets.local.gpus import discover_gpus, hand_out

DEVICES = ("GPU-a", "GPU-b")


def test_free_gpus_are_handed_out_whole():
    assert hand_out(1, DEVICES, {"GPU-a": "iris.blue.1.0"}, "green") == ("GPU-b",)


def test_asking_for_more_than_is_free_shows_the_ledger():
    with pytest.raises(OutOfCapacity) as fault:
        hand_out(2, DEVICES, {"GPU-a": "iris.blue.1.0"}, "Deployment 'demo/iris/green'")
    assert str(fault.value) == (
        "hand GPUs to Deployment 'demo/iris/green': 2 wanted, 1 of 2 free"
        " (GPU-a: iris.blue.1.0, GPU-b: free); ask for fewer, or scale another deployment in"
    )


def test_asking_for_none_gets_none():
    assert hand_out(0, (), {}, "blue") == ()


def test_every_gpu_of_the_machine_has_a_uuid():
    assert all(uuid.startswith(("GPU-", "MIG-")) for uuid in discover_gpus())
