"""A router of a cluster whose pods answer what a test says."""

import json

import httpx
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.targets.kubernetes import releases
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.router import KubernetesRouter
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.workspace.statuses import RouterStatus

PODS = "/api/v1/namespaces/lab/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/lab/deployments/inference-router"
SERVICE = "/api/v1/namespaces/lab/services/inference-router"
SETTINGS = RouterSettings(image="registry.example.org/router:1")
SERVES = RouterStatus(
    weights={"iris": {"blue": 100}}, mirrors={}, healthy={"iris/blue": 2}
).model_dump(mode="json")


def pod(name, *, ready=True, **status):
    labels = {"pulumi-inference/workspace": "demo", "pulumi-inference/role": "router"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "lab", "labels": labels},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def waiting(reason, message):
    return {
        "containerStatuses": [
            {"name": "router", "restartCount": 0, "state": {
                "waiting": {"reason": reason, "message": message}}}
        ]
    }  # fmt: skip


class Lab:
    """A router whose pods answer what a test says."""

    def __init__(self):
        self.api = ClusterApi()
        self.api.refuse = self.answered
        self.answers = {}
        """By pod and path: JSON, a response, or what returns one of both."""
        self.asked = []
        self.shown = []
        """What was shown with each, None for nothing."""
        self.release = releases.this_release()
        client = client_of(self.api)
        self.records = ClusterRecords(client, "lab", "demo")
        self.router = KubernetesRouter(client, self.records)
        self.records.make()
        self.router.save(SETTINGS)

    def answered(self, asked: httpx.Request) -> httpx.Response | None:
        if "/proxy/" not in asked.url.path:
            return None
        place, _, path = asked.url.path.partition(":8081/proxy/")
        name = place.rpartition("/")[2]
        if path == "live":
            return httpx.Response(200, json={}, headers={releases.HEADER: self.release})
        self.asked.append((name, path, dict(asked.url.params), asked.content))
        self.shown.append(asked.headers.get("X-Inference-Pass"))
        found = self.answers.get((name, path))
        found = found() if callable(found) else found
        if found is None:
            return failure(503, "error trying to reach service: connection refused")
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, json=found, headers={releases.HEADER: self.release})

    def add(self, name, *, revision=10**6, error=None, **given):
        self.api.put(f"{PODS}/{name}", pod(name, **given))
        self.answers[name, "revision"] = {"revision": revision, "error": error, "fault": ""}
        self.answers[name, "ask"] = {"answer": SERVES}

    def questions(self):
        return [(name, json.loads(text)["ask"]) for name, path, _, text in self.asked if text]
