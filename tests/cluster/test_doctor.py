"""A real cluster is told whether it enforces NetworkPolicies, and nothing of that stays."""

import pytest

from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.objects import NAMESPACE, POD, POLICY
from inference_provider.targets.kubernetes.target import KubernetesTarget
from tests.cluster.runtime import runtime_image

pytestmark = pytest.mark.cluster


def test_the_doctor_finds_that_policies_are_enforced_and_leaves_nothing(namespace):
    place = KubernetesPlace(kind="kubernetes", namespace=namespace)
    target = KubernetesTarget(place)
    space = WorkspaceSpec(name="demo", runtime_image=runtime_image())
    try:
        found = {one.name: one for one in target.doctor(space)}
        assert [one for one in found.values() if not one.ok] == []
        assert found["network policies"].found.startswith("enforced")
        client = target.kubernetes.client
        assert [one for one in client.items(POD, namespace) if not _ending(one)] == []
        assert client.items(POLICY, namespace) == []
        names = [one["metadata"]["name"] for one in client.items(NAMESPACE)]
        assert not any(name.startswith("inference-doctor") for name in names)
    finally:
        target.kubernetes.close()


def _ending(pod):
    return pod["metadata"].get("deletionTimestamp")
