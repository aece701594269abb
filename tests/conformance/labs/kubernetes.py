"""A lab in a namespace of its own."""

import os
from pathlib import Path

import httpx

from inference_provider.targets.kubernetes.names import (
    INSTANCE,
    INSTANCE_PORT,
    ROUTER_NAME,
    selecting,
)
from inference_provider.targets.kubernetes.objects import POD, POLICY, SERVICE, selector
from inference_provider.targets.kubernetes.pods import address_of, is_ending
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine
from tests.cluster import metrics
from tests.cluster.api import Api
from tests.cluster.runtime import runtime_image
from tests.cluster_host import KUBECONFIG
from tests.conformance.labs.lab import Lab
from tests.conformance.watched import WatchedPlatform


class KubernetesLab(Lab):
    base_image = os.environ.get("INFERENCE_TEST_BASE_IMAGE", "debian-python:12")
    signals = Path("/tmp")  # of the pod
    router_follows = True
    soon_s, request_timeout_ms = 20.0, 30_000  # a pod starts in two seconds, or in ten
    connections = 10  # for a moment kube-proxy still sends some to a pod that has gone

    @property
    def runtime_image(self) -> str:
        return runtime_image()

    @classmethod
    def open(cls, folder: Path) -> KubernetesPlatform:
        return KubernetesPlatform("kubernetes")

    def __init__(self, platform, folder: Path, workspace: str) -> None:
        super().__init__(platform, folder, workspace)
        self._others: list[KubernetesPlatform] = []

    def measure(self) -> None:
        with Api(Path(KUBECONFIG)) as api:
            metrics.provide(api)

    def another(self) -> Engine:
        self._others.append(self.open(self.folder))
        return Engine(WatchedPlatform(self._others[-1]))

    def close(self) -> None:
        super().close()
        for other in self._others:
            other.close()

    def end(self, *names: str) -> None:
        for name in names:
            self.platform.client.delete(POD, self.workspace, name)

    @property
    def router_url(self) -> str:
        service = self.platform.client.get(SERVICE, self.workspace, ROUTER_NAME)
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def _touch(self, path: Path) -> None:
        self._told({"x-touch": str(path)})

    def _is_there(self, path: Path) -> bool:
        return 200 in self._told({"x-exists": str(path)})

    def _told(self, headers: dict[str, str]) -> list[int]:
        """Send a request to each pod, past the router, which a policy of the lab allows."""
        about = {"name": "lab", "namespace": self.workspace}
        spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
        policy = {"apiVersion": POLICY.api, "kind": POLICY.name, "metadata": about, "spec": spec}
        self.platform.client.apply(policy)
        chosen = selector(selecting(self.workspace, INSTANCE))
        pods = self.platform.client.items(POD, self.workspace, chosen)  # those that end, too
        transport = httpx.HTTPTransport(retries=6)  # the policy is in force in a second or two
        answers = []
        with httpx.Client(transport=transport, trust_env=False) as client:
            for pod in filter(address_of, pods):
                try:
                    url = f"http://{address_of(pod)}:{INSTANCE_PORT}/"
                    answers.append(client.get(url, headers=headers).status_code)
                except httpx.TransportError:
                    if not is_ending(pod):
                        raise
        return answers
