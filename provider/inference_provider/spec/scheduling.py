"""Where a cluster runs instances and as what: names of its own objects, which are there already."""

from typing import Annotated, Literal

from pydantic import Field

from inference_provider.spec.base import SpecModel

ClusterName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
"""Name of an object of a cluster."""
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[a-zA-Z0-9][-_.a-zA-Z0-9]*$")
]
LabelValue = Annotated[
    str, Field(pattern=r"^([a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?)?$", max_length=63)
]


class Toleration(SpecModel):
    """A taint of nodes that keeps instances off no more."""

    key: LabelKey
    """Of the taint."""
    value: LabelValue | None = None
    """Any value when left out."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Any effect when left out."""


class Scheduling(SpecModel):
    """Where a cluster runs an instance, and as what."""

    priority_class: ClusterName | None = None
    """A PriorityClass of the cluster: which pods make room for others."""
    runtime_class: ClusterName | None = None
    """A RuntimeClass of the cluster, such as `nvidia` or `gvisor`."""
    service_account: ClusterName | None = None
    """As whom it calls the cloud: one of the workspace's `cluster.service_accounts`, or one that is
    in the namespace. No token of the cluster's own API is given to it."""
    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels of the nodes that may run it, all of them."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that may run it all the same; those of GPU nodes need no mention."""
    spread: Literal["nodes", "zones"] | None = None
    """Instances go to different nodes or zones as far as there is room."""
