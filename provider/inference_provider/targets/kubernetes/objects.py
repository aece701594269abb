"""Kubernetes objects as dictionaries: which there are, where the API has them, how they are named.

An object is what a person would write in YAML. Only the kinds that this target uses are known.
"""

from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]


class Kind(NamedTuple):
    """One kind of object."""

    api: str
    """Its `apiVersion`."""
    name: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return where the API has one object; without a name, all of a namespace; else all."""
        group = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{group}{inside}/{self.plural}" + (f"/{name}" if name else "")

    @property
    def resource(self) -> str:
        """What a Role calls it: `deployments.apps`."""
        group = self.api.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural


NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
NODE = Kind("v1", "Node", "nodes", namespaced=False)
POD = Kind("v1", "Pod", "pods")
POD_METRICS = Kind("metrics.k8s.io/v1beta1", "PodMetrics", "pods")
EVENT = Kind("v1", "Event", "events")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
LEADER_WORKER_SET = Kind("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderworkersets")
QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
LIMITS = Kind("v1", "LimitRange", "limitranges")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")
BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
INGRESS_CLASS = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
STORAGE_CLASS = Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False)
PRIORITY_CLASS = Kind("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False)
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
DEVICE_CLASS = Kind("resource.k8s.io/v1", "DeviceClass", "deviceclasses", namespaced=False)
DEVICE_SLICE = Kind("resource.k8s.io/v1", "ResourceSlice", "resourceslices", namespaced=False)
DEVICE_CLAIM = Kind("resource.k8s.io/v1", "ResourceClaim", "resourceclaims")
CLAIM_TEMPLATE = Kind("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates")
ACCESS_REVIEW = Kind(
    "authorization.k8s.io/v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
)

_KNOWN = {
    (kind.api, kind.name): kind for kind in list(globals().values()) if isinstance(kind, Kind)
}


def kind_of(one: Mapping[str, Any]) -> Kind:
    """Return the kind of an object."""
    return _KNOWN[one["apiVersion"], one["kind"]]


def name_of(one: Mapping[str, Any]) -> str:
    return str(one["metadata"]["name"])


def labels_of(one: Mapping[str, Any]) -> Mapping[str, str]:
    return one["metadata"].get("labels") or {}


def annotations_of(one: Mapping[str, Any]) -> Mapping[str, str]:
    return one["metadata"].get("annotations") or {}


def version_of(one: Mapping[str, Any]) -> str:
    """Return the version that the API gave an object, or a list; it changes with every write."""
    return str(one["metadata"]["resourceVersion"])


def selector(labels: Mapping[str, str | Collection[str]]) -> str:
    """Write a selection by labels as the API takes it; of several values, each will do."""
    return ",".join(
        f"{name}={wanted}" if isinstance(wanted, str) else f"{name} in ({','.join(wanted)})"
        for name, wanted in labels.items()
    )


def encoded(data: Mapping[str, str]) -> dict[str, str]:
    """Return the data of a Secret as the API takes it."""
    return {name: b64encode(value.encode()).decode() for name, value in sorted(data.items())}


def decoded(data: Mapping[str, str]) -> dict[str, str]:
    """Return the texts in the data of a Secret."""
    return {name: b64decode(value).decode(errors="replace") for name, value in data.items()}
