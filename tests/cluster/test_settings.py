"""What a workspace says of its cluster becomes so, and changes while it serves."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes.names import CONTENT_NAME, ROUTER_NAME
from inference_provider.targets.kubernetes.objects import CLAIM, DEPLOYMENT, POD, SERVICE, name_of
from tests.conformance.labs import KubernetesLab, wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture
def volume(api):
    """Make a volume of 2 GiB in a folder of the node, and yield the name of its class."""
    folder = Path(tempfile.mkdtemp(prefix="inference-volume-", dir="/var/tmp"))
    folder.chmod(0o777)
    name = f"test{os.getpid()}"
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "2Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": name,
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        }
    )
    yield name
    api.delete(f"/api/v1/persistentvolumes/{name}")
    shutil.rmtree(folder)


def test_content_lies_on_a_claim_and_the_router_is_as_the_workspace_says(tmp_path, volume):
    lab = KubernetesLab(KubernetesLab.open(tmp_path), tmp_path, f"set{os.getpid()}")
    client, place = lab.platform.client, lab.workspace
    storage = {"size": "1Gi", "storage_class": volume}
    try:
        lab.apply(lab.space(cluster={"storage": storage}), *lab.desired[1:])
        assert client.get(CLAIM, place, CONTENT_NAME)["status"]["phase"] == "Bound"
        [pod] = client.items(POD, place, "pulumi-inference/role=content")
        client.delete(POD, place, name_of(pod))
        wait_until(lambda: lab.ports.content.fault(record_of_model(lab)) == "")
        assert lab.ask() == 200

        router = {"service": "NodePort", "replicas": 3}
        lab.apply(lab.space(cluster={"storage": storage, "router": router}))
        assert client.get(DEPLOYMENT, place, ROUTER_NAME)["spec"]["replicas"] == 3
        assert client.get(SERVICE, place, ROUTER_NAME)["spec"]["type"] == "NodePort"
        assert lab.ask() == 200
    finally:
        lab.close()
        lab.platform.close()


def record_of_model(lab):
    return lab.target.record(next(one.id for one in lab.desired if one.id.kind == "Model"))
