"""Nodes and pods -> which GPUs there are, and what could never be had."""

import pytest

from inference_provider.spec.gpus import GpuRequest
from inference_provider.targets.kubernetes.inventory import (
    gpus_on,
    never_fits,
    no_room_beside,
    products_of,
    summary,
)


def node(name, product="", unschedulable=False, **allocatable):
    labels = {"nvidia.com/gpu.product": product} if product else {}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": True} if unschedulable else {},
        "status": {"allocatable": {"cpu": "8", **allocatable}},
    }


def gpus(name, product, count, **more):
    found = node(name, product, **more)
    found["status"]["allocatable"]["nvidia.com/gpu"] = str(count)
    return found


def pod(node_name, count, resource="nvidia.com/gpu", phase="Running"):
    limits = {resource: str(count), "cpu": "1"}
    return {
        "metadata": {"name": "p"},
        "spec": {"nodeName": node_name, "containers": [{"resources": {"limits": limits}}]},
        "status": {"phase": phase},
    }


A100, T4 = "NVIDIA-A100-SXM4-80GB", "Tesla-T4"
NODES = [gpus("a-1", A100, 8), gpus("a-2", A100, 8), gpus("t-1", T4, 4), node("plain")]
PODS = [pod("a-1", 6), pod("a-2", 1), pod("t-1", 4, phase="Succeeded")]


def asked(each=1, product="", mig="", share=""):
    return GpuRequest("resources.limits.gpu", each, product, mig=mig, share=share)


def test_what_pods_hold_is_not_free():
    assert [(g.node, g.total, g.free) for g in gpus_on(NODES, PODS)] == [
        ("a-1", 8, 2),
        ("a-2", 8, 7),
        ("t-1", 4, 4),
    ]


def test_a_node_that_takes_no_pods_is_not_counted():
    assert gpus_on([gpus("a-1", A100, 8, unschedulable=True)], ()) == []


def test_the_summary_says_what_there_is_of_each_product():
    assert summary(gpus_on(NODES, PODS)) == (
        "NVIDIA-A100-SXM4-80GB: 16 nvidia.com/gpu on 2 nodes, 9 free;"
        " Tesla-T4: 4 nvidia.com/gpu on 1 node, 4 free"
    )


def test_a_cluster_without_gpus_says_so():
    assert never_fits(asked(), gpus_on([node("plain")], ())) == (
        "an instance asks for 1 nvidia.com/gpu, and no node has any (the cluster has no GPU)",
        "ask for what there is, or add a node",
    )


def test_more_than_the_largest_node_has_can_never_be_had():
    assert never_fits(asked(16), gpus_on(NODES, PODS)) == (
        "an instance asks for 16 nvidia.com/gpu, and the largest node has 8"
        " (NVIDIA-A100-SXM4-80GB: 16 nvidia.com/gpu on 2 nodes, 9 free;"
        " Tesla-T4: 4 nvidia.com/gpu on 1 node, 4 free)",
        "ask for at most 8",
    )


def test_what_is_held_now_may_be_free_later():
    assert never_fits(asked(8), gpus_on(NODES, PODS)) is None


@pytest.mark.parametrize(
    ("each", "count", "old", "fits"),
    [
        pytest.param(8, 1, [], True, id="nothing is old"),
        pytest.param(8, 1, [pod("a-1", 8)], True, id="another node"),
        pytest.param(8, 1, [pod("a-1", 8), pod("a-2", 1)], False, id="no whole node"),
        pytest.param(4, 2, [pod("a-1", 4), pod("a-2", 4)], True, id="half of each"),
        pytest.param(4, 3, [pod("a-1", 4), pod("a-2", 4)], False, id="more than the halves"),
        pytest.param(8, 1, [pod("a-1", 8), pod("a-2", 8, phase="Succeeded")], True, id="ended"),
        pytest.param(4, 2, [pod("a-1", 12)], True, id="a node that lost cards takes none away"),
    ],
)
def test_new_instances_must_fit_beside_the_old_ones_whatever_others_hold(each, count, old, fits):
    nodes = [gpus("a-1", A100, 8), gpus("a-2", A100, 8)]
    held = gpus_on(nodes, [*old, pod("a-2", 0)])
    assert (no_room_beside(asked(each), count, held, old) is None) is fits


