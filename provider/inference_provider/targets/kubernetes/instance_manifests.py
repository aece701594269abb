"""One generation of a deployment -> the objects that run it. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from inference_provider.serving.command import InstanceCommand
from inference_provider.serving.server import Server, ServerKind
from inference_provider.spec.deployment import DeploymentSpec, Probe
from inference_provider.spec.gpus import gpu_request
from inference_provider.spec.quota import gpus_of
from inference_provider.spec.resources import Resources
from inference_provider.targets.kubernetes import groups, names
from inference_provider.targets.kubernetes.claims import CLAIMED, template_spec
from inference_provider.targets.kubernetes.inventory import PRODUCT_LABELS, WHOLE, resource_of
from inference_provider.targets.kubernetes.objects import (
    BUDGET,
    CLAIM_TEMPLATE,
    DEPLOYMENT,
    LEADER_WORKER_SET,
    POLICY,
    SECRET,
    SERVICE,
    Kind,
    Object,
    encoded,
)
from inference_provider.targets.kubernetes.pods import (
    PREFERRED_GRACE_S,
    hardened_container,
    hardened_pod,
    node_selector,
    pull_secrets,
)
from inference_provider.targets.kubernetes.workloads import COUNT, kind_for
from inference_provider.workspace.ports import Unit

SERVER = "server"
"""Name of the container that answers requests."""
OBJECTS = (BUDGET, SECRET, DEPLOYMENT, SERVICE)
"""Kinds of a generation's objects, all of one name, in the order in which they are deleted: the
Service, which is made first, tells a generation that somebody died over."""
_OF_GROUPS = (BUDGET, SECRET, POLICY, LEADER_WORKER_SET, SERVICE)
EVERY_OBJECT = tuple(dict.fromkeys((*_OF_GROUPS[:-1], *OBJECTS)))
"""Both, where it is not known which of the two a generation has."""
RESTARTED = f"{names.PREFIX}/restarted"
_SHARED_MEMORY = "2Gi"
"""Azure ML's own default; it counts as memory of the container, as far as it is used."""
_STOP_SLACK_S = 10
_TOPOLOGY = {"nodes": "kubernetes.io/hostname", "zones": "topology.kubernetes.io/zone"}


def objects_of(nodes: int) -> tuple[Kind, ...]:
    """Return the kinds of a generation's objects, as `OBJECTS`, by the nodes of an instance."""
    return OBJECTS if nodes == 1 else _OF_GROUPS


@dataclass(frozen=True)
class Given:
    """What content brings to the pods of an instance."""

    image: str
    bin_dir: PurePosixPath
    """Folder of the environment's programs."""
    code_dir: PurePosixPath | None = None
    model_dir: PurePosixPath | None = None
    init_containers: tuple[Object, ...] = ()
    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    """Of the server's container."""
    last_requests: tuple[str, ...] = ()
    """What waits for the last request of a pod (`last_requests.py`); empty where it has none."""
    installs: bool = False
    """Whether packages are installed in the pod, which needs a way out."""

    @property
    def images(self) -> tuple[str, ...]:
        """All that the pods of an instance pull."""
        return (self.image, *(str(one["image"]) for one in self.init_containers))


