"""What of a workspace only a cluster has: where its content lies, and what its router is there.

It is one field of the workspace, because each setting is about the workspace and not about the
place: `target` says which cluster, and a change of that is another workspace.
"""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from inference_provider.spec.base import SpecModel
from inference_provider.spec.connection import ConnectionName
from inference_provider.spec.scheduling import ClusterName, LabelKey


class ClusterStorage(SpecModel):
    """Where a cluster keeps a workspace's models, code and environments: a claim, or a bucket."""

    size: Annotated[str, Field(pattern=r"^[1-9][0-9]*(k|M|G|T|Ki|Mi|Gi|Ti)$")] | None = None
    """`20Gi`; it may grow where the storage class allows that. Left out: content lies on the disk
    of a node, and `up` copies it again after its pod has moved."""
    storage_class: Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")] | None = None
    """The cluster's default class when left out; of a claim that is there it cannot be changed."""
    url: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[A-Za-z0-9][^\s:?#]*$")] | None = None
    """A prefix of a bucket instead of a claim: `s3://models/demo`, `gs://…`, `abfs://…`, or another
    that fsspec has. It is this workspace's alone."""
    secret: ClusterName | None = None
    """Secret of the workspace's namespace whose keys are variables for the bucket:
    `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`."""
    service_account: ClusterName | None = None
    """Of `service_accounts`, or of the namespace: as whom the bucket is reached."""
    connection: ConnectionName | None = None
    """A connection of the workspace that has the bucket's credentials, instead of a `secret`. Its
    category is `S3`, `AzureBlob` or `ADLSGen2`, as the URL asks for, or `CustomKeys` with one
    credential for each variable. When its values change, the content pod restarts."""


HostName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$")
]
"""A full name, `score.example.org`."""


class ClusterIngress(SpecModel):
    """An Ingress that leads to the router; who runs its class owns address and certificate."""

    host: HostName
    """Under which the router is reached; part of every scoring URL."""
    class_name: ClusterName | None = None
    """An IngressClass of the cluster; its default when left out."""
    tls_secret: ClusterName | None = None
    """Secret with the certificate, in the workspace's namespace."""
    scheme: Literal["https", "http"] | None = None
    """What URLs begin with; `https` with a `tls_secret` and `http` without when left out. Write
    `https` where the controller, or what is in front of it, holds the certificate itself."""
    annotations: dict[LabelKey, str] = {}
    """What the controller takes: `{cert-manager.io/cluster-issuer: …}`."""


class ClusterGateway(SpecModel):
    """A Gateway of others that leads to the router, by an HTTPRoute."""

    name: ClusterName
    """Of the Gateway."""
    namespace: ClusterName | None = None
    """Of the Gateway; the workspace's when left out."""
    section: ClusterName | None = None
    """One listener of it; all that fit when left out."""
    hostnames: Annotated[tuple[HostName, ...], Field(min_length=1)]
    """Under which the router is reached; the first is part of every scoring URL."""
    scheme: Literal["https", "http"] = "https"
    """What its listener speaks."""


class ClusterRouter(SpecModel):
    """The router of a workspace in a cluster."""

    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of its Service: who reaches it. `ClusterIP`: what is inside the cluster."""
    replicas: Annotated[int, Field(ge=1, le=50)] = 2
    """Pods that take requests; with one, requests fail while its node is emptied."""
    ingress: ClusterIngress | None = None
    """An Ingress in front of it."""
    gateway: ClusterGateway | None = None
    """A Gateway in front of it, instead."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.ingress and self.gateway:
            raise ValueError("ingress and gateway both lead to the router; leave one of them out")
        return self


def _text(value: object) -> object:
    # YAML reads a count as a number; true is one for Python
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    # Pulumi hands a count over as a float, and Kubernetes writes no exponent
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return format(Decimal(str(whole)), "f")


_QUANTITY = r"^\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?$"
Quantity = Annotated[
    str,
    BeforeValidator(_text),
    Field(pattern=_QUANTITY),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _QUANTITY}]}),
]
"""An amount as Kubernetes writes it: `8`, `500m`, `64Gi`."""
ResourceKey = Annotated[str, Field(pattern=r"^[a-zA-Z0-9]([-./a-zA-Z0-9]*[a-zA-Z0-9])?$")]
"""What is counted, as Kubernetes names it: `pods`, `requests.cpu`, `requests.nvidia.com/gpu`."""


class ClusterLimits(SpecModel):
    """What a container gets that does not say itself, and what one may ask for: a LimitRange."""

    default: dict[ResourceKey, Quantity] = {}
    """Limits of a container that has none: `{cpu: 1, memory: 1Gi}`."""
    default_request: dict[ResourceKey, Quantity] = {}
    """What a container asks for that does not say; what `default` says when left out."""
    min: dict[ResourceKey, Quantity] = {}
    """The least that one may ask for."""
    max: dict[ResourceKey, Quantity] = {}
    """The most that one may use."""


class ClusterServiceAccount(SpecModel):
    """A service account of the workspace's namespace, which deployments name."""

    annotations: dict[LabelKey, str] = {}
    """What a cloud takes it for: `{eks.amazonaws.com/role-arn: …}`,
    `{iam.gke.io/gcp-service-account: …}` or `{azure.workload.identity/client-id: …}`."""


class ClusterSettings(SpecModel):
    """What of a workspace only a cluster has."""

    storage: ClusterStorage = ClusterStorage()
    """Where content lies."""
    router: ClusterRouter = ClusterRouter()
    """How many pods of the router there are, and who reaches them."""
    quota: dict[ResourceKey, Quantity] = {}
    """Most of each that all pods of the namespace may ask for together, a new generation beside the
    old one included: `{requests.cpu: 64, requests.nvidia.com/gpu: 8}`. For a namespace that is made
    with its workspace."""
    limits: ClusterLimits = ClusterLimits()
    """What each container gets and may ask for; for a namespace that is made with its workspace."""
    service_accounts: dict[ClusterName, ClusterServiceAccount] = {}
    """Service accounts that are made, by name, for the `scheduling` of deployments."""
    image_pull_secrets: tuple[ClusterName, ...] = ()
    """Secrets of the workspace's namespace with the credentials of registries, for all pods. Pods
    of the router and of the content are replaced at once; those of instances have them once they
    are started again."""
    network_policies: Literal["unknown", "enforced"] = "unknown"
    """`enforced` says that the cluster's network plugin enforces NetworkPolicies, which the API
    does not tell; closed egress needs it."""
