"""What Kubernetes does by itself to the objects of an API server in memory: pods come and go."""

import threading

from tests.cluster_api import ClusterApi

NAMESPACE = "/api/v1/namespaces/lab"
DEPLOYMENTS = "/apis/apps/v1/namespaces/lab/deployments"
READY = {"type": "Ready", "status": "True"}


class Controllers:
    """Makes a pod of each Deployment, as Kubernetes does; a test says what becomes of them."""

    def __init__(self, api: ClusterApi) -> None:
        self.api = api
        self.status: dict = {"phase": "Running", "podIP": "10.0.0.7", "conditions": [READY]}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_fault):
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            for path, one in list(self.api.objects.items()):
                if one["kind"] == "Deployment":
                    self._follow(path, one)
            for path, one in list(self.api.objects.items()):
                owner = one["metadata"]["name"].rpartition("-")[0]
                if one["kind"] == "Pod" and f"{DEPLOYMENTS}/{owner}" not in self.api.objects:
                    self.api.drop(path)

    def _follow(self, path: str, one: dict) -> None:
        count = one["spec"]["replicas"]
        if one.get("status", {}).get("replicas") == count:
            return
        name = one["metadata"]["name"]
        for number in range(max(count, 3)):
            pod = f"{NAMESPACE}/pods/{name}-{number}"
            if number < count:
                template = one["spec"]["template"]
                about = {"name": f"{name}-{number}", "namespace": "lab", **template["metadata"]}
                body = {"kind": "Pod", "metadata": about, "spec": template["spec"]}
                self.api.put(pod, {**body, "status": self.status})
            elif pod in self.api.objects:
                self.api.drop(pod)
        done = {"observedGeneration": 1, "replicas": count, "updatedReplicas": count}
        about = {**one["metadata"], "generation": 1}
        self.api.put(path, {**one, "metadata": about, "status": done})
