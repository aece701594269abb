"""A real engine and a real cluster: nothing to change, a change by hand, nothing left."""

import os
import re
import shutil
import time
from pathlib import Path

import httpx
import pytest
from tests.cluster import metrics
from tests.cluster.api import Api
from tests.cluster.runtime import runtime_image
from tests.cluster_host import KUBECONFIG
from tests.conformance.labs import KubernetesLab
from tests.pulumi.conftest import SERVER, TYPED

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    DEPLOYMENT,
    NAMESPACE,
    SERVICE,
    name_of,
    selector,
)

pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH"),
]


@pytest.fixture
def client():
    found = Client(access(None))
    yield found
    found.close()


def score(client: Client, workspace: str, exported: dict[str, str]) -> int:
    """Return the status of a request to the Service, whose name is known inside alone."""
    service = client.get(SERVICE, workspace, names.ROUTER_NAME)
    inside = f"{names.ROUTER_NAME}.{workspace}.svc"
    url = exported["edge/echo"].replace(inside, service["spec"]["clusterIP"])
    key = {"authorization": f"Bearer {exported['edge/echo key']}"}
    return httpx.post(url, headers=key, json={}, trust_env=False).status_code


def test_a_program_on_a_cluster_settles_sees_what_people_do_and_leaves_nothing(
    program, client, tmp_path
):
    workspace = f"edge{os.getpid()}"
    (tmp_path / "empty").mkdir()
    program.environment |= {"KUBECONFIG": KUBECONFIG, "HOME": str(tmp_path / "empty")}
    images = f'base_image="{KubernetesLab.base_image}", runtime_image="{runtime_image()}"'
    here = f'"{workspace}", target="kubernetes", {images}'
    program.write(TYPED.replace('"edge", router_port=ROUTER_PORT', here))
    everywhere = SERVER.replace('("127.0.0.1",', '("0.0.0.0",')
    (program.folder / "code" / "server.py").write_text(everywhere)
    program.up()
    program.expect_no_changes()
    assert score(client, workspace, program.output()) == 200

    chosen = selector(names.selecting(workspace, names.INSTANCE))
    [before] = client.items(DEPLOYMENT, workspace, chosen)
    client.merge(DEPLOYMENT, workspace, name_of(before), {"spec": {"replicas": 3}}, "scale")
    _wait_for_replicas(client, workspace, name_of(before), 3)
    said = program.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff", rc=7)
    assert re.search(r"instance_count *: 1 => 3", said)
    program.up()
    [after] = client.items(DEPLOYMENT, workspace, chosen)
    assert after["spec"]["replicas"] == 1
    program.expect_no_changes()
    assert score(client, workspace, program.output()) == 200

    program.pulumi("destroy", "--yes", "--skip-preview")
    _wait_gone(client, workspace)


RULE = """
inference.AutoscaleRule(
    "busy", workspace=space.name, endpoint=echo.name, deployment="blue", max_instances=3,
    targets=[{"metric": "CpuUtilizationPercentage", "target": 70}],
)
"""


def test_the_count_under_a_programs_rule_is_no_difference(program, client, tmp_path):
    with Api(Path(KUBECONFIG)) as api:
        metrics.provide(api)
    workspace = f"rule{os.getpid()}"
    (tmp_path / "empty").mkdir()
    program.environment |= {"KUBECONFIG": KUBECONFIG, "HOME": str(tmp_path / "empty")}
    images = f'base_image="{KubernetesLab.base_image}", runtime_image="{runtime_image()}"'
    here = f'"{workspace}", target="kubernetes", {images}'
    typed = TYPED.replace('"edge", router_port=ROUTER_PORT', here)
    asks = 'resources={"requests": {"cpu": "100m"}}, readiness_probe'
    program.write(typed.replace("readiness_probe", asks) + RULE)
    everywhere = SERVER.replace('("127.0.0.1",', '("0.0.0.0",')
    (program.folder / "code" / "server.py").write_text(everywhere)
    program.up()

    chosen = selector(names.selecting(workspace, names.INSTANCE))
    [blue] = client.items(DEPLOYMENT, workspace, chosen)
    [autoscaler] = client.items(AUTOSCALER, workspace, chosen)
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == name_of(blue)
    client.merge(DEPLOYMENT, workspace, name_of(blue), {"spec": {"replicas": 2}}, "scale")
    _wait_for_replicas(client, workspace, name_of(blue), 2)
    program.expect_no_changes()
    program.up()
    [after] = client.items(DEPLOYMENT, workspace, chosen)
    assert after["spec"]["replicas"] == 2

    program.pulumi("destroy", "--yes", "--skip-preview")
    _wait_gone(client, workspace)


def _wait_for_replicas(client: Client, namespace: str, name: str, count: int) -> None:
    for _ in range(100):
        there = client.get(DEPLOYMENT, namespace, name)
        if (there["status"].get("readyReplicas") or 0) == count:
            return
        time.sleep(0.2)
    pytest.fail(f"{name} has no {count} pods")


def _wait_gone(client: Client, namespace: str) -> None:
    for _ in range(200):
        if client.get(NAMESPACE, "", namespace) is None:
            return
        time.sleep(0.2)
    pytest.fail(f"namespace {namespace} is still there")
