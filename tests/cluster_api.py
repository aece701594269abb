"""An API server in memory: objects with versions, lists, watches, conflicts. No admission, no RBAC.

It answers what `targets/kubernetes/client.py` asks, so the client itself is tested with it. A test
makes a request fail by `refuse`.
"""

import itertools
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import httpx

from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kubeconfig import Access

Object = dict[str, Any]


def client_of(api: "ClusterApi") -> Client:
    access = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "token")
    return Client(access, transport=httpx.MockTransport(api.answer))


class ClusterApi:
    """The objects of one cluster, by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[str] = []
        """Method and path of each, oldest first."""
        self.refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _asked: None
        """Returns the answer to a request that fails; None lets it through. Raises to break it."""
        self.break_watch: Callable[[], None] = lambda: None
        """Called before each event of a watch; raises to break the connection."""
        self.watch_s = 0.2
        """How long a watch stays open."""
        self.ahead_s = 0.0
        """How far the server's clock has moved."""
        self.groups: tuple[str, ...] = ("apps",)
        """Which groups it has."""
        self.logs: dict[str, str] = {}
        """Log of each pod."""
        self.events: list[tuple[int, str, Object]] = []
        """Version, type and object of each change."""
        self._versions = itertools.count(1)
        self._version = 0
        self._changing = threading.Condition(threading.RLock())

    # -- requests ------------------------------------------------------------------------------

    def answer(self, asked: httpx.Request) -> httpx.Response:
        self.requests.append(f"{asked.method} {asked.url.path}")
        refused = self.refuse(asked)
        if refused is not None:
            return refused
        with self._changing:
            if asked.url.params.get("watch"):
                return self._watched(asked)
            found = getattr(self, f"_{asked.method.lower()}")(asked)
        found.headers["date"] = formatdate(time.time() + self.ahead_s, usegmt=True)
        return found

    def _get(self, asked: httpx.Request) -> httpx.Response:
        path = asked.url.path
        if path in self.objects:
            return httpx.Response(200, json=self.objects[path])
        if path == "/apis":
            groups = [
                {"name": name, "preferredVersion": {"groupVersion": f"{name}/v1"}}
                for name in self.groups
            ]
            return httpx.Response(200, json={"groups": groups})
        if path.endswith("/log"):
            return httpx.Response(200, text=self.logs.get(path.split("/")[-2], ""))
        if path.rpartition("/")[2] in _PLURALS:
            return self._list(path, asked.url.params)
        return failure(404, "not found")

    def _list(self, path: str, params: httpx.QueryParams) -> httpx.Response:
        chosen = params.get("labelSelector") or ""
        fields = params.get("fieldSelector") or ""
        there = (one for _, one in sorted(self._under(path)) if _has(one, chosen))
        found = [one for one in there if _has_fields(one, fields)]
        left_out = ("apiVersion", "kind")  # as the real one does
        items = [{n: v for n, v in one.items() if n not in left_out} for one in found]
        about = {"resourceVersion": str(self._version)}
        return httpx.Response(200, json={"kind": "List", "metadata": about, "items": items})

    def _under(self, path: str) -> Iterator[tuple[str, Object]]:
        plural = path.rpartition("/")[2]
        for there, one in list(self.objects.items()):
            parent = there.rpartition("/")[0]
            everywhere = "/namespaces/" not in path and parent.endswith(f"/{plural}")
            if parent == path or everywhere:
                yield there, one

    def _post(self, asked: httpx.Request) -> httpx.Response:
        one = json.loads(asked.content)
        path = f"{asked.url.path}/{one['metadata']['name']}"
        if path in self.objects:
            return failure(409, "already exists")
        return httpx.Response(201, json=self._stored(path, one, "ADDED"))

    def _put(self, asked: httpx.Request) -> httpx.Response:
        one, there = json.loads(asked.content), self.objects.get(asked.url.path)
        if there is None:
            return failure(404, "not found")
        version = one["metadata"].get("resourceVersion")
        if version and version != there["metadata"]["resourceVersion"]:
            return failure(409, "the object has been modified")
        return httpx.Response(200, json=self._stored(asked.url.path, one, "MODIFIED"))

    def _patch(self, asked: httpx.Request) -> httpx.Response:
        change, path = json.loads(asked.content), asked.url.path
        there = self.objects.get(path)
        applied = "apply" in asked.headers["content-type"]
        if there is None and not applied:
            return failure(404, "not found")
        uid = change.get("metadata", {}).get("uid")
        if there is not None and uid and uid != there["metadata"]["uid"]:
            return failure(409, "the uid is another one")
        merged = _merged(there or {}, change)
        return httpx.Response(200, json=self._stored(path, merged, "MODIFIED"))

    def _delete(self, asked: httpx.Request) -> httpx.Response:
        path, given = asked.url.path, json.loads(asked.content or b"{}")
        if path.rpartition("/")[2] in _PLURALS:
            chosen = asked.url.params.get("labelSelector") or ""
            for found, one in list(self._under(path)):
                if _has(one, chosen):
                    self._dropped(found)
            return httpx.Response(200, json={"kind": "Status"})
        there = self.objects.get(path)
        if there is None:
            return failure(404, "not found")
        for name, wanted in (given.get("preconditions") or {}).items():
            if there["metadata"][name] != wanted:
                return failure(409, f"the {name} is another one")
        self._dropped(path)
        return httpx.Response(200, json={"kind": "Status"})

    # -- objects -------------------------------------------------------------------------------

    def put(self, path: str, one: Object) -> Object:
        """Write an object as somebody else does."""
        with self._changing:
            return self._stored(path, one, "MODIFIED" if path in self.objects else "ADDED")

    def update(self, path: str, seen: Object, one: Object) -> bool:
        """Write an object as who has read it before does; return False if it was changed since."""
        with self._changing:
            if self.objects.get(path) is not seen:
                return False
            self._stored(path, one, "MODIFIED")
            return True

    def drop(self, path: str) -> None:
        """Remove an object as somebody else does."""
        with self._changing:
            self._dropped(path)

    def _stored(self, path: str, one: Object, type_: str) -> Object:
        self._version = next(self._versions)
        before = self.objects.get(path, {})
        there, changed = before.get("metadata", {}), before.get("spec") != one.get("spec")
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.ahead_s))
        about = {
            **{name: value for name, value in one["metadata"].items() if value != {}},
            "uid": there.get("uid") or f"uid-{self._version}",
            "resourceVersion": str(self._version),
            "generation": there.get("generation", 0) + changed,
            "managedFields": [{"manager": "pulumi-inference", "time": stamp}],
        }
        self.objects[path] = {**one, "metadata": about}
        self._tell(type_, self.objects[path])
        return self.objects[path]

    def _dropped(self, path: str) -> None:
        self._version = next(self._versions)
        there = self.objects.pop(path)
        about = {**there["metadata"], "resourceVersion": str(self._version)}
        self._tell("DELETED", {**there, "metadata": about})

    # -- watches -------------------------------------------------------------------------------

    def _tell(self, type_: str, one: Object) -> None:
        self.events.append((self._version, type_, one))
        self._changing.notify_all()

    def _watched(self, asked: httpx.Request) -> httpx.Response:
        """Answer with what changes, and end after a while: the client begins again."""
        since, chosen = int(asked.url.params["resourceVersion"]), asked.url.params["labelSelector"]
        plural = asked.url.path.rpartition("/")[2]

        def lines() -> Iterator[bytes]:
            at, until = since, time.monotonic() + self.watch_s
            while (left_s := until - time.monotonic()) > 0:
                with self._changing:
                    self._changing.wait_for(lambda: self._version > at, timeout=left_s)  # noqa: B023
                    found = [
                        json.dumps({"type": type_, "object": one})
                        for version, type_, one in self.events
                        if version > at and _PLURALS[plural] == one["kind"] and _has(one, chosen)
                    ]
                    at = self._version
                for line in found:
                    self.break_watch()
                    yield f"{line}\n".encode()

        return httpx.Response(200, content=lines())


