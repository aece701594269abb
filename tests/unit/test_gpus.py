"""Who gets which GPU, on a machine of two; and what this machine has."""

import pytest

from inference_provider.errors import OutOfCapacity
from inference_provider.gpus import Gpu, Holder, Ledger, Matching, Wish, hand_out, matched
from inference_provider.spec.gpus import gpu_request
from inference_provider.spec.resources import Resources
from inference_provider.targets.listening import ListenAddress
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.gpus import discover_gpus
from inference_provider.targets.local.instances import Instance, Instances, ledger
from inference_provider.targets.local.records import FileRecords

TWO = Ledger((Gpu("GPU-a", "0", "Tesla T4"), Gpu("GPU-b", "1", "NVIDIA A100-SXM4-80GB")))
HELD = TWO.held_by(Holder("iris.blue.1.0", "lab/iris/blue"), ["GPU-a"])
PARTED = Ledger(
    (
        Gpu("GPU-a", "0"),
        Gpu("MIG-a", "1:0", "NVIDIA A100", "1g.5gb", "GPU-b"),
        Gpu("MIG-b", "1:1", "NVIDIA A100", "1g.5gb", "GPU-b"),
        Gpu("MIG-c", "1:2", "NVIDIA A100", "2g.10gb", "GPU-b"),
    )
)


def given(ledger, count=1, leaving=(), **resources):
    asked = gpu_request(Resources.model_validate(resources).model_dump())
    return hand_out(asked, count, ledger, "Deployment 'demo/iris/green'", leaving)


def test_free_gpus_are_handed_out_whole():
    assert given(HELD, limits={"gpu": 1}) == [("GPU-b",)]
    assert given(TWO, limits={"gpu": 2}) == [("GPU-a", "GPU-b")]
    assert given(TWO, 2, limits={"gpu": 1}) == [("GPU-a",), ("GPU-b",)]


def test_asking_for_more_than_is_free_shows_the_ledger():
    with pytest.raises(OutOfCapacity) as fault:
        given(HELD, limits={"gpu": 2})
    assert str(fault.value) == (
        "hand GPUs to Deployment 'demo/iris/green': 2 wanted, 1 of 2 free (GPU-a Tesla T4:"
        " iris.blue.1.0, GPU-b NVIDIA A100-SXM4-80GB: free); ask for fewer, or scale another"
        " deployment in"
    )


@pytest.mark.parametrize(
    ("product", "expected"),
    [("A100", "GPU-b"), ("a100-sxm4-80gb", "GPU-b"), ("T4", "GPU-a"), ("Tesla T4", "GPU-a")],
)
def test_a_product_is_words_of_the_drivers_name(product, expected):
    assert given(TWO, limits={"gpu": 1}, gpu_product=product) == [(expected,)]


def test_part_of_a_word_is_another_product():
    with pytest.raises(OutOfCapacity, match="1 of product 'A10' wanted, 0 of 0 free"):
        given(TWO, limits={"gpu": 1}, gpu_product="A10")


def test_chosen_gpus_are_given_by_index_or_uuid_if_they_are_free():
    assert given(HELD, gpu_devices=[1]) == [("GPU-b",)]
    assert given(HELD, gpu_devices=["GPU-b"]) == [("GPU-b",)]
    with pytest.raises(OutOfCapacity, match=r"GPU 0 wanted, 0 of 1 free \(GPU-a Tesla T4: iris"):
        given(HELD, gpu_devices=[0])


def test_slices_are_given_by_profile_and_a_partitioned_gpu_never_whole():
    assert given(PARTED, mig={"1g.5gb": 2}) == [("MIG-a", "MIG-b")]
    assert given(PARTED, mig={"2g.10gb": 1}) == [("MIG-c",)]
    assert given(PARTED, limits={"gpu": 1}) == [("GPU-a",)]
    with pytest.raises(OutOfCapacity, match="2 wanted, 1 of 1 free"):
        given(PARTED, limits={"gpu": 2})


def test_those_that_name_a_share_have_the_same_gpu_and_nobody_else_has_it():
    assert given(TWO, 3, gpu_share="ours") == [("GPU-a",)] * 3
    shared = TWO.held_by(Holder("iris.blue.1.0", "lab/iris/blue", "ours"), ["GPU-b"])
    assert given(shared, gpu_share="ours") == [("GPU-b",)]
    assert given(shared, gpu_share="theirs") == [("GPU-a",)]
    with pytest.raises(OutOfCapacity):  # its GPU is of another product
        given(shared, gpu_share="ours", gpu_product="T4")
    with pytest.raises(OutOfCapacity, match="2 wanted, 1 of 2 free"):
        given(shared, limits={"gpu": 2})


def test_a_new_generation_shares_the_gpus_of_the_old_only_where_none_is_to_spare():
    old = HELD.held_by(Holder("iris.green.1.0", "lab/iris/green"), ["GPU-b"])
    assert given(old, limits={"gpu": 1}, leaving=["iris.green.1.0"]) == [("GPU-b",)]
    alone = TWO.held_by(Holder("iris.green.1.0", "lab/iris/green"), ["GPU-a"])
    assert given(alone, limits={"gpu": 1}, leaving=["iris.green.1.0"]) == [("GPU-b",)]
    with pytest.raises(OutOfCapacity):
        given(old, limits={"gpu": 1})  # what stays shares with nobody


LARGE = Gpu("GPU-a", "0", "NVIDIA A100-SXM4-80GB")
SMALL = Gpu("GPU-b", "1", "NVIDIA A100-PCIE-40GB")
H100 = Gpu("GPU-c", "2", "NVIDIA H100 80GB")


