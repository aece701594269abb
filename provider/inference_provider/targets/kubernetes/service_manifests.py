"""What the workspace service of a cluster is made of. Pure.

It is a client of the workspace that stays: one pod, which changes what a person could change by
`inferctl`, through the same records and locks. Nobody but the kubelet reaches it.
"""

from typing import Any

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

END_S = 30
"""Time that it has to end what it has begun: a change of a split takes a second or two."""
LOST_S = 30
"""Time after which another one starts where its node is lost, and not five minutes: should that one
still run, each step is made once all the same."""
_MODULE = "inference_provider.service"
_MAY: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("", "secrets", ("get", "list", "create", "update", "delete")),  # the records
    ("", "configmaps", ("list", "create", "patch", "delete")),  # the journal
    ("coordination.k8s.io", "leases", ("get", "create", "patch", "delete")),
    ("", "pods", ("list", "watch")),
    ("", "pods/proxy", ("get", "create")),  # questions to the router's pods
)


def service_objects(workspace: str, namespace: str, router: RouterSettings) -> tuple[Object, ...]:
    """Return the objects of a workspace service, in the order in which they are applied.

    Args:
        workspace: Name of the workspace.
        namespace: Where it is.
        router: What is chosen of its router, whose image it runs.
    """
    made = _Service(workspace, namespace, router)
    return (*made.rights(), made.policy(), made.deployment())


class _Service:
    def __init__(self, workspace: str, namespace: str, router: RouterSettings) -> None:
        self._workspace = workspace
        self._namespace = namespace
        self._router = router
        self._chosen = names.selecting(workspace, names.SERVICE)

    def _object(self, kind: Kind, **content: Any) -> Object:
        labels = names.labels(self._workspace, names.SERVICE)
        about = {"name": names.SERVICE_NAME, "namespace": self._namespace, "labels": labels}
        return {"apiVersion": kind.api, "kind": kind.name, "metadata": about, **content}

    def rights(self) -> tuple[Object, ...]:
        """Return its account, and what that may do: deployer-role.yaml has all of it."""
        rules: list[Object] = [
            {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
            for group, resource, verbs in _MAY
        ]
        rules.append(
            {
                "apiGroups": ["apps"],
                "resources": ["deployments"],
                "resourceNames": [names.ROUTER_NAME],  # why it has no pod
                "verbs": ["get"],
            }
        )
        known = {"name": names.SERVICE_NAME}
        subject = {"kind": SERVICE_ACCOUNT.name, **known, "namespace": self._namespace}
        role = {"apiGroup": ROLE.api.partition("/")[0], "kind": ROLE.name, **known}
        return (
            self._object(SERVICE_ACCOUNT, automountServiceAccountToken=False),
            self._object(ROLE, rules=rules),
            self._object(ROLE_BINDING, roleRef=role, subjects=[subject]),
        )

    def policy(self) -> Object:
        """Let nobody in; the kubelet of its node is let in to any pod.

        Where it may go is left open: no policy can name the API server but by its addresses.
        """
        spec = {"podSelector": {"matchLabels": self._chosen}, "policyTypes": ["Ingress"]}
        return self._object(POLICY, spec=spec)

    def deployment(self) -> Object:
        """One pod at a time: two would measure twice, though each change is made once."""
        labels = names.labels(self._workspace, names.SERVICE)
        spec = {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": self._chosen},
            "template": {"metadata": {"labels": labels}, "spec": self._pod()},
        }
        return self._object(DEPLOYMENT, spec=spec)

    def _pod(self) -> Object:
        return {
            "serviceAccountName": names.SERVICE_NAME,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "securityContext": hardened_pod(),
            "terminationGracePeriodSeconds": END_S,
            "tolerations": [_for_a_while(what) for what in ("not-ready", "unreachable")],
            **pull_secrets(self._router.pull_secrets),
            **node_selector(self._router.image),
            "containers": [self._container()],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        }

    def _container(self) -> Object:
        port = {"name": "probes", "containerPort": names.PROBES_PORT, "protocol": "TCP"}
        address = {"fieldRef": {"fieldPath": "status.podIP"}}
        return {
            "name": names.SERVICE,
            "image": self._router.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-m", _MODULE, "kubernetes", self._workspace],
            "env": [{"name": POD_IP, "valueFrom": address}],
            "ports": [port],
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
