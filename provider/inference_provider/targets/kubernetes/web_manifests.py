"""What the workspace service over HTTP is made of in a cluster. Pure.

One pod gives tokens. Another one takes over before it ends, and both may answer meanwhile: who may
what, which tokens were taken back and which keys sign is in the records. Without the console it
reads these, and writes the journal and a Secret of its own.
"""

from inference_provider.spec.service import ServiceSettings
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.companion_manifests import CompanionObjects, Right
from inference_provider.targets.kubernetes.objects import SECRET, SERVICE, Object
from inference_provider.targets.kubernetes.pods import PREFERRED_GRACE_S
from inference_provider.targets.kubernetes.router_manifests import RouterSettings
from inference_provider.targets.kubernetes.service_manifests import PUBLISHES, ROUTER_MISSING
from inference_provider.targets.web_service import pages_of

KEPT = f"{names.PREFIX}/kept"
"""Type of the Secret in which it keeps keys of an identity provider: never that of a record, so who
may change this one changes no record."""
END_S = PREFERRED_GRACE_S + 15
"""Time that it has to end, until which it still answers for a while."""
_MODULE = "inference_provider.web"
_CONTENT = f"http:{names.CONTENT_NAME}:{names.CONTENT_PORT}"
_ROUTER_ADDRESS = Right("", "services", ("get",), (names.ROUTER_NAME,))
_KEEPS = Right("", "secrets", ("patch",), (names.WEB_NAME,))
"""What it takes to keep the keys of an identity provider."""
_GIVES: tuple[Right, ...] = (
    Right("", "secrets", ("get", "list")),  # the records
    _KEEPS,
    Right("", "configmaps", ("list", "create", "patch", "delete")),  # the journal
    _ROUTER_ADDRESS,
)
_SHOWS: tuple[Right, ...] = (
    *PUBLISHES,  # a split that somebody moves
    _KEEPS,
    ROUTER_MISSING,
    _ROUTER_ADDRESS,
    Right("", "services", ("list",)),
    Right("", "persistentvolumeclaims", ("list",)),
    Right("", "serviceaccounts", ("list",)),
    Right("", "pods/log", ("get",)),
    Right("", "services/proxy", ("get",), (_CONTENT,)),  # which content is there
    Right("apps", "deployments", ("list",)),
    Right("autoscaling", "horizontalpodautoscalers", ("list",)),
    Right("keda.sh", "scaledobjects", ("list",)),
    Right("leaderworkerset.x-k8s.io", "leaderworkersets", ("list",)),
    Right("policy", "poddisruptionbudgets", ("list",)),
    Right("networking.k8s.io", "networkpolicies", ("list",)),
    Right("networking.k8s.io", "ingresses", ("list",)),
    Right("gateway.networking.k8s.io", "httproutes", ("list",)),
    Right("resource.k8s.io", "resourceclaimtemplates", ("list",)),
    Right("rbac.authorization.k8s.io", "roles", ("list",)),
    Right("rbac.authorization.k8s.io", "rolebindings", ("list",)),
    Right("metrics.k8s.io", "pods", ("list",)),
)
"""What pages read of the cluster, and the change that they make."""


def hosts(namespace: str) -> tuple[str, ...]:
    """Return the names by which pods of the cluster reach it, the usual one first."""
    host = f"{names.WEB_NAME}.{namespace}"
    return (f"{host}.svc", host, f"{host}.svc.cluster.local")


def web_objects(
    workspace: str,
    namespace: str,
    router: RouterSettings,
    service: ServiceSettings,
    scheme: str = "http",
) -> tuple[Object, ...]:
    """Return its objects, in the order in which they are applied.

    Args:
        workspace: Name of the workspace.
        namespace: Where it is.
        router: What is chosen of its router, whose image it runs.
        service: What is declared of it.
        scheme: What the workspace speaks, `http` or `https`.
    """
    made = CompanionObjects(workspace, namespace, router, names.WEB, names.WEB_NAME)
    given = [workspace, str(service.port), scheme, pages_of(service)]
    container = made.container([_MODULE, "kubernetes", *given], web=names.WEB_PORT)
    # requests come until all nodes have heard that it ends
    waits = {"preStop": {"sleep": {"seconds": PREFERRED_GRACE_S}}}
    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    port = {
        "name": "web",
        "port": service.port,
        "targetPort": names.WEB_PORT,
        "protocol": "TCP",
    }
    return (
        *made.rights(_SHOWS if service.console else _GIVES),
        made.object(SECRET, type=KEPT),  # what is in it the pod writes
        made.policy(names.WEB_PORT),
        made.object(SERVICE, spec={"type": "ClusterIP", "selector": made.chosen, "ports": [port]}),
        made.deployment(
            {"type": "RollingUpdate", "rollingUpdate": rolling},
            made.pod({**container, "lifecycle": waits}, END_S),
        ),
    )
