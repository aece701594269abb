"""What of a workspace only a cluster has: where its content lies, and what its router is there.

It is one field of the workspace, because each setting is about the workspace and not about the
place: `target` says which cluster, and a change of that is another workspace.
"""

from typing import Annotated, Literal

from pydantic import Field

from inference_provider.spec.base import SpecModel
from inference_provider.spec.scheduling import ClusterName, LabelKey


class ClusterStorage(SpecModel):
    """The claim on which a cluster keeps a workspace's models, code and environments."""

    size: Annotated[str, Field(pattern=r"^[1-9][0-9]*(k|M|G|T|Ki|Mi|Gi|Ti)$")] | None = None
    """`20Gi`; it may grow where the storage class allows that. Left out: content lies on the disk
    of a node, and `up` copies it again after its pod has moved."""
    storage_class: Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")] | None = None
    """The cluster's default class when left out; of a claim that is there it cannot be changed."""


class ClusterRouter(SpecModel):
    """The router of a workspace in a cluster."""

    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of its Service: who reaches it. `ClusterIP`: what is inside the cluster."""
    replicas: Annotated[int, Field(ge=1, le=50)] = 2
    """Pods that take requests; with one, requests fail while its node is emptied."""


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
    service_accounts: dict[ClusterName, ClusterServiceAccount] = {}
    """Service accounts that are made, by name, for the `scheduling` of deployments."""
    network_policies: Literal["unknown", "enforced"] = "unknown"
    """`enforced` says that the cluster's network plugin enforces NetworkPolicies, which the API
    does not tell; closed egress needs it."""
