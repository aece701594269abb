"""What all pods of a workspace have in common, and what a pod says of itself. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from inference_provider.targets.kubernetes.objects import Object
from inference_provider.workspace.endings import Endings

USER = 10001
_BUILT = re.compile(r"/inference-[a-z]+:[0-9a-f]+-([a-z0-9]+)@sha256:")
"""What was built for a registry, by its name there."""
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NO_START = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
STUCK = _NO_IMAGE | _NO_START
"""Why a container waits that will not start by itself."""
REFUSED_S = 3.0
"""Time for which Kubernetes may refuse to make a pod, as long as another one ends."""
PREFERRED_GRACE_S = 5
"""Time that a pod goes on after it was told to end: until routers have heard of it."""


def hardened_pod() -> Object:
    """Return the security context of a pod: no root, the runtime's seccomp profile."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def architecture_of(image: str) -> str:
    """Return the architecture that an image was built for by us; empty for one of others."""
    found = _BUILT.search(image)
    return found[1] if found else ""


def node_selector(*images: str, **asked: str) -> Object:
    """Return what a pod says of its nodes: those that run what was built for it, and as asked."""
    found = next(filter(None, map(architecture_of, images)), "")
    chosen = {**({"kubernetes.io/arch": found} if found else {}), **asked}
    return {"nodeSelector": chosen} if chosen else {}


def pull_secrets(named: Iterable[str]) -> Object:
    """Return what a pod says of the Secrets by which its images are pulled."""
    found = [{"name": name} for name in named]
    return {"imagePullSecrets": found} if found else {}


def hardened_container() -> Object:
    """Return the security context of a container that may do nothing but compute."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


class Trouble(NamedTuple):
    """Why a pod is not ready."""

    name: str
    """Azure ML's name of it, where it has one."""
    reason: str
    container: str = ""
    """Whose log says more; empty for none."""
    final: bool = False
    """Whether waiting does not help."""


def is_ready(pod: Object) -> bool:
    """Whether a pod takes requests."""
    return not is_ending(pod) and condition(pod, "Ready").get("status") == "True"


def is_ending(pod: Object) -> bool:
    """Whether somebody has deleted it, or it has ended."""
    return has_ended(pod) or bool(pod["metadata"].get("deletionTimestamp"))


def has_ended(pod: Object) -> bool:
    """Whether none of its containers runs, or ever will."""
    return pod["status"].get("phase") in ("Failed", "Succeeded")


def address_of(pod: Object) -> str:
    """Return its address; empty where it has none yet."""
    return str(pod["status"].get("podIP") or "")


def runs(pod: Object) -> bool:
    """Whether it runs or starts."""
    if is_ending(pod):
        return False
    return not any(state.get("waiting", {}).get("reason") in STUCK for state in _states(pod))


def is_running(pod: Object) -> bool:
    """Whether a container of it runs, also one that ends."""
    return any("running" in state for state in _states(pod))


def restarts_of(pod: Object, container: str) -> int:
    """Return how often a container of it was started again; what others add to it is not meant."""
    told = pod["status"].get("containerStatuses") or ()
    return sum(int(one.get("restartCount") or 0) for one in told if one.get("name") == container)


def endings_of(pod: Object) -> Endings:
    """Return how often the containers of a pod ended by themselves.

    The API keeps the number, and of the last run when it began and ended: all others ended before
    it began, and are taken to have ended then.
    """
    total, minutes = 0, dict[int, int]()
    for status in pod["status"].get("containerStatuses") or ():
        count, run = int(status.get("restartCount") or 0), _ended(status)
        if not count or not run.get("finishedAt"):
            continue
        total += count
        last = _minute(run["finishedAt"])
        before = _minute(run["startedAt"]) if run.get("startedAt") else last
        for minute, ended in ((last, 1), (before, count - 1)):
            if ended:
                minutes[minute] = minutes.get(minute, 0) + ended
    return Endings(total=total, minutes=minutes)


def _minute(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() // 60)


def initializing(pod: Object) -> str:
    """Return the name of the init container that runs now; empty where none does."""
    for status in pod["status"].get("initContainerStatuses") or ():
        if "running" in (status.get("state") or {}):
            return str(status["name"])
    return ""


def trouble_of(pod: Object) -> Trouble | None:
    """Say why a pod is not ready; None where it just starts."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        reason = str(scheduled.get("message") or scheduled.get("reason"))
        return Trouble("PodUnschedulable", reason)
    if pod["status"].get("phase") == "Failed" and pod["status"].get("reason"):
        about = pod["status"]
        return Trouble("PodFailed", f"{about['reason']}: {about.get('message', '')}", final=True)
    for listing in ("initContainerStatuses", "containerStatuses"):
        for status in pod["status"].get(listing) or ():
            found = _trouble_in(status, pod)
            if found is not None:
                return found
    return None


def lacks_claim(pod: Object) -> bool:
    """Whether Kubernetes has made no claim yet of devices that a pod waits for."""
    wanted = {one["name"] for one in pod["spec"].get("resourceClaims") or ()}
    made = {one["name"] for one in pod["status"].get("resourceClaimStatuses") or ()}
    return bool(wanted - made) and not pod["spec"].get("nodeName")


def _trouble_in(status: Mapping[str, Any], pod: Object) -> Trouble | None:
    name, waiting = str(status["name"]), status["state"].get("waiting") or {}
    reason, said = str(waiting.get("reason") or ""), " ".join(str(waiting.get("message")).split())
    if reason in _NO_IMAGE:
        return Trouble("ImageBuildFailure", f"{reason}: {said}")
    if reason in _NO_START:
        return Trouble("ResourceNotReady", f"{reason}: {said}")
    ended = _ended(status)
    if not ended or not (ended.get("exitCode") or status.get("restartCount")):
        return None
    if ended.get("reason") == "OOMKilled":
        used = f"container {name} used more memory than its limit{_memory_of(pod, name)}"
        return Trouble("PodOutOfMemory", used, name)
    code = ended.get("exitCode")
    return Trouble("UserScriptInitFailed", f"container {name} ended with status {code}", name)


def _memory_of(pod: Object, container: str) -> str:
    """Return the memory that a container may use, which a LimitRange may have set."""
    spec = pod.get("spec") or {}
    for one in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if one["name"] == container and (limits := (one.get("resources") or {}).get("limits")):
            return f" of {limits['memory']}" if "memory" in limits else ""
    return ""


def _ended(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how a container ended last; empty if it has not."""
    now, before = status.get("state") or {}, status.get("lastState") or {}
    found: Mapping[str, Any] = now.get("terminated") or before.get("terminated") or {}
    return found


def _states(pod: Object) -> Iterator[Mapping[str, Any]]:
    for listing in ("initContainerStatuses", "containerStatuses"):
        for status in pod["status"].get(listing) or ():
            yield status.get("state") or {}


def condition(one: Object, kind: str) -> Mapping[str, Any]:
    """Return a condition of a pod or a node; empty where it has none of that kind."""
    found = (one.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})
