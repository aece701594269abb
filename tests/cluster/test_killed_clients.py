"""kill -9 of `inferctl` in the middle of an `up`, at random moments: the next one converges."""

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes.locks import LEASE_S
from tests.cluster.commands import begun, said
from tests.cluster.runtime import runtime_image
from tests.conformance.labs import SERVER, KubernetesLab, wait_until

pytestmark = pytest.mark.cluster

ROUNDS = 12
SEED = 20261126
KINDS = {
    "deployments": "/apis/apps/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}


@pytest.fixture
def stack(tmp_path):
    """A folder with a stack file of one deployment."""
    route = {"path": "/", "port": 8080}
    for code in ("one", "two"):
        (tmp_path / code).mkdir()
        (tmp_path / code / "serve.py").write_text(SERVER.read_text() + f"# {code}\n")
    (tmp_path / "model.bin").write_bytes(b"weights")
    workspace = {
        "name": f"storm{time.time_ns() % 10**9}",
        "target": "kubernetes",
        "base_image": KubernetesLab.base_image,
        "runtime_image": runtime_image(),
    }
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    command = ["python", "{code_dir}/serve.py", "{port}"]
    deployment = {
        "endpoint": "iris",
        "name": "blue",
        "model": "iris:1",
        "environment": "plain:1",
        "resources": {"requests": {"cpu": "100m"}},
        "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 1},
        "request_settings": {"request_timeout_ms": 1000},
    }
    return tmp_path, {
        "name": "storm",
        "workspaces": [workspace],
        "models": [{"name": "iris", "path": "model.bin"}],
        "environments": [{"name": "plain", "command": command, "inference_config": routes}],
        "endpoints": [{"name": "iris"}],
        "deployments": [deployment],
        "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
    }


def written(folder: Path, document, number: int) -> None:
    """Write a stack that differs from the one of the round before."""
    [deployment] = document["deployments"]
    deployment["code_configuration"] = {"code": ("one", "two")[number % 2]}
    deployment["instance_count"] = 1 + number // 2 % 2
    target = {"metric": "CpuUtilizationPercentage", "target": 90}
    rule = {"endpoint": "iris", "deployment": "blue", "min_instances": 1 + number % 3}
    rule |= {"max_instances": 3, "targets": [target], "scale_in": {"stabilization_s": 3600}}
    document["autoscale_rules"] = [rule] if number % 5 else []
    (folder / "stack.yaml").write_text(json.dumps(document))


def objects(api, namespace: str) -> Counter:
    """Count the objects of a namespace, Secrets by what they are."""
    found: Counter = Counter()
    for kind, group in KINDS.items():
        for one in api.items(f"{group}/namespaces/{namespace}/{kind}"):
            name = one["metadata"]["name"]
            record = name.startswith("inference.") and kind == "secrets"
            found[f"{kind} {name.split('.')[1]}" if record else kind] += 1
    return found


def test_after_any_kill_the_next_up_converges_and_leaves_nothing_over(api, metrics, stack):
    del metrics
    folder, document = stack
    namespace, rng = document["workspaces"][0]["name"], random.Random(SEED)
    try:
        for number in range(ROUNDS):
            written(folder, document, number)
            with begun(folder, "up", "-y") as process:
                time.sleep(rng.uniform(0.7, 6))
                process.kill()
        written(folder, document, ROUNDS)
        began_s = time.monotonic()
        code, text = said(folder, "up", "-y")
        if "has been changing it since" in text:  # the last one that was killed, for 15 s
            time.sleep(LEASE_S + 1)
            code, text = said(folder, "up", "-y")
        assert code == 0, text
        print(f"converged in {time.monotonic() - began_s:.1f} s")
        code, text = said(folder, "drift")
        assert code == 0, text
        assert "no changes" in said(folder, "up", "-y")[1]
        there = objects(api, namespace)
        assert there.pop("secrets content") in (3, 4)  # code that was copied lately may stay
        there.pop("leases", None)  # what the last one left ends, and goes with a later `up`
        assert there == {
            "deployments": 3,
            "services": 4,
            "poddisruptionbudgets": 2,
            "horizontalpodautoscalers": 1,
            "networkpolicies": 4,
            "secrets": 3,
            "secrets address": 2,
            "secrets blueprints": 1,
            "secrets keys": 1,
            "secrets records": 7,
            "secrets revision": 1,
        }
    finally:
        code, text = said(folder, "down", "-y")
        assert code == 0, text
    wait_until(lambda: not api.http.get(f"/api/v1/namespaces/{namespace}").is_success, 60)