def wish(name, count=1, **resources):
    asked = gpu_request(Resources.model_validate(resources).model_dump())
    assert asked is not None
    return Wish(f"lab/{name}", asked, count)


def of(product, each=1):
    return {"limits": {"gpu": each}, "gpu_product": product}


@pytest.mark.parametrize(
    ("gpus", "wishes", "chosen"),
    [
        pytest.param(
            (LARGE, SMALL),
            [wish("x/a", **of("A100")), wish("x/b", **of("80GB"))],
            {"lab/x/a": ("GPU-b",), "lab/x/b": ("GPU-a",)},
            id="one product in another",
        ),
        pytest.param(  # whoever goes first takes the first: no order does
            (LARGE, SMALL, H100),
            [wish("x/a", **of("80GB")), wish("x/b", **of("A100")), wish("x/c", **of("SXM4"))],
            {"lab/x/a": ("GPU-c",), "lab/x/b": ("GPU-b",), "lab/x/c": ("GPU-a",)},
            id="a chain",
        ),
        pytest.param(
            (LARGE, SMALL, H100),
            [wish("x/a", 2, **of("80GB")), wish("x/b", limits={"gpu": 1})],
            {"lab/x/a": ("GPU-a", "GPU-c"), "lab/x/b": ("GPU-b",)},
            id="several instances",
        ),
        pytest.param(
            (LARGE, SMALL),
            [wish("x/a", limits={"gpu": 1}), wish("x/b", gpu_devices=[0])],
            {"lab/x/a": ("GPU-b",), "lab/x/b": ("GPU-a",)},
            id="a chosen one",
        ),
        pytest.param(
            (LARGE, SMALL),
            [wish("x/a", 3, gpu_share="s"), wish("x/b", gpu_share="s", gpu_product="40GB")],
            {"lab/x/a": ("GPU-b",), "lab/x/b": ("GPU-b",)},
            id="a share with a product",
        ),
    ],
)
def test_a_plan_finds_gpus_for_all_where_there_is_a_way_to(gpus, wishes, chosen):
    for order in (wishes, wishes[::-1]):
        found = matched(order, Ledger(gpus))
        assert found.unmet is None
        assert {name: tuple(sorted(uuids)) for name, uuids in found.chosen.items()} == chosen


def test_what_no_choice_can_meet_is_named():
    both = [wish("x/a", **of("80GB")), wish("x/b", **of("A100", each=2))]
    assert matched(both, Ledger((LARGE, SMALL))) == Matching({}, both[1])
    two = [wish("x/a", gpu_share="s", gpu_product="80GB"), wish("x/b", gpu_share="s", **PRODUCT)]
    assert matched(two, Ledger((LARGE, SMALL))).unmet == two[1]


PRODUCT = {"gpu_product": "40GB"}


def test_a_plan_leaves_a_gpu_that_ends_with_a_generation_until_none_is_to_spare():
    ledger = Ledger((LARGE, SMALL)).held_by(Holder("x.a.1.0", "lab/x/a"), ["GPU-a"])
    one = wish("x/a", **of("A100"))
    assert matched([one], ledger).chosen == {"lab/x/a": ("GPU-b",)}
    both = [one, wish("x/b", **PRODUCT, limits={"gpu": 1})]
    assert matched(both, ledger).chosen == {"lab/x/b": ("GPU-b",), "lab/x/a": ("GPU-a",)}


def test_what_a_plan_chose_is_handed_out_if_it_is_still_free():
    ledger, asked = Ledger((LARGE, SMALL)), gpu_request(Resources(**of("A100")).model_dump())
    held = ledger.held_by(Holder("notebook"), ["GPU-b"])
    assert hand_out(asked, 1, ledger, "it", (), ("GPU-b",)) == [("GPU-b",)]
    assert hand_out(asked, 1, held, "it", (), ("GPU-b",)) == [("GPU-a",)]


def test_an_id_names_a_gpu_or_a_slice_of_it():
    whole, slice_ = PARTED.gpus[:2]
    assert whole.is_in(["0"])
    assert not whole.is_in(["1"])
    assert slice_.is_in(["GPU-b"])
    assert slice_.is_in(["1"])
    assert slice_.is_in(["all"])
    assert not slice_.is_in(["1:1", "", "void"])


def test_every_gpu_of_the_machine_has_a_uuid():
    assert all(gpu.uuid.startswith(("GPU-", "MIG-")) for gpu in discover_gpus())


def test_the_ledger_of_this_machine_is_what_the_instances_of_all_workspaces_have(tmp_path):
    for workspace, instance in (
        ("lab", Instance(name="iris.blue.1.0", generation="1", port=1, gpus=("GPU-a",))),
        ("shop", Instance(name="x.y.2.0", generation="2", port=2, gpus=("GPU-b",), gpu_share="s")),
    ):
        folders = Folders(tmp_path, workspace)
        folders.folder.mkdir(parents=True)
        folders.save_address(ListenAddress(host="127.0.0.1", port=1, metrics_port=2))
        name = instance.name.rsplit(".", 2)[0].replace(".", "/")
        Instances(folders, FileRecords(folders)).save(name, (instance,))
    found = ledger(tmp_path, TWO.gpus)
    assert found.holders == {
        "GPU-a": (Holder("iris.blue.1.0", "lab/iris/blue"),),
        "GPU-b": (Holder("x.y.2.0", "shop/x/y", "s"),),
    }
