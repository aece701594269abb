"""A generation whose instances are on several nodes -> what makes groups of its pods."""

from dataclasses import replace

import pytest
from tests.unit.test_instance_manifests import NAME, generation, objects

from inference_provider.targets.kubernetes.names import generation as name_of
from inference_provider.targets.kubernetes.workloads import is_rolled

WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
CHOSEN = {
    "pulumi-inference/role": "instance",
    "pulumi-inference/endpoint": "iris",
    "pulumi-inference/deployment": "blue",
    "pulumi-inference/generation": "5efdeb203621",
    "pulumi-inference/object": NAME,
}


def spread(**fields) -> dict:
    return objects(generation(nodes_per_instance=3, **fields))


def test_a_group_of_pods_is_made_in_place_of_each_pod():
    assert "Deployment" not in spread()
    made = spread()["LeaderWorkerSet"]
    assert made["apiVersion"] == "leaderworkerset.x-k8s.io/v1"
    spec = made["spec"]
    assert (spec["replicas"], spec["leaderWorkerTemplate"]["size"]) == (2, 3)
    assert spec["leaderWorkerTemplate"]["restartPolicy"] == "RecreateGroupOnPodRestart"
    assert spec["rolloutStrategy"]["rollingUpdateConfiguration"] == {
        "partition": 0,
        "maxSurge": 1,
        "maxUnavailable": 0,
    }
    assert (
        "replicas"
        not in objects(replace(generation(nodes_per_instance=3), count=None))["LeaderWorkerSet"][
            "spec"
        ]
    )


def test_the_leader_is_the_pod_that_an_instance_on_one_node_would_be():
    template = spread()["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
    assert template == objects(generation())["Deployment"]["spec"]["template"]


def test_a_worker_starts_the_same_and_is_asked_nothing():
    made = spread(resources={"limits": {"gpu": 8}})["LeaderWorkerSet"]["spec"]
    leader, worker = (made["leaderWorkerTemplate"][f"{of}Template"] for of in ("leader", "worker"))
    [of_leader], [of_worker] = (one["spec"].pop("containers") for one in (leader, worker))
    assert leader == worker
    assert set(of_leader) - set(of_worker) == {
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
        "lifecycle",
    }
    assert of_worker == {name: of_leader[name] for name in of_worker}
    assert of_worker["resources"]["limits"] == {"nvidia.com/gpu": "8"}


def test_requests_go_to_leaders_alone_and_evictions_count_every_pod():
    made = spread()
    assert made["Service"]["spec"]["selector"] == {**CHOSEN, WORKER_INDEX: "0"}
    assert made["PodDisruptionBudget"]["spec"]["selector"] == {"matchLabels": CHOSEN}


def test_pods_of_one_generation_reach_each_other_and_nobody_else_is_let_in():
    own = {"podSelector": {"matchLabels": CHOSEN}}
    assert spread()["NetworkPolicy"]["spec"] == {
        **own,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [own]}],
    }
    assert "NetworkPolicy" not in objects(generation())


def test_the_policy_is_there_before_the_pods():
    kinds = [one["kind"] for one in generation(nodes_per_instance=2).objects()]
    assert kinds == [
        "Service",
        "Secret",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "LeaderWorkerSet",
    ]


def test_a_name_leaves_room_for_what_two_statefulsets_add():
    of_pods = name_of(f"{'e' * 32}/{'d' * 32}", "5efdeb203621")
    of_groups = name_of(f"{'e' * 32}/{'d' * 32}", "5efdeb203621", grouped=True)
    assert (len(of_pods), len(of_groups)) == (52, 48)
    assert len(f"{of_groups}-50-5c9b8d7f6c") <= 63  # label of a worker: a revision of its set
    assert name_of("iris/blue", "5efdeb203621", grouped=True) == NAME


@pytest.mark.parametrize(
    ("status", "rolled"),
    [
        pytest.param({"observedGeneration": 2}, True, id="seen"),
        pytest.param({"observedGeneration": 1}, False, id="an older one seen"),
        pytest.param({}, True, id="before 0.9 it does not say"),
        pytest.param({"observedGeneration": 2, "readyReplicas": 1}, False, id="workers are late"),
        pytest.param({"observedGeneration": 2, "updatedReplicas": 1}, False, id="old ones left"),
    ],
)
def test_groups_are_rolled_once_all_are_new_with_their_workers(status, rolled):
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    there = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"generation": 2},
        "status": {**counts, **status},
    }
    assert is_rolled(there, 2) is rolled
