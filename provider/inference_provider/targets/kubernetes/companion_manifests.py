"""What a process beside the router of a cluster is made of. Pure.

It is one pod of a Deployment of its own, which runs the router's image and is a client of the
workspace. It may do what its Role says, and its kubelet asks it how it is.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    POLICY,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from inference_provider.targets.kubernetes.pods import (
    hardened_container,
    hardened_pod,
    node_selector,
    pull_secrets,
)
from inference_provider.targets.kubernetes.router_manifests import POD_IP, RouterSettings

LOST_S = 30
"""Time after which another one starts where its node is lost, and not five minutes: should that one
still run, each step is made once all the same."""


class Right(NamedTuple):
    """What it may do with one kind of object."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Of which objects alone; empty for all of the namespace."""

    @property
    def rule(self) -> Object:
        """The rule of a Role."""
        found = {"apiGroups": [self.group], "resources": [self.resource], "verbs": [*self.verbs]}
        return {**found, **({"resourceNames": [*self.names]} if self.names else {})}


class CompanionObjects:
    """Makes the objects of one of them.

    Args:
        workspace: Name of the workspace.
        namespace: Where it is.
        router: What is chosen of its router, whose image it runs.
        role: Its role.
        name: What all of its objects are called.
    """

    def __init__(
        self, workspace: str, namespace: str, router: RouterSettings, role: str, name: str
    ) -> None:
        self._namespace = namespace
        self._router = router
        self._role, self._name = role, name
        self._labels = names.labels(workspace, role)
        self.chosen = names.selecting(workspace, role)
        """The labels by which its pods are found."""

    def object(self, kind: Kind, **content: Any) -> Object:
        about = {"name": self._name, "namespace": self._namespace, "labels": self._labels}
        return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, **content}

    def rights(self, rights: Iterable[Right]) -> tuple[Object, ...]:
        """Return its account, and what that may do: deployer-role.yaml must have all of it."""
        known = {"name": self._name}
        subject = {"kind": SERVICE_ACCOUNT.name, **known, "namespace": self._namespace}
        role = {"apiGroup": ROLE.api.partition("/")[0], "kind": ROLE.name, **known}
        return (
            self.object(SERVICE_ACCOUNT, automountServiceAccountToken=False),
            self.object(ROLE, rules=[one.rule for one in rights]),
            self.object(ROLE_BINDING, roleRef=role, subjects=[subject]),
        )

    def policy(self, *ports: int) -> Object:
        """Let everybody in to some ports of it, and to no other; its kubelet reaches any.

        Where it may go is left open: no policy can name the API server but by its addresses.
        """
        spec = {"podSelector": {"matchLabels": self.chosen}, "policyTypes": ["Ingress"]}
        open_ = [{"port": port, "protocol": "TCP"} for port in ports]
        return self.object(
            POLICY, spec={**spec, **({"ingress": [{"ports": open_}]} if open_ else {})}
        )

    def deployment(self, strategy: Object, pod: Object) -> Object:
        """Return what keeps one pod of it."""
        spec = {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": strategy,
            "selector": {"matchLabels": self.chosen},
            "template": {"metadata": {"labels": self._labels}, "spec": pod},
        }
        return self.object(DEPLOYMENT, spec=spec)

    def pod(self, container: Object, end_s: int) -> Object:
        """Return a pod that is given so many seconds to end."""
        return {
            "serviceAccountName": self._name,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "securityContext": hardened_pod(),
            "terminationGracePeriodSeconds": end_s,
            "tolerations": [_for_a_while(what) for what in ("not-ready", "unreachable")],
            **pull_secrets(self._router.pull_secrets),
            **node_selector(self._router.image),
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        }

    def container(self, command: Sequence[str], **ports: int) -> Object:
        """Return its container, which answers the kubelet too.

        Args:
            command: Module, and arguments.
            ports: Those that it is reached by.
        """
        given = {"probes": names.PROBES_PORT, **ports}
        address = {"fieldRef": {"fieldPath": "status.podIP"}}
        return {
            "name": self._role,
            "image": self._router.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-m", *command],
            "env": [{"name": POD_IP, "valueFrom": address}],
            "ports": [
                {"name": name, "containerPort": port, "protocol": "TCP"}
                for name, port in given.items()
            ],
            "readinessProbe": _probe("/ready", periodSeconds=2, failureThreshold=5),
            "livenessProbe": _probe("/live", periodSeconds=10, failureThreshold=6),
            "resources": {
                "requests": {"cpu": "20m", "memory": "128Mi"},
                "limits": {"memory": "512Mi"},
            },
            "securityContext": hardened_container(),
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }


def _for_a_while(what: str) -> Object:
    """Return how long it stays on a node that is lost: there is no other pod of it meanwhile."""
    key = f"node.kubernetes.io/{what}"
    return {
        "key": key,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": LOST_S,
    }


def _probe(path: str, **times: int) -> Object:
    route = {"path": path, "port": names.PROBES_PORT, "scheme": "HTTP"}
    return {"httpGet": route, "timeoutSeconds": 5, "successThreshold": 1, **times}
