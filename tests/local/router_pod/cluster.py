"""A cluster in memory, and a router pod that follows it."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from pydantic import SecretStr
from tests.cluster_api import ClusterApi, client_of
from tests.local.server.model import Model
from tests.ports import own_port

from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.router.table import RouterTable
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.kept_content import SECTION, document_of
from inference_provider.targets.kubernetes import question_pass, questions
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import encoded
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.router_manifests import RouterSettings, router_objects
from inference_provider.targets.kubernetes.sync import Sync
from inference_provider.workspace.state import State

DIGEST = "d" * 64
SLICES = "/apis/discovery.k8s.io/v1/namespaces/lab/endpointslices"
KEY = {"authorization": "Bearer first-secret-8c1e"}
PASS = "question-pass-4b7d2e9a0c1f8d36a5e1"
ASKS = {question_pass.HEADER: PASS}
SECRET_OF_QUESTIONS = "/api/v1/namespaces/lab/secrets/inference-router-questions"
SPEC = {
    "name": "own",
    "command": ["serve", "--port", "{port}"],
    "inference_config": {
        route: {"path": "/ready" if route != "scoring_route" else "/score", "port": 1}
        for route in ("liveness_route", "readiness_route", "scoring_route")
    },
}


def record(kind: Kind, name: str, generation: str = "", /, **properties) -> Record:
    return Record(
        id=ResourceId(kind=kind, workspace="demo", name=name),
        owner="stack",
        properties=properties,
        generation=generation,
        actor=Actor(user="ann"),
        time=datetime(2026, 11, 26, tzinfo=UTC),
    )


def deployment(name: str, generation: str = "g1", **settings) -> Record:
    asked = {
        "request_timeout_ms": 5000,
        "max_concurrent_requests_per_instance": 50,
        "retry_on_503": False,
    }
    return record(
        Kind.DEPLOYMENT,
        f"iris/{name}",
        generation,
        endpoint="iris",
        name=name,
        instance_count=1,
        environment=f"own:1@sha256:{DIGEST}",
        request_settings=asked | settings,
        readiness_probe={"period": 1, "timeout": 1, "failure_threshold": 2},
    )


def traffic(**shares: int) -> Record:
    return record(Kind.TRAFFIC, "iris", traffic=shares, mirror_traffic={})


class Cluster:
    """A namespace with the records of endpoint iris, as a client writes them."""

    def __init__(self) -> None:
        self.api = ClusterApi()
        self.api.watch_s = 3600
        self.records = ClusterRecords(client_of(self.api), "lab", "demo")
        self.state = State(self.records)
        self.let_ask(PASS)

    def let_ask(self, shown: str) -> None:
        """Make the Secret with what clients show to the router's pods."""
        made = router_objects("demo", "lab", RouterSettings(image="none"))
        secret = next(one for one in made if one["kind"] == "Secret")
        self.api.put(SECRET_OF_QUESTIONS, {**secret, "data": encoded({"pass": shown})})

    def make(self, **models: Model) -> None:
        self.records.make()
        with self.records.edit():
            name = document_of("environment", DIGEST)
            self.records.put(SECTION, name, json.dumps({"spec": SPEC, "image": "x"}))
            endpoint = record(Kind.ENDPOINT, "iris", name="iris", auth_mode="key")
            self.state.put_record(endpoint)
            keys = SecretStr("first-secret-8c1e"), SecretStr("second-secret-77d0")
            self.state.put_keys("iris", keys)
            for name in models:
                self.state.put_record(deployment(name))
            self.state.put_record(traffic(**{next(iter(models)): 100}))
        for name, model in models.items():
            self.serve(name, model)

    def edit(self, *records: Record) -> int:
        with self.records.edit():
            for one in records:
                self.state.put_record(one)
        return self.records._store.revision

    def serve(self, name: str, model: Model, generation: str = "g1", **conditions) -> None:
        """Say that a pod of a deployment is reached where a model listens."""
        labels = {
            "pulumi-inference/workspace": "demo",
            "pulumi-inference/role": "instance",
            "pulumi-inference/endpoint": "iris",
            "pulumi-inference/deployment": name,
            "pulumi-inference/generation": generation,
            "kubernetes.io/service-name": f"iris-{name}-{generation}",
        }
        called = f"{name}-{generation}-{model.port}"
        about = {"name": called, "namespace": "lab", "labels": labels}
        endpoint = {"addresses": [model.backend.host], "conditions": {"ready": True, **conditions}}
        one = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": about,
            "addressType": "IPv4",
            "ports": [{"port": model.port}],
            "endpoints": [endpoint],
        }
        self.api.put(f"{SLICES}/{called}", one)


class RouterPod:
    """The process of one router pod, as far as it is not its container's."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _asked: None
        self.said: list[str] = []
        self.table = RouterTable(
            folder=str(folder), host="127.0.0.1", port=own_port(), metrics_port=own_port()
        )
        entered = client_of(cluster.api).access

        def answer(asked: httpx.Request) -> httpx.Response:
            refused = self.refuse(asked)
            return refused if refused is not None else cluster.api.answer(asked)

        client = Client(entered, httpx.MockTransport(answer), attempts=1)
        self.sync = Sync(client, "lab", "demo", self.table, 1, self.said.append)
        port = own_port()
        self.server = questions.Server(self.sync.pod(), "127.0.0.1", port)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=70, trust_env=False)

    def start(self) -> "RouterPod":
        self.sync.start()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def is_ready(self) -> bool:
        return self.client.get("/ready").status_code == 200

    def outcome(self, revision: int, timeout_s: float = 30) -> dict:
        asked = {"wait": revision, "timeout_s": timeout_s}
        return self.client.get("/revision", params=asked).json()

    def ask(self, question: str, **given):
        found = self.client.post("/ask", json={"ask": question, **given}, headers=ASKS).json()
        if "error" in found:
            raise read(found["error"])
        return found["answer"]

    @property
    def weights(self) -> dict[str, int]:
        return self.ask("status")["weights"].get("iris", {})

    def score(self, pin: str = "") -> tuple[int, str]:
        headers = KEY | ({"azureml-model-deployment": pin} if pin else {})
        url = f"http://127.0.0.1:{self.table.port}/endpoints/iris/score"
        found = httpx.post(url, headers=headers, timeout=10, trust_env=False)
        return found.status_code, found.json().get("model", "")

    def end(self) -> None:
        """End it as a container is killed: nothing is told, nothing is drained."""
        self.refuse = away
        self.sync.envoy.end()
        self.server.shutdown()
        self.server.server_close()
        self.client.close()


def away(_asked: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")
