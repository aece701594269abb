"""What Kubernetes does by itself to the objects of an API server in memory: pods come and go."""

import itertools
import threading
from collections.abc import Callable

from inference_provider.targets.kubernetes.objects import CLAIM
from tests.cluster_api import ClusterApi

NAMESPACE = "/api/v1/namespaces/lab"
DEPLOYMENTS = "/apis/apps/v1/namespaces/lab/deployments"
GROUPS = "/apis/leaderworkerset.x-k8s.io/v1/namespaces/lab/leaderworkersets"
_SET, _GROUP, _WORKER = (
    f"leaderworkerset.sigs.k8s.io/{name}" for name in ("name", "group-index", "worker-index")
)
READY = {"type": "Ready", "status": "True"}


class Controllers:
    """Makes pods of each Deployment, as Kubernetes does; a test says what becomes of them.

    Of a LeaderWorkerSet it makes leaders in the same way, and workers with each.

    Another template replaces pods one by one, and the next only when the one before is ready.
    """

    def __init__(self, api: ClusterApi) -> None:
        self.api = api
        self.status_of: Callable[[dict], dict | None] = lambda _pod: None
        """Returns the status of a pod that has one of its own."""
        self.status: dict = {"phase": "Running", "podIP": "10.0.0.7", "conditions": [READY]}
        self._done: dict[str, tuple] = {}
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
                if one["kind"] in ("Deployment", "LeaderWorkerSet"):
                    self._follow(path, one)
            self._let_claims_go()
            for path, one in list(self.api.objects.items()):
                owner = one["metadata"]["name"].rpartition("-")[0]
                owner = one["metadata"].get("labels", {}).get(_SET, owner)
                owners = {f"{at}/{owner}" for at in (DEPLOYMENTS, GROUPS)}
                gone = not owners & self.api.objects.keys()
                if one["kind"] == "Pod" and gone and not _ends(one):
                    self.api.drop(path)

    def _let_claims_go(self) -> None:
        """Remove claims that somebody has deleted, once no Deployment of their name is there."""
        for path, one in list(self.api.objects.items()):
            ends = one["kind"] == CLAIM.name and "deletionTimestamp" in one["metadata"]
            if ends and f"{DEPLOYMENTS}/{one['metadata']['name']}" not in self.api.objects:
                self.api.drop(path)

    def _follow(self, path: str, one: dict) -> None:
        name, count, template = one["metadata"]["name"], one["spec"]["replicas"], _hash(one)
        asked = one["metadata"]["uid"], count, template
        if self._done.get(path) == asked:
            return
        there = self._pods(name)
        newest = [pod for pod, found in there.items() if found["metadata"]["hash"] == template]
        old = [pod for pod in there if pod not in newest]
        late = [pod for pod in newest if not _is_ready(there[pod])]
        if len(newest) < count and not (old and late):
            self._make(name, one, there)
        elif old and not late:
            self._drop(old[0])
        elif len(newest) > count:
            self._drop(newest[-1])
        there = self._pods(name)
        told = self._tell(path, one, there, template)
        if told and [found["metadata"]["hash"] for found in there.values()] == [template] * count:
            self._done[path] = asked

    def _pods(self, name: str) -> dict[str, dict]:
        start = f"{NAMESPACE}/pods/{name}-"
        return {
            path: one
            for path, one in list(self.api.objects.items())
            if path.startswith(start) and "hash" in one["metadata"] and not _ends(one)
        }

    def _is_whole(self, leader: str) -> bool:
        """Whether a pod is ready, and so are those that are made with it."""
        there = (one for path, one in list(self.api.objects.items()) if path.startswith(leader))
        return all(map(_is_ready, there))

    def _drop(self, leader: str) -> None:
        for path in [path for path in self.api.objects if path.startswith(f"{leader}-")]:
            self.api.drop(path)
        self.api.drop(leader)

    def _make(self, name: str, one: dict, there: dict[str, dict]) -> None:
        free = (n for n in itertools.count() if f"{NAMESPACE}/pods/{name}-{n}" not in there)
        called = f"{name}-{next(free)}"
        about = {"hash": _hash(one)}
        if one["kind"] == "Deployment":
            self._put(called, one["spec"]["template"], about)
            return
        made = one["spec"]["leaderWorkerTemplate"]
        group = {_SET: name, _GROUP: called.rpartition("-")[2]}
        self._put(called, made["leaderTemplate"], about, {**group, _WORKER: "0"})
        for n in range(1, made["size"]):
            self._put(f"{called}-{n}", made["workerTemplate"], {}, {**group, _WORKER: str(n)})

    def _put(self, called: str, template: dict, about: dict, labels: dict | None = None) -> None:
        about = {"name": called, "namespace": "lab", **about, **template["metadata"]}
        about["labels"] = {**about["labels"], **(labels or {})}
        pod = {"kind": "Pod", "metadata": about, "spec": template["spec"]}
        status = self.status_of(pod) or self.status
        self.api.put(f"{NAMESPACE}/pods/{called}", {**pod, "status": status})

    def _tell(self, path: str, one: dict, pods: dict[str, dict], template: str) -> bool:
        """Note how far it is; return whether that is noted, and of its newest version."""
        status = {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": sum(p["metadata"]["hash"] == template for p in pods.values()),
            "availableReplicas": sum(map(_is_ready, pods.values())),
            "readyReplicas": sum(map(self._is_whole, pods)),
        }
        return one.get("status") == status or self.api.update(path, one, {**one, "status": status})


def _hash(one: dict) -> str:
    return str(one["spec"].get("template") or one["spec"]["leaderWorkerTemplate"])


def _is_ready(pod: dict) -> bool:
    return READY in pod["status"].get("conditions", ())


def _ends(pod: dict) -> bool:
    """Whether a test has told it to end: it ends when that test says so."""
    return "deletionTimestamp" in pod["metadata"]
