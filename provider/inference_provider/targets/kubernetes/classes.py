"""Names of a cluster's own objects that a deployment is scheduled with, and which are not there."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import filterfalse

from inference_provider.errors import Fault, TargetError, at_most
from inference_provider.spec import DeploymentSpec, WorkspaceSpec
from inference_provider.spec.cluster import ClusterSettings
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.fresh import Fresh
from inference_provider.targets.kubernetes.hpa import IN_FLIGHT, OF_OTHERS
from inference_provider.targets.kubernetes.objects import (
    DEVICE_CLASS,
    HTTP_ROUTE,
    INGRESS_CLASS,
    LEADER_WORKER_SET,
    PRIORITY_CLASS,
    RUNTIME_CLASS,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    labels_of,
    name_of,
)
from inference_provider.targets.kubernetes.refusals import Forbidden, NotThere
from inference_provider.targets.kubernetes.rights import OF_GROUPS, may
from inference_provider.targets.kubernetes.scaled_objects import KEDA
from inference_provider.targets.kubernetes.workspace_manifests import ACCOUNT

_PULLS = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
_MAKE_SECRET = (
    "make it with `kubectl -n {} create secret docker-registry {}`, in a namespace that is there"
)
_MAKE_VARIABLES = (
    "make it with `kubectl -n {} create secret generic {} --from-literal=AWS_ACCESS_KEY_ID=…`, in a"
    " namespace that is there"
)
FRESH_S = 10.0
"""How long names that were read count as all there are, seconds."""


class KnownNames:
    """Names of objects of one cluster, by kind and namespace; None where this user may not list.

    Args:
        client: Returns the cluster's API, which nothing needs before a deployment names one.
    """

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._known: dict[tuple[Kind, str], Fresh[tuple[Object, ...] | None]] = {}
        self._served: dict[Kind, Fresh[bool]] = {}
        self._lacked: dict[tuple[Kind, str], Fresh[tuple[str, ...]]] = {}
        self._groups = Fresh(self._groups_now)

    def __call__(self, kind: Kind, namespace: str = "") -> frozenset[str] | None:
        found = self.objects(kind, namespace)
        return None if found is None else frozenset(map(name_of, filterfalse(_goes, found)))

    def objects(self, kind: Kind, namespace: str = "") -> tuple[Object, ...] | None:
        """Return the objects themselves; None where this user may not list them."""
        read = Fresh(partial(self._read, kind, namespace))
        return self._known.setdefault((kind, namespace), read).within(FRESH_S)

    def serves(self, kind: Kind) -> bool:
        """Whether the API server knows a kind that not every cluster has."""
        ask = Fresh(partial(self._is_served, kind))
        return self._served.setdefault(kind, ask).within(FRESH_S)

    def _is_served(self, kind: Kind) -> bool:
        try:
            served = self._client().raw(f"/apis/{kind.api}")
        except NotThere:
            return False
        return any(one["name"] == kind.plural for one in served.get("resources") or ())

    def lacked(self, kind: Kind, namespace: str) -> tuple[str, ...]:
        """Return the verbs of `OF_GROUPS` that this user lacks on a kind in a namespace."""
        ask = Fresh(partial(self._lacked_now, kind, namespace))
        return self._lacked.setdefault((kind, namespace), ask).within(FRESH_S)

    def _lacked_now(self, kind: Kind, namespace: str) -> tuple[str, ...]:
        group = kind.api.partition("/")[0]
        client = self._client()
        allowed = (may(client, verb, group, kind.plural, namespace) for verb in OF_GROUPS)
        return tuple(verb for verb, is_so in zip(OF_GROUPS, allowed, strict=True) if not is_so)

    def groups(self) -> frozenset[str]:
        """Return the groups that the API server, and what extends it, serve now.

        Where KEDA is served, an adapter without the metric of requests in flight is left out.
        """
        return self._groups.within(FRESH_S)

    def _groups_now(self) -> frozenset[str]:
        groups = self._client().raw("/apis").get("groups") or ()
        found = {str(group["name"]): group for group in groups}
        known = frozenset(found)
        if {KEDA, OF_OTHERS} <= known and not self._has_in_flight(found[OF_OTHERS]):
            known -= {OF_OTHERS}
        return known

    def _has_in_flight(self, group: Object) -> bool:
        """Whether an adapter has the metric; one that does not answer may have it."""
        version = group["preferredVersion"]["groupVersion"]
        try:
            served = self._client().raw(f"/apis/{version}").get("resources") or ()
        except TargetError as fault:
            return not isinstance(fault, NotThere)
        return any(one["name"] == f"pods/{IN_FLIGHT}" for one in served)

    def _read(self, kind: Kind, namespace: str) -> tuple[Object, ...] | None:
        try:
            return tuple(self._client().items(kind, namespace))
        except Forbidden:
            return None
        except NotThere:  # not every cluster has each
            return ()


def _goes(one: Object) -> bool:
    """Whether a workspace made it for its deployments: it goes once it is declared no more."""
    return labels_of(one).get(names.ROLE) == ACCOUNT


def missing(
    deployment: DeploymentSpec, workspace: WorkspaceSpec | None, known: KnownNames, namespace: str
) -> Iterator[Fault]:
    """Yield a fault for each name that a deployment is scheduled with and that is not there.

    Args:
        deployment: What is asked for.
        workspace: Its workspace, which makes service accounts; None where it is not known.
        known: What the cluster has.
        namespace: The workspace's.
    """
    asked = deployment.scheduling
    for field, kind in (("priority_class", PRIORITY_CLASS), ("runtime_class", RUNTIME_CLASS)):
        yield from _unknown(
            f"scheduling.{field}",
            kind,
            getattr(asked, field),
            known(kind) if getattr(asked, field) else None,
        )
    if named := deployment.resources.device_class:
        yield from _no_class(named, known)
    if deployment.nodes_per_instance > 1:
        yield from _no_groups(known, namespace)
    account = asked.service_account
    if account and workspace is not None and account not in workspace.cluster.service_accounts:
        there = known(SERVICE_ACCOUNT, namespace)
        yield from _unknown("scheduling.service_account", SERVICE_ACCOUNT, account, there)


def _no_class(named: str, known: KnownNames) -> Iterator[Fault]:
    field = "resources.device_class"
    if known.serves(DEVICE_CLASS):
        yield from _unknown(field, DEVICE_CLASS, named, known(DEVICE_CLASS))
        return
    reason = f"the cluster does not serve {DEVICE_CLASS.api}, which Kubernetes 1.34 and newer have"
    yield Fault(field, reason, "leave it out, and its nodes' device plugin counts GPUs")


def _no_groups(known: KnownNames, namespace: str) -> Iterator[Fault]:
    field, kind = "nodes_per_instance", LEADER_WORKER_SET
    if not known.serves(kind):
        reason = f"the cluster does not serve {kind.api}, which makes instances on several nodes"
        yield Fault(
            field, reason, "install LeaderWorkerSet (https://lws.sigs.k8s.io), 0.9 or newer"
        )
    elif lacked := known.lacked(kind, namespace):
        reason = f"you may not {', '.join(lacked)} {kind.resource} in namespace '{namespace}'"
        yield Fault(field, reason, "ask for a Role that allows it: docs/deployer-role.yaml")


def unserved(known: KnownNames, workspace: WorkspaceSpec) -> Iterator[Fault]:
    """Yield a fault for what leads to a router and is not there: an IngressClass, an API."""
    asked, field = workspace.cluster.router, "cluster.router.ingress.class_name"
    if asked.ingress and asked.ingress.class_name:
        there = known(INGRESS_CLASS)
        yield from _unknown(field, INGRESS_CLASS, asked.ingress.class_name, there)
    if asked.gateway and not known.serves(HTTP_ROUTE):
        reason = f"the cluster does not serve {HTTP_ROUTE.api}"
        remedy = "install a Gateway controller, or use ingress or service: LoadBalancer"
        yield Fault("cluster.router.gateway", reason, remedy)


def named_faults(
    client: Client, known: KnownNames, namespace: str, asked: ClusterSettings
) -> Iterator[Fault]:
    """Yield a fault for each Secret and account that pods of the workspace's own need.

    Args:
        client: The cluster's API.
        known: What the cluster has.
        namespace: The workspace's.
        asked: What the workspace says of its cluster.
    """
    yield from pull_faults(client, namespace, asked.image_pull_secrets)
    if asked.storage.url is None:
        return
    secret, account = asked.storage.secret, asked.storage.service_account
    if secret and client.get(SECRET, namespace, secret) is None:
        reason = f"there is no Secret '{secret}' in namespace '{namespace}'"
        yield Fault("cluster.storage.secret", reason, _MAKE_VARIABLES.format(namespace, secret))
    if account and account not in asked.service_accounts:
        there = known(SERVICE_ACCOUNT, namespace)
        yield from _unknown("cluster.storage.service_account", SERVICE_ACCOUNT, account, there)


def pull_faults(client: Client, namespace: str, named: Iterable[str]) -> Iterator[Fault]:
    """Yield a fault for each Secret of a namespace by which no image can be pulled."""
    for name in named:
        there, fault = client.get(SECRET, namespace, name), ""
        if there is None:
            fault = f"there is no Secret '{name}' in namespace '{namespace}'"
        elif there.get("type") not in _PULLS:
            fault = f"Secret '{name}' in namespace '{namespace}' is of type '{there.get('type')}'"
        if fault:
            yield Fault("cluster.image_pull_secrets", fault, _MAKE_SECRET.format(namespace, name))


def _unknown(
    field: str, kind: Kind, name: str | None, there: frozenset[str] | None
) -> Iterator[Fault]:
    if name is None or there is None or name in there:
        return
    reason, remedy = f"the cluster has no {kind.name} '{name}'", "leave it out"
    if kind == SERVICE_ACCOUNT:
        reason = f"the workspace declares no {kind.name} '{name}', and nobody else has made it"
        remedy = "declare it in the workspace's cluster.service_accounts"
    if there:
        remedy += f", or use one of: {', '.join(at_most(sorted(there)))}"
    yield Fault(field, reason, remedy)
