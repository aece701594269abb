"""What a port says of what is there now, in the words of its target.

`observe.py` makes sense of it.
"""

from datetime import datetime
from typing import NamedTuple

from inference_provider.observed import Frozen
from inference_provider.router.table import Backend
from inference_provider.workspace.endings import Endings


class Instance(NamedTuple):
    """One instance and where it is reached."""

    name: str
    """Unique in its workspace."""
    generation: str
    backends: tuple[Backend, ...]
    stands_for: int = 1
    """How many it is, where it is all of a generation together."""


class InstanceStatus(Frozen):
    """One instance as its target sees it now."""

    name: str
    generation: str
    runs: bool
    """Whether its process, container or pod runs or starts."""
    answers: bool = True
    """False for one that was started again and does not listen yet."""
    endings: Endings = Endings()
    """How often it ended by itself."""
    fault: str = ""
    """In what it differs from the one that was started, in the target's words, while it runs; the
    next rollout replaces it. Empty when in nothing."""


class ComputeStatus(Frozen):
    """Every instance of a workspace."""

    instances: dict[str, tuple[InstanceStatus, ...]] = {}
    """By deployment, `<endpoint>/<deployment>`."""
    faults: dict[str, str] = {}
    """Why a deployment's instances are not known, by deployment; the next rollout replaces them."""
    altered: dict[str, tuple[str, ...]] = {}
    """What of a deployment is gone or was changed by hand, by deployment, where its target consists
    of more than instances; the next rollout puts it right."""
    unsupervised: str = ""
    """Why nothing would restart an instance, in the target's words; empty when something would.

    When set, the state of instances that still run is not known.
    """


class Event(Frozen):
    """What happened to one instance, as its target tells."""

    time: datetime
    """When it happened, for the last time where it happened more than once."""
    deployment: str
    """`<endpoint>/<deployment>`, or an endpoint; empty for the router."""
    instance: str
    """Empty for what is of a whole endpoint."""
    name: str
    """As Azure ML calls it: `BackOff`, `Created`, `Killing`, `LivenessProbeFailed`, `Pulled`,
    `ReadinessProbeFailed`, `Started`; `ContainerCrash` for an end that nobody asked for; else as
    the target does."""
    message: str
    count: int = 1

    def is_of(self, name: str) -> bool:
        """Whether it is of a deployment, or one of an endpoint; all are of an empty name."""
        return not name or self.deployment == name or self.deployment.startswith(f"{name}/")


class RefusedCalls(Frozen):
    """Calls of one client that one endpoint refused, all with one status."""

    endpoint: str
    status: int
    """401 without a valid key or token, 403 without the right, 429 above a limit."""
    client: str
    """Address of who connected to the router; what is in front of the router, where anything is."""
    calls: int
    last: datetime


class RouterAddress(Frozen):
    """Where a workspace's router is reached; chosen once, so that URLs stay."""

    url: str
    metrics_url: str
    beside: tuple[str, ...] = ()
    """Other hosts that a certificate of the workspace is for: what gives tokens has its own."""


class RouterStatus(Frozen):
    """What the router of a workspace serves now."""

    fault: str = ""
    """What is wrong with it, in the target's words; empty when it serves."""
    note: str = ""
    """What a person should know though it serves as recorded, as no apply can change it."""
    beside: str = ""
    """What runs beside it on the same machine or in the same pod; empty when nothing does."""
    missing: str = ""
    """What should run beside it and does not, in the target's words."""
    runs: bool = True
    """False when it is known not to run."""
    weights: dict[str, dict[str, int]] | None = None
    """In percent, by endpoint and deployment; None when it did not answer."""
    mirrors: dict[str, dict[str, int]] | None = None
    healthy: dict[str, int] | None = None
    """Backends that get requests, by `<endpoint>/<deployment>`."""
    refused: tuple[RefusedCalls, ...] = ()
    """Among the last requests; a sample."""
    metrics_port: int | None = None
    """Port of each of its pods that is to have a page of metrics, as the pod itself knows it."""
    unkept: dict[str, str] = {}
    """Why an autoscale rule is not kept though it is on, by deployment; under `` why none is."""
    alerts: dict[str, tuple[str, ...]] = {}
    """What of an endpoint's alerts a person should know, by endpoint: what has fired, of which
    nobody could be told."""
    endings: Endings = Endings()
    start_limit_s: int = 20
    """Longest time its start may take, seconds."""