def test_a_surge_without_room_is_told_with_the_ledger():
    nodes, old = [gpus("t-1", T4, 4)], [pod("t-1", 4)]
    assert no_room_beside(asked(4), 1, gpus_on(nodes, old), old) == (
        "new instances start beside the old ones: 1 of 4 nvidia.com/gpu each, and there is room for"
        " 0 (Tesla-T4: 4 nvidia.com/gpu on 1 node, 0 free)",
        "write `surge: 0`, which ends the old ones first, or add a node",
    )


@pytest.mark.parametrize(
    ("each", "nodes", "reason"),
    [
        pytest.param(8, 2, None, id="two whole nodes"),
        pytest.param(4, 4, None, id="two halves of each of two"),
        pytest.param(
            8,
            3,
            "an instance asks for 8 nvidia.com/gpu 3 times, and there is room for 2",
            id="three",
        ),
        pytest.param(
            16,
            2,
            "an instance asks for 16 nvidia.com/gpu on each of its nodes, and the largest node has"
            " 8",
            id="more than one has",
        ),
    ],
)
def test_an_instance_on_several_nodes_needs_each_of_them(each, nodes, reason):
    there = gpus_on([gpus("a-1", A100, 8), gpus("a-2", A100, 8)], ())
    said = never_fits(asked(each)._replace(nodes=nodes), there)
    told = "(NVIDIA-A100-SXM4-80GB: 16 nvidia.com/gpu on 2 nodes, 16 free)"
    assert (said and said[0]) == (reason and f"{reason} {told}")


def test_new_instances_on_several_nodes_fit_beside_the_old_ones_node_by_node():
    nodes, old = [gpus(f"a-{n}", A100, 8) for n in range(4)], [pod("a-0", 8), pod("a-1", 8)]
    of_two = asked(8)._replace(nodes=2)
    assert no_room_beside(of_two, 1, gpus_on(nodes, old), old) is None
    reason, _ = no_room_beside(of_two, 2, gpus_on(nodes, old), old)
    assert reason.startswith(
        "new instances start beside the old ones: 2 of 8 nvidia.com/gpu each on 2 nodes, and there"
        " is room for 1 "
    )


@pytest.mark.parametrize(
    ("product", "nodes"), [("A100", [A100]), ("T4", [T4]), ("a100 80gb", [A100]), ("H100", [])]
)
def test_a_product_is_found_by_words_of_its_name(product, nodes):
    assert products_of(asked(product=product), gpus_on(NODES, ())) == nodes


def test_a_product_whose_words_have_underscores_between_them_is_found_by_one():
    theirs = node("m-1", **{"amd.com/gpu": "8"})
    theirs["metadata"]["labels"]["amd.com/gpu.product-name"] = "AMD_Instinct_MI300X_OAM"
    wanted = asked(product="MI300X")._replace(resource="amd.com/gpu")
    assert products_of(wanted, gpus_on([theirs], ())) == ["AMD_Instinct_MI300X_OAM"]


def test_a_product_that_no_node_has_is_refused():
    assert never_fits(asked(product="H100"), gpus_on(NODES, ()))[0].startswith(
        "an instance asks for 1 nvidia.com/gpu of H100, and no node has any"
    )


def test_slices_and_shares_have_names_of_their_own():
    nodes = [
        node("m", A100, **{"nvidia.com/mig-1g.5gb": "7"}),
        node("s", T4, **{"nvidia.com/gpu.shared": "10"}),
    ]
    found = gpus_on(nodes, [pod("m", 2, "nvidia.com/mig-1g.5gb")])
    assert never_fits(asked(3, mig="1g.5gb"), found) is None
    assert "no node has any" in never_fits(asked(mig="2g.10gb"), found)[0]
    assert never_fits(asked(share="tiny"), found) is None
    assert "no node has any" in never_fits(asked(), found)[0]
