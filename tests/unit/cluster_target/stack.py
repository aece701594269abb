"""What is applied to a cluster in memory, and what its pods answer."""

import base64
import json

import httpx

from inference_provider.desired import DesiredResource, resolve
from inference_provider.observed import Actor, Kind
from inference_provider.spec import StackSpec
from inference_provider.targets.kubernetes.releases import HEADER, this_release
from inference_provider.workspace.statuses import RouterStatus

ANN, BOB = Actor(user="ann", command="pytest"), Actor(user="bob", command="pytest")
ROUTE = {"path": "/", "port": 8080}
ROUTER = "/apis/apps/v1/namespaces/lab/deployments/inference-router"
NO_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {
            "name": "main",
            "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "router:2: not found"}},
        }
    ],
}
CONTENT = "/apis/apps/v1/namespaces/lab/deployments/inference-content"
CLAIM = "/api/v1/namespaces/lab/persistentvolumeclaims/inference-content"


class Pods:
    """Answers what clients ask pods through the API server: all is in force, and nothing kept."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.bucket_asked: list[str] = []
        self.bucket_fault = ""
        self.answers = {
            "is_connected": False,
            "is_drained": True,
            "wait_healthy": None,
            "status": RouterStatus(weights={}, mirrors={}, healthy={}).model_dump(mode="json"),
        }

    def __call__(self, asked: httpx.Request) -> httpx.Response | None:
        path = asked.url.path
        if path.endswith("/proxy/revision"):
            self.published.append(int(asked.url.params["wait"]))
            found = {"revision": self.published[-1], "error": None, "fault": ""}
            return said(found)
        if path.endswith("/proxy/live"):
            return said({})
        if path.endswith("/proxy/ask"):
            return said({"answer": self.answers[json.loads(asked.content)["ask"]]})
        if path.endswith("/proxy/bucket"):
            self.bucket_asked.append(asked.method)
            return httpx.Response(424 if self.bucket_fault else 200, text=self.bucket_fault)
        if "/proxy/assets" in path:
            return httpx.Response(200, json={"assets": {}, "environments": {}})
        return None


def said(found: dict) -> httpx.Response:
    return httpx.Response(200, json=found, headers={HEADER: this_release()})


def desired(**workspace) -> dict[Kind, DesiredResource]:
    stack = StackSpec.model_validate(
        {
            "name": "shop",
            "workspaces": [
                {
                    "name": "demo",
                    "target": {"kind": "kubernetes", "namespace": "lab"},
                    "runtime_image": "router:1",
                    **workspace,
                }
            ],
            "environments": [
                {
                    "workspace": "demo",
                    "name": "own",
                    "image": "server:1",
                    "inference_config": {
                        f"{name}_route": ROUTE for name in ("liveness", "readiness", "scoring")
                    },
                }
            ],
            "endpoints": [{"workspace": "demo", "name": "iris"}],
            "deployments": [
                {"workspace": "demo", "endpoint": "iris", "name": "blue", "environment": "own:1"}
            ],
            "traffic": [{"workspace": "demo", "endpoint": "iris", "traffic": {"blue": 100}}],
        }
    )
    return {one.id.kind: one for one in resolve(stack)}


def up(engine, **workspace) -> None:
    for one in desired(**workspace).values():
        engine.apply(one, ANN)


def kinds(api) -> set[str]:
    return {one["kind"] for one in api.objects.values()}


def pod_specs(api) -> dict[str, dict]:
    """Return what each Deployment of Kubernetes says of its pods."""
    found = [one for one in api.objects.values() if one["kind"] == "Deployment"]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in found}


def image_of(api, path: str) -> str:
    return api.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"]


def router_settings(api) -> dict:
    """Return what is recorded of the router."""
    [secret] = [o for path, o in api.objects.items() if "/secrets/inference.address.router" in path]
    return json.loads(base64.b64decode(secret["data"]["document"]))


def _namespace(status: dict) -> dict:
    about = {"name": "lab", "labels": {}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": about, "status": status}
