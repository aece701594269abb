"""What the router of a workspace is made of in a cluster. Pure.

It reads Secrets and EndpointSlices of its namespace and may do nothing else. Any pod of it is as
good as another: requests are split over them by a Service.
"""

from typing import Any, Literal

from inference_provider.observed import Frozen
from inference_provider.serving.image import ROUTER_FOLDER
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.sources import meant_by
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.exposure import Exposure
from inference_provider.targets.kubernetes.objects import (
    BUDGET,
    DEPLOYMENT,
    POLICY,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from inference_provider.targets.kubernetes.pods import (
    PREFERRED_GRACE_S,
    hardened_container,
    hardened_pod,
    node_selector,
    pull_secrets,
)
from inference_provider.targets.kubernetes.question_pass import TYPE as PASS

ServiceType = Literal["ClusterIP", "LoadBalancer", "NodePort"]
PAGE = "metrics-page"
"""Name of the port with the page of metrics."""
METRICS_NAME = f"{names.ROUTER_NAME}-metrics"
_SYNC = "inference_provider.targets.kubernetes.sync"
DRAIN_S = 185
"""Longest wait for the last request of a pod that ends: the longest timeout, and a little."""
LAST_CALLS_S = 10
"""Longest wait after that for who sends logs to fetch what was written of its calls."""
WORKSPACE, WORKERS, POD_IP = "INFERENCE_WORKSPACE", "INFERENCE_ROUTER_WORKERS", "POD_IP"
METRICS_PORT = "INFERENCE_METRICS_PORT"
"""Variables that a pod is given."""
_END_S = 15
"""Time that Envoy has to end after that."""


class RouterSettings(Frozen):
    """What is chosen about the router of a workspace."""

    image: str
    """The runtime image, which every node can pull."""
    service: ServiceType = "ClusterIP"
    exposure: Exposure = Exposure()
    shows_callers: bool = False
    """Whether pods see the addresses of those who call from outside the cluster. A node without one
    of them answers nobody then."""
    source_ranges: tuple[str, ...] = ()
    """Who may connect: a load balancer lets in nobody else."""
    forward_proxy: bool = False
    """Whether instances have no other way out than by it."""
    metrics_port: int | None = None
    """Port of each pod that has a page of metrics; None for no page."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets with the credentials of registries."""
    port: int = names.ROUTER_PORT
    """Of the Service; pods listen on a port of their own."""
    replicas: int = 2
    workers: int = 2
    """Envoy's worker threads."""
    cpu: str = "100m"
    memory: str = "256Mi"
    memory_limit: str = "2Gi"
    """Of Envoy and the process beside it; with 5,000 endpoints they use 1 GiB."""


def settings_of(spec: WorkspaceSpec) -> RouterSettings:
    """Return what a workspace, whose image is known, chooses."""
    router = spec.cluster.router
    # of those who connect: behind proxies the router alone knows who calls them
    connecting = spec.trusted_proxies or spec.allowed_source_ranges
    return RouterSettings(
        forward_proxy=spec.egress == "disabled",
        image=spec.runtime_image or "",
        port=spec.router_port or names.ROUTER_PORT,
        service=router.service,
        replicas=router.replicas,
        exposure=Exposure(ingress=router.ingress, gateway=router.gateway),
        shows_callers=bool(connecting),
        source_ranges=connecting,
        metrics_port=spec.metrics.port if spec.metrics else None,
        pull_secrets=spec.cluster.image_pull_secrets,
    )


def router_objects(workspace: str, namespace: str, settings: RouterSettings) -> tuple[Object, ...]:
    """Return the objects of a router, in the order in which they are applied.

    Args:
        workspace: Its name.
        namespace: Where it is.
        settings: What is chosen.
    """
    made = _Router(workspace, namespace, settings)
    return (
        *made.rights(),
        made.questions(),
        made.policy(),
        made.service(),
        made.metrics(),
        *made.egress(),
        made.budget(),
        made.deployment(),
        *settings.exposure.objects(workspace, namespace, settings.port),
    )


def egress_service(namespace: str) -> Object:
    """Return the Service of the forward proxy, as far as it takes to find it."""
    about = {"name": names.EGRESS_NAME, "namespace": namespace}
    return {"apiVersion": SERVICE.api, "kind": SERVICE.name, "metadata": about}


class _Router:
    def __init__(self, workspace: str, namespace: str, settings: RouterSettings) -> None:
        self._workspace = workspace
        self._namespace = namespace
        self._settings = settings
        self._chosen = names.selecting(workspace, names.ROUTER)

    def _object(self, kind: Kind, name: str = names.ROUTER_NAME, **content: Any) -> Object:
        labels = names.labels(self._workspace, names.ROUTER)
        about = {"name": name, "namespace": self._namespace, "labels": labels}
        return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, **content}

    def rights(self) -> tuple[Object, ...]:
        read = ["list", "watch"]
        slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read}
        rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": read}, slices]
        subject = {
            "kind": SERVICE_ACCOUNT.name,
            "name": names.ROUTER_NAME,
            "namespace": self._namespace,
        }
        role = {
            "apiGroup": ROLE.api.partition("/")[0],
            "kind": ROLE.name,
            "name": names.ROUTER_NAME,
        }
        return (
            self._object(SERVICE_ACCOUNT, automountServiceAccountToken=False),
            self._object(ROLE, rules=rules),
            self._object(ROLE_BINDING, roleRef=role, subjects=[subject]),
        )

    def questions(self) -> Object:
        """Return the Secret by which clients may ask its pods, without what is in it."""
        return self._object(SECRET, names.QUESTIONS_NAME, type=PASS)

    def policy(self) -> Object:
        """Return who may reach it: everybody, but on its own ports alone."""
        ports = [{"port": number, "protocol": "TCP"} for number in self._ports().values()]
        closed = {**names.selecting(self._workspace, names.INSTANCE), names.EGRESS: names.CLOSED}
        instances = {
            "from": [{"podSelector": {"matchLabels": closed}}],
            "ports": [{"port": names.EGRESS_PORT, "protocol": "TCP"}],
        }
        more = [instances] if self._settings.forward_proxy else []
        return self._object(
            POLICY,
            spec={
                "podSelector": {"matchLabels": self._chosen},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": ports}, *more],
            },
        )

    def service(self) -> Object:
        port = {**_port("http", names.ROUTER_PORT), "port": self._settings.port}
        spec = {"type": self._settings.service, "selector": self._chosen, "ports": [port]}
        return self._object(SERVICE, spec={**spec, **self._callers()})

    def _callers(self) -> Object:
        """Return what a Service does with the addresses of those outside; inside it keeps them."""
        settings = self._settings
        if settings.service == "ClusterIP":
            return {}
        found: Object = {"externalTrafficPolicy": "Local"} if settings.shows_callers else {}
        if settings.service == "LoadBalancer" and settings.source_ranges:
            ranges = [str(meant_by(one)) for one in settings.source_ranges]
            found["loadBalancerSourceRanges"] = ranges
        return found

    def metrics(self) -> Object:
        """Return the Service by whose name every pod is found, each with its own numbers."""
        ports = [_port("metrics", names.METRICS_PORT)]
        if page := self._settings.metrics_port:
            ports.append(_port(PAGE, page))
        spec = {"clusterIP": "None", "selector": self._chosen, "ports": ports}
        return self._object(SERVICE, METRICS_NAME, spec=spec)

    def egress(self) -> tuple[Object, ...]:
        """Return the Service whose address instances without a name server know."""
        if not self._settings.forward_proxy:
            return ()
        spec = {
            "type": "ClusterIP",
            "selector": self._chosen,
            "ports": [_port("egress", names.EGRESS_PORT)],
        }
        return (self._object(SERVICE, names.EGRESS_NAME, spec=spec),)

    def budget(self) -> Object:
        """At most one at a time is evicted; where it is the only one, a node is emptied too."""
        chosen = {"matchLabels": self._chosen}
        return self._object(BUDGET, spec={"maxUnavailable": 1, "selector": chosen})

    def deployment(self) -> Object:
        labels = names.labels(self._workspace, names.ROUTER)
        about = {"labels": labels, **self._found_by_prometheus()}
        template = {"metadata": about, "spec": self._pod()}
        return self._object(
            DEPLOYMENT,
            spec={
                "replicas": self._settings.replicas,
                "revisionHistoryLimit": 2,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                },
                "selector": {"matchLabels": self._chosen},
                "template": template,
            },
        )

    def _ports(self) -> dict[str, int]:
        """Return the ports that are reached, by name."""
        page = self._settings.metrics_port
        return {
            "http": names.ROUTER_PORT,
            "metrics": names.METRICS_PORT,
            "sync": names.SYNC_PORT,
            **({PAGE: page} if page else {}),
        }

    def _found_by_prometheus(self) -> Object:
        """Return the annotations by which the usual configuration of a Prometheus finds pods."""
        page = self._settings.metrics_port
        found = {"scrape": "true", "port": str(page), "path": "/metrics", "scheme": "http"}
        named = {f"prometheus.io/{name}": value for name, value in found.items()}
        return {"annotations": named} if page else {}

    def _pod(self) -> Object:
        spread = {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": self._chosen},
        }
        return {
            "serviceAccountName": names.ROUTER_NAME,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "securityContext": hardened_pod(),
            "terminationGracePeriodSeconds": PREFERRED_GRACE_S + DRAIN_S + _END_S + LAST_CALLS_S,
            "topologySpreadConstraints": [spread],
            **pull_secrets(self._settings.pull_secrets),
            **node_selector(self._settings.image),
            "containers": [self._container()],
            "volumes": [
                # keys are in its files, and belong on no disk
                {"name": "router", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            ],
        }

    def _container(self) -> Object:
        settings = self._settings
        variables: dict[str, Object] = {
            WORKSPACE: {"value": self._workspace},
            WORKERS: {"value": str(settings.workers)},
            POD_IP: {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        }
        if settings.metrics_port:
            variables[METRICS_PORT] = {"value": str(settings.metrics_port)}
        requests = {"cpu": settings.cpu, "memory": settings.memory}
        return {
            "name": names.ROUTER,
            "image": settings.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-m", _SYNC],
            "env": [{"name": name, **value} for name, value in variables.items()],
            "ports": [
                {"name": name, "containerPort": number, "protocol": "TCP"}
                for name, number in self._ports().items()
            ],
            "readinessProbe": _probe("/ready", periodSeconds=1, failureThreshold=3),
            "livenessProbe": _probe("/live", periodSeconds=10, failureThreshold=6),
            "lifecycle": {"preStop": {"sleep": {"seconds": PREFERRED_GRACE_S}}},
            "resources": {"requests": requests, "limits": {"memory": settings.memory_limit}},
            "securityContext": hardened_container(),
            "volumeMounts": [
                {"name": "router", "mountPath": ROUTER_FOLDER},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}


def _probe(path: str, **times: int) -> Object:
    route = {"path": path, "port": names.SYNC_PORT, "scheme": "HTTP"}
    return {"httpGet": route, "timeoutSeconds": 5, "successThreshold": 1, **times}