def _has_fields(one: Object, selector: str) -> bool:
    """Whether an object has the values that a selector of fields names: `metadata.name=iris`."""
    for field, _, wanted in (part.partition("=") for part in filter(None, selector.split(","))):
        found: Any = one
        for name in field.split("."):
            found = found.get(name, {})
        if found != wanted:
            return False
    return True


_PLURALS = {
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "leases": "Lease",
    "nodes": "Node",
    "pods": "Pod",
    "events": "Event",
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "leaderworkersets": "LeaderWorkerSet",
    "services": "Service",
    "poddisruptionbudgets": "PodDisruptionBudget",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "scaledobjects": "ScaledObject",
    "endpointslices": "EndpointSlice",
    "networkpolicies": "NetworkPolicy",
    "ingresses": "Ingress",
    "ingressclasses": "IngressClass",
    "httproutes": "HTTPRoute",
    "namespaces": "Namespace",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "roles": "Role",
    "rolebindings": "RoleBinding",
    "serviceaccounts": "ServiceAccount",
    "resourcequotas": "ResourceQuota",
    "limitranges": "LimitRange",
    "priorityclasses": "PriorityClass",
    "runtimeclasses": "RuntimeClass",
    "deviceclasses": "DeviceClass",
    "resourceslices": "ResourceSlice",
    "resourceclaims": "ResourceClaim",
    "resourceclaimtemplates": "ResourceClaimTemplate",
}


def failure(status: int, message: str) -> httpx.Response:
    """Return how the API server itself refuses something."""
    return httpx.Response(status, json={"kind": "Status", "code": status, "message": message})


def _has(one: Object, chosen: str) -> bool:
    labels = one["metadata"].get("labels") or {}
    if chosen.startswith("!"):
        return chosen[1:] not in labels
    parts = re.findall(r"([^ =,]+)(?:=([^,]*)| in \(([^)]*)\))", chosen)
    return all(labels.get(name) in [value, *several.split(",")] for name, value, several in parts)


def _merged(there: Any, change: Any) -> Any:
    if not isinstance(there, dict) or not isinstance(change, dict):
        return change
    found = dict(there)
    for name, value in change.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found
