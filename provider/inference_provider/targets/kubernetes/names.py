"""What everything in a cluster is called, and the labels by which it is found. Pure.

A namespace has one workspace, so names do not repeat it. Names are for people; what an object is,
its labels say.
"""

import hashlib
import re
from collections.abc import Mapping

PREFIX = "pulumi-inference"
WORKSPACE, ROLE, OWNER = (f"{PREFIX}/{name}" for name in ("workspace", "role", "owner"))
ENDPOINT, DEPLOYMENT = f"{PREFIX}/endpoint", f"{PREFIX}/deployment"
GENERATION, OBJECT = f"{PREFIX}/generation", f"{PREFIX}/object"
NODES = f"{PREFIX}/nodes"
"""Label of all that is of a generation whose instances are on several nodes: how many."""
INSTANCE, ROUTER, CONTENT, SERVICE, WEB, RECORD, LOCK, JOURNAL = (
    "instance",
    "router",
    "content",
    "service",
    "web",
    "record",
    "lock",
    "journal",
)
"""Roles."""
EGRESS, CLOSED = f"{PREFIX}/egress", "closed"
"""Label, and its value, of instances without a way out."""
ADDRESS = "address"
"""Section of the records: what is chosen of the router, the token of the content, and what of the
workspace service and of what gives tokens was applied."""
ROUTER_NAME, CONTENT_NAME = "inference-router", "inference-content"
"""Names of Deployment, Service and ServiceAccount of the router, and of what keeps content."""
QUESTIONS_NAME = "inference-router-questions"
"""Name of the Secret with what lets clients put questions to the router's pods."""
SERVICE_NAME, PROBES_PORT = "inference-service", 8082
"""Name of all that the workspace service is made of, and where its pod answers the kubelet."""
WEB_NAME, WEB_PORT = "inference-web", 8080
"""Name of all that gives tokens over HTTP, and the port of its pod."""
ALERTS_NAME = "inference-alerts"
"""Name of the ConfigMap in which it writes down how alerts stand."""
LOGS_NAME = "inference-logs"
"""Name of that in which it writes down how far logs were sent."""
ROUTER_PORT, METRICS_PORT, SYNC_PORT, CONTENT_PORT = 8080, 9090, 8081, 8080
"""Ports of the router's pods: scoring, metrics, questions to the sync process; of the content's."""
EGRESS_NAME, EGRESS_PORT = "inference-egress", 3128
"""Service, and port of the router's pods, of the forward proxy of instances without a way out."""
INSTANCE_PORT = 5001
"""Where instances of our own servers listen."""
_OF_IDENTITIES = "identity-"
_LONGEST = 52
"""Characters of a name; pods get up to eleven more, and 63 is the limit."""
_OF_GROUP = 4
"""Characters that the name of a group has more, whose pods get eleven more again: `-50`, and one
to spare."""


def labels(workspace: str, role: str, **more: str) -> dict[str, str]:
    """Return the labels of something of a workspace.

    Args:
        workspace: Its name.
        role: What it is.
        more: `endpoint`, `deployment` and `generation`, where it has them.
    """
    return {
        "app.kubernetes.io/managed-by": PREFIX,
        "app.kubernetes.io/part-of": workspace,
        "app.kubernetes.io/component": role,
        WORKSPACE: workspace,
        ROLE: role,
        **{f"{PREFIX}/{name}": value for name, value in more.items()},
    }


def selecting(workspace: str, role: str, **more: str) -> dict[str, str]:
    """Return the labels by which everything of one role in a workspace is found."""
    return {WORKSPACE: workspace, ROLE: role, **{f"{PREFIX}/{n}": v for n, v in more.items()}}


def deployment_of(found: Mapping[str, str]) -> str:
    """Return `<endpoint>/<deployment>` of labels."""
    return f"{found.get(ENDPOINT, '')}/{found.get(DEPLOYMENT, '')}"


def generation(deployment: str, generation_: str, number: int = 0, *, grouped: bool = False) -> str:
    """Return the name of the objects of one generation: `iris-blue-5efdeb203621`.

    Args:
        deployment: `<endpoint>/<deployment>`.
        generation_: Its generation.
        number: 0, or which one it is of several of the same generation.
        grouped: Whether its instances are groups of pods.
    """
    longest = _LONGEST - (_OF_GROUP if grouped else 0)
    end = f"-{generation_}" + (f"-{number}" if number else "")
    return short(deployment.replace("/", "-"), longest - len(end)) + end


def identity(name: str) -> str:
    """Return the name of the service account of an identity."""
    return short(f"{_OF_IDENTITIES}{name}")


def owner_of_account(name: str) -> str:
    """Return whose service account one of this name is; empty where nobody of ours has it."""
    ours = {ROUTER_NAME: "the router's", SERVICE_NAME: "the workspace service's"}
    ours[WEB_NAME] = "that of the service that gives tokens"
    return ours.get(name, "an Identity's" if name.startswith(_OF_IDENTITIES) else "")


def assignment(name: str) -> str:
    """Return the name of the Role, and of the RoleBinding, of a role assignment."""
    return short(f"assignment-{name}")


def registry(connection: str) -> str:
    """Return the name of the Secret with the user that a connection to a registry names."""
    return short(f"registry-{connection}")


def bucket(connection: str) -> str:
    """Return the name of the Secret with the credentials of a bucket that a connection has."""
    return short(f"bucket-{connection}")


def autoscaler_of_keda(generation_: str) -> str:
    """Return the name of what KEDA makes of the ScaledObject of a generation."""
    return f"keda-hpa-{generation_}"


def short(text: str, longest: int = _LONGEST) -> str:
    """Return a text as a name: as it is where it may be one, else with a hash of it."""
    if plain(text, longest) == text:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain(text, longest - 9)}-{digest}"


def plain(text: str, longest: int = _LONGEST) -> str:
    """Return what of a text may be in a name; several texts may give the same."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower())[:longest].strip("-") or "x"