@dataclass(frozen=True)
class Generation:
    """One generation, and where it runs."""

    unit: Unit
    name: str
    """Of all its objects."""
    namespace: str
    server: Server
    command: InstanceCommand
    given: Given
    port: int
    count: int | None
    """None where others decide it."""
    restarted: str = ""
    """When its pods were last told to start again; empty for never."""
    labels: Mapping[str, str] = field(default_factory=dict)
    products: tuple[str, ...] = ()
    """GPU products that may be used, as nodes name them; any when empty."""

    account: str = ""
    """Service account as which its pods run; the namespace's own when empty."""
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    """What others ask of pods: the cloud, of those that call it."""
    pull_secrets: Sequence[str] = ()
    """Secrets with the credentials of registries."""
    content_host: str = ""
    """Address of what keeps content, for pods that may ask no name server."""

    @property
    def kind(self) -> Kind:
        """Of what makes its pods."""
        return kind_for(self.nodes)

    @property
    def nodes(self) -> int:
        """How many pods an instance is."""
        return self.unit.spec.nodes_per_instance

    def objects(self) -> tuple[Object, ...]:
        """Return them in the order in which they are applied."""
        before = (self._service(), self._secret(), self._budget(), *self._template())
        return (*before, *self._policy(), self.workload())

    def _object(self, kind: Kind, **content: Any) -> Object:
        about = {"name": self.name, "namespace": self.namespace, "labels": dict(self.labels)}
        return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, **content}

    @property
    def wanted(self) -> int:
        """How many pods are wanted at least."""
        return self.count or 0

    @property
    def longest_request_s(self) -> int:
        """Seconds that a request may take."""
        return math.ceil(self.unit.spec.request_settings.request_timeout_ms / 1000)

    @property
    def ends_within_s(self) -> int:
        """Seconds after which Kubernetes ends a pod by force."""
        return PREFERRED_GRACE_S + self.longest_request_s + _STOP_SLACK_S

    @property
    def _strategy(self) -> dict[str, int]:
        """How Kubernetes replaces pods within a generation."""
        without_room = self.unit.spec.surge == 0
        return {"maxSurge": 0 if without_room else 1, "maxUnavailable": 1 if without_room else 0}

    @property
    def _chosen(self) -> dict[str, str]:
        return {
            name: self.labels[name]
            for name in (names.ROLE, names.ENDPOINT, names.DEPLOYMENT, names.GENERATION)
        } | {names.OBJECT: self.name}

    @property
    def _answering(self) -> dict[str, str]:
        return self._chosen | (groups.LEADER if self.nodes > 1 else {})

    def _policy(self) -> list[Object]:
        if self.nodes == 1:
            return []
        return [self._object(POLICY, spec=groups.group_policy_spec(self._chosen))]

    def _secret(self) -> Object:
        found = {n: v.get_secret_value() for n, v in self.command.environment.items()}
        # the API server notes who has set a key of `data`, not of `stringData`
        return self._object(SECRET, type="Opaque", data=encoded(found))

    def _service(self) -> Object:
        port = {"name": "http", "port": self.port, "targetPort": self.port, "protocol": "TCP"}
        return self._object(
            SERVICE, spec={"clusterIP": "None", "selector": self._answering, "ports": [port]}
        )

    def _budget(self) -> Object:
        """At most one at a time is evicted: a node that is emptied must not wait for ever."""
        chosen = {"matchLabels": self._chosen}
        return self._object(BUDGET, spec={"maxUnavailable": 1, "selector": chosen})

    def _template(self) -> list[Object]:
        asked = gpus_of(self.unit.spec)
        if asked is None or not asked.device_class:
            return []
        labels = {**self.labels, names.OBJECT: self.name}
        return [self._object(CLAIM_TEMPLATE, spec=template_spec(asked, labels))]

    def _resource_claims(self) -> Object:
        if not self._template():
            return {}
        return {"resourceClaims": [{"name": CLAIMED, "resourceClaimTemplateName": self.name}]}

    def workload(self) -> Object:
        """Return what makes its pods."""
        noted = {RESTARTED: self.restarted} if self.restarted else {}
        template = {
            "metadata": {
                "labels": {**self.labels, names.OBJECT: self.name, **self.pod_labels},
                "annotations": {"kubectl.kubernetes.io/default-container": SERVER, **noted},
            },
            "spec": self._pod(),
        }
        count = {} if self.count is None else {COUNT: self.count}
        if self.nodes > 1:
            spec = groups.group_spec(self.nodes, template, self._strategy)
        else:
            spec = self._of_pods(template)
        return self._object(self.kind, spec={**count, **spec})

    def _of_pods(self, template: Object) -> Object:
        return {
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": max(600, 2 * self.unit.start_limit_s),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": self._strategy},
            "selector": {"matchLabels": self._chosen},
            "template": template,
        }

    def _pod(self) -> Object:
        spec, given = self.unit.spec, self.given
        shared = spec.resources.shm_size or _SHARED_MEMORY
        scratch: list[Object] = [
            {"name": "tmp", "emptyDir": {}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shared}},
        ]
        return {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # the pause process is the first: a server without a handler ignores SIGTERM as such
            "shareProcessNamespace": True,
            "securityContext": hardened_pod(),
            "terminationGracePeriodSeconds": self.ends_within_s,
            "initContainers": list(given.init_containers),
            "containers": [self._server()],
            "volumes": [*scratch, *given.volumes],
            **self._resource_claims(),
            **pull_secrets(self.pull_secrets),
            **self._known_hosts(),
            **self._placement(),
            **self._scheduling(),
        }

    def _scheduling(self) -> Object:
        asked = self.unit.spec.scheduling
        found = {
            "priorityClassName": asked.priority_class,
            "runtimeClassName": asked.runtime_class,
            "serviceAccountName": asked.service_account or self.account,
            **node_selector(*self.given.images, **asked.node_selector),
            "tolerations": self._tolerations(),
            "topologySpreadConstraints": self._spread(),
        }
        return {name: value for name, value in found.items() if value}

    def _tolerations(self) -> list[Object]:
        asked, gpus = self.unit.spec.scheduling.tolerations, gpus_of(self.unit.spec)
        own = [
            {
                "key": one.key,
                **({"operator": "Exists"} if one.value is None else {"value": one.value}),
                **({"effect": one.effect} if one.effect else {}),
            }
            for one in asked
        ]
        # a class does not say whose devices it has; a claim is what leads to their nodes
        keys = [] if gpus is None else WHOLE if gpus.device_class else [gpus.resource]
        taints = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]
        return [*taints, *own]

    def _spread(self) -> list[Object]:
        spread = self.unit.spec.scheduling.spread
        if spread is None:
            return []
        hint = {
            "maxSkew": 1,
            "topologyKey": _TOPOLOGY[spread],
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": self._chosen},
        }
        return [hint]

    def _known_hosts(self) -> Object:
        if not self.content_host:
            return {}
        return {"hostAliases": [{"ip": self.content_host, "hostnames": [names.CONTENT_NAME]}]}

    def _placement(self) -> Object:
        """Return on which nodes a pod with GPUs of a product runs."""
        if not self.products:
            return {}
        terms = [
            {"matchExpressions": [{"key": label, "operator": "In", "values": [*self.products]}]}
            for label in PRODUCT_LABELS
        ]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"affinity": {"nodeAffinity": required}}

    def _server(self) -> Object:
        spec, given = self.unit.spec, self.given
        brings_image = self.server.kind == ServerKind.IMAGE
        started: Object = {}
        if not brings_image:
            started = {
                "command": list(self.command.argv),
                "workingDir": self.command.directory,
            }
        mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"}]
        return {
            "name": SERVER,
            "image": given.image,
            **started,
            "envFrom": [{"secretRef": {"name": self.name}}],
            "ports": [{"name": "http", "containerPort": self.port, "protocol": "TCP"}],
            "resources": amounts(spec.resources),
            "securityContext": hardened_container(),
            "volumeMounts": [*mounts, *given.mounts],
            "lifecycle": {"preStop": self._before_stop()},
            **self._probes(spec),
        }

    def _before_stop(self) -> Object:
        """Return what comes before SIGTERM, after which many servers cut their requests."""
        if not self.given.last_requests:
            return {"sleep": {"seconds": PREFERRED_GRACE_S}}
        given = (self.port, PREFERRED_GRACE_S, self.longest_request_s)
        return {"exec": {"command": [*self.given.last_requests, *map(str, given)]}}

    def _probes(self, spec: DeploymentSpec) -> Object:
        """The start is asked every second; a route that answers then is asked as the spec says."""
        ready = _route(self.unit.readiness_path, self.port)
        live = _route(self.server.liveness_path, self.port)
        starting = {
            **ready,
            "periodSeconds": 1,
            "timeoutSeconds": spec.readiness_probe.timeout,
            "failureThreshold": max(1, self.unit.start_limit_s),
        }
        return {
            "startupProbe": starting,
            "readinessProbe": {**ready, **_times(spec.readiness_probe)},
            "livenessProbe": {**live, **_times(spec.liveness_probe), "successThreshold": 1},
        }


def _route(path: str, port: int) -> Object:
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}


def _times(probe: Probe) -> Object:
    """The initial delay is part of the time that a start may take."""
    return {
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }


def amounts(resources: Resources) -> Object:
    """Return what a container asks for and may use, as Kubernetes names it."""
    found: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for part, into in found.items():
        asked = getattr(resources, part)
        into.update({n: v for n in ("cpu", "memory") if (v := getattr(asked, n))})
    gpus = gpu_request(resources.model_dump())
    if gpus and gpus.device_class:
        return {"claims": [{"name": CLAIMED}], **{n: into for n, into in found.items() if into}}
    devices = {resource_of(gpus): str(gpus.each)} if gpus else {}
    for into in found.values():
        into.update(devices)
    return {name: into for name, into in found.items() if into}
