"""How what is outside a cluster reaches a router: through an Ingress, or a Gateway. Pure.

Both are made by others, who own the addresses and certificates; this names the router to them.
"""

from inference_provider.observed import Frozen
from inference_provider.spec.cluster import ClusterGateway, ClusterIngress
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import HTTP_ROUTE, INGRESS, Kind, Object

_ALL = {"type": "PathPrefix", "value": "/"}


class Exposure(Frozen):
    """What is chosen about that; at most one of them."""

    ingress: ClusterIngress | None = None
    gateway: ClusterGateway | None = None

    @property
    def url(self) -> str:
        """Where the router is reached; empty where nothing exposes it."""
        if self.ingress:
            scheme = self.ingress.scheme or ("https" if self.ingress.tls_secret else "http")
            return f"{scheme}://{self.ingress.host}"
        return f"{self.gateway.scheme}://{self.gateway.hostnames[0]}" if self.gateway else ""

    def objects(self, workspace: str, namespace: str, port: int) -> tuple[Object, ...]:
        """Return what names the router's Service to those who expose it."""
        if self.ingress:
            return (_ingress(self.ingress, workspace, namespace, port),)
        return (_route(self.gateway, workspace, namespace, port),) if self.gateway else ()


EVERY_KIND = (INGRESS, HTTP_ROUTE)


def named(kind: Kind, workspace: str, namespace: str) -> Object:
    """Return an object of that kind, as far as it takes to find it."""
    labels = names.labels(workspace, names.ROUTER)
    about = {"name": names.ROUTER_NAME, "namespace": namespace, "labels": labels}
    return {"apiVersion": kind.api, "kind": kind.name, "metadata": about}


def _ingress(asked: ClusterIngress, workspace: str, namespace: str, port: int) -> Object:
    made = named(INGRESS, workspace, namespace)
    if asked.annotations:
        made["metadata"]["annotations"] = dict(asked.annotations)
    service = {"name": names.ROUTER_NAME, "port": {"number": port}}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": service}}
    spec: Object = {"rules": [{"host": asked.host, "http": {"paths": [path]}}]}
    if asked.class_name:
        spec["ingressClassName"] = asked.class_name
    if asked.tls_secret:
        spec["tls"] = [{"hosts": [asked.host], "secretName": asked.tls_secret}]
    return {**made, "spec": spec}


def _route(asked: ClusterGateway, workspace: str, namespace: str, port: int) -> Object:
    group = HTTP_ROUTE.api.partition("/")[0]
    parent = {"group": group, "kind": "Gateway", "name": asked.name}
    parent |= {"namespace": asked.namespace} if asked.namespace else {}
    parent |= {"sectionName": asked.section} if asked.section else {}
    service = {"group": "", "kind": "Service", "name": names.ROUTER_NAME, "port": port, "weight": 1}
    spec = {
        "parentRefs": [parent],
        "hostnames": list(asked.hostnames),
        "rules": [{"matches": [{"path": _ALL}], "backendRefs": [service]}],
    }
    return {**named(HTTP_ROUTE, workspace, namespace), "spec": spec}
