"""What `inferctl down` leaves of a workspace with all that runs beside its router."""

import json
import time
from pathlib import Path

import pytest

from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import DEPLOYMENT
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.state import RECORDS
from tests.cluster.api import Api
from tests.cluster.commands import begun, said
from tests.cluster.runtime import runtime_image
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
SPACE = "Workspace.web"


@pytest.fixture
def folder(tmp_path, namespace) -> Path:
    """A folder with a stack file that has the console and something to watch."""
    workspace = {
        "name": "web",
        "target": {"kind": "kubernetes", "namespace": namespace},
        "runtime_image": runtime_image(),
        "service": {"port": 18443, "console": True},
    }
    alerts = {"errors": {"metric": "ErrorRate", "threshold": 5}}
    endpoint = {"name": "iris", "auth_mode": "aml_token", "alerts": alerts}
    stack = {"name": "web", "workspaces": [workspace], "endpoints": [endpoint]}
    (tmp_path / "stack.yaml").write_text(json.dumps(stack))
    return tmp_path


def everything(api: Api, namespace: str) -> set[str]:
    """Return all objects of a namespace, whatever they are; events and what is measured aside."""
    groups = [one["preferredVersion"]["groupVersion"] for one in api.get("/apis")["groups"]]
    found = set()
    for path in ("/api/v1", *(f"/apis/{one}" for one in groups)):
        if not api.answers(path) or "metrics.k8s.io" in path:  # whose server may be away
            continue
        for kind in api.get(path)["resources"]:
            plural = kind["name"]
            if not kind["namespaced"] or "list" not in kind["verbs"] or plural == "events":
                continue
            for one in api.items(f"{path}/namespaces/{namespace}/{plural}"):
                found.add(f"{plural}/{one['metadata']['name']}")
    return found


def test_a_down_that_is_killed_and_run_again_leaves_what_was_there_before(
    api, namespace, folder, tmp_path
):
    about = {"name": "theirs", "namespace": namespace}
    api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"a": "b"}})
    before = everything(api, namespace)
    assert before == {
        "configmaps/kube-root-ca.crt",
        "configmaps/theirs",
        "serviceaccounts/default",
    }
    assert said(folder, "up", "-y")[0] == 0
    made = everything(api, namespace)
    assert {"deployments/inference-web", "deployments/inference-service"} < made
    platform = KubernetesPlatform(KubernetesPlace(kind="kubernetes", namespace=namespace))
    try:
        _corrupt_record_leaves_the_pod(api, namespace, folder, platform)
        with begun(folder, "down", "-y") as process:
            gone = f"/apis/apps/v1/namespaces/{namespace}/deployments/inference-web"
            wait_until(lambda: not api.answers(gone) or process.poll() is not None, 60)
            process.kill()
        code, text = said(folder, "down", "-y")
        if "the lock of a process that was killed ends after" in text:
            time.sleep(25)
            code, text = said(folder, "down", "-y")
        assert code == 0, text
        wait_until(lambda: everything(api, namespace) == before, 60)
    finally:
        platform.close()


def _corrupt_record_leaves_the_pod(api, namespace, folder, platform) -> None:
    records, client = platform.ports("web").records, platform.client
    record = records.section(RECORDS)[SPACE]
    there = client.get(DEPLOYMENT, namespace, names.WEB_NAME)
    with records.edit():
        records.put(RECORDS, SPACE, "{")
    code, text = said(folder, "down", "-y")
    after = client.get(DEPLOYMENT, namespace, names.WEB_NAME)
    assert code == 1
    assert "read Secret inference.records.workspace-web-" in text
    assert "is corrupt" in text
    assert after["metadata"]["uid"] == there["metadata"]["uid"]
    assert after["metadata"]["generation"] == there["metadata"]["generation"]
    with records.edit():
        records.put(RECORDS, SPACE, record.decode())
