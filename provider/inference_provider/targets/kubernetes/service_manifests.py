"""What the workspace service of a cluster is made of. Pure.

It is a client of the workspace that stays: one pod, which changes what a person could change by
`inferctl`, through the same records and locks. Nobody but the kubelet reaches it.
"""

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.companion_manifests import CompanionObjects, Right
from inference_provider.targets.kubernetes.objects import POD_METRICS, Object
from inference_provider.targets.kubernetes.router_manifests import RouterSettings

END_S = 30
"""Time that it has to end what it has begun: a change of a split takes a second or two."""
_MODULE = "inference_provider.service"
PUBLISHES: tuple[Right, ...] = (
    Right("", "secrets", ("get", "list", "create", "update", "delete")),  # the records
    Right("", "configmaps", ("list", "create", "patch", "delete")),  # the journal
    Right("coordination.k8s.io", "leases", ("get", "create", "patch", "delete")),
    Right("", "pods", ("list", "watch")),
    Right("", "pods/proxy", ("get", "create")),  # questions to the router's pods
)
"""What it takes to move a split."""
ROUTER_MISSING = Right("apps", "deployments", ("get",), (names.ROUTER_NAME,))
"""What it takes to say why the router has no pod."""
SENDS_LOGS = (Right("", "pods/log", ("get",)), Right("", "events", ("list",)))
"""What it takes to send logs."""
MEASURES = Right(POD_METRICS.api.partition("/")[0], POD_METRICS.plural, ("list",))
"""What it takes to know what instances use."""


def service_objects(
    workspace: str,
    namespace: str,
    router: RouterSettings,
    *,
    logs: bool = False,
    measures: bool = False,
) -> tuple[Object, ...]:
    """Return the objects of a workspace service, in the order in which they are applied.

    Args:
        workspace: Name of the workspace.
        namespace: Where it is.
        router: What is chosen of its router, whose image it runs.
        logs: Whether it sends logs.
        measures: Whether it watches alerts by what instances use.
    """
    more = (*(SENDS_LOGS if logs else ()), *((MEASURES,) if measures else ()))
    made = CompanionObjects(workspace, namespace, router, names.SERVICE, names.SERVICE_NAME)
    pod = made.pod(made.container([_MODULE, "kubernetes", workspace]), END_S)
    return (
        *made.rights((*PUBLISHES, ROUTER_MISSING, *more)),
        made.policy(),
        # one at a time: two would measure twice, though each change is made once
        made.deployment({"type": "Recreate"}, pod),
    )
