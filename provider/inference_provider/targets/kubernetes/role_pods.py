"""The pods of the one Deployment of a role: the router, what keeps content, what is beside them.

Waits until they are as was applied, and says why they are not.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from inference_provider.errors import NotReady, TargetError
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.followed import Followed
from inference_provider.targets.kubernetes.objects import (
    DEPLOYMENT,
    NAMESPACE,
    POD,
    Object,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import (
    REFUSED_S,
    Trouble,
    is_ending,
    is_ready,
    trouble_of,
)
from inference_provider.targets.kubernetes.refusals import Forbidden, refusal
from inference_provider.targets.kubernetes.together import Together
from inference_provider.targets.kubernetes.workloads import refused, replicas
from inference_provider.targets.stopping import refuse_when_stopped
from inference_provider.workspace.ports import Tell

START_S = 120.0
"""Longest wait for the next pod: its image may have to be pulled."""
STUCK_S = 20.0
"""Time that a pod may wait for what it will not get by itself: a registry is busy at times."""
POLL_S = 0.25
_FEW = 8
"""Questions that are answered by a list each; a command that asks more follows a watch."""
_NO_DEPLOYMENT = names.deployment_of({})
_SHOWN = 300
_NO_IMAGE = "ImageBuildFailure"
_PULL = "name a runtime_image of the workspace that nodes can pull, or load it there"
_WORDS = {
    names.ROUTER: ("the router", names.ROUTER_NAME),
    names.CONTENT: ("what keeps content", names.CONTENT_NAME),
    names.SERVICE: ("the workspace service", names.SERVICE_NAME),
    names.WEB: ("the token service", names.WEB_NAME),
}
"""What each is for people, and what its Deployment is called."""


def _unknown(_pod: Object) -> str:
    return "it starts, or does not answer"


class RolePods:
    """The pods of one role of a workspace.

    Args:
        client: Its cluster.
        namespace: Where it is.
        workspace: Its name.
        role: `router`, `content`, `service` or `web`.
        own_fault: What a pod itself says that it waits for.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        workspace: str,
        role: str,
        own_fault: Callable[[Object], str] = _unknown,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._chosen = selector(names.selecting(workspace, role))
        self._own_fault = own_fault
        self._now = Together[None, list[Object]](
            lambda _asked: client.items(POD, namespace, self._chosen)
        )
        self._followed = Followed(client, namespace, self._chosen, (POD,))
        self._questions = 0
        self.what, self._name = _WORDS[role]
        self.remedy = f"look at `kubectl -n {namespace} describe pods -l {names.ROLE}={role}`"

    def all(self) -> list[Object]:
        return self._now(None)

    def known(self) -> list[Object]:
        """Return them as a watch tells, perhaps a moment late; as a list does if none is ready.

        To find a few pods by their labels, an API server reads all pods of a namespace.
        """
        self._questions += 1
        if self._questions > _FEW:
            with self._followed.news(_NO_DEPLOYMENT):
                told = self._followed.there(_NO_DEPLOYMENT, {}) or {}
            if any(map(is_ready, told.values())):
                return list(told.values())
        return self.all()

    def deployment(self) -> Object | None:
        return self._client.get(DEPLOYMENT, self._namespace, self._name)

    # -- waiting -------------------------------------------------------------------------------

    def wait_any(self) -> None:
        """Wait until one is ready.

        Raises:
            NotReady: None gets ready; says why.
            TargetError: The cluster refuses to make any.
        """
        self._wait(lambda pods, _there: any(map(is_ready, pods)))

    def wait_rolled(self, before: Object | None, tell: Tell) -> None:
        """Wait until all are of the newest template and ready, where that is not so already.

        A pod that was not ready before, and is not replaced, is not waited for.

        Args:
            before: Their Deployment before it was applied.
            tell: Told how many are.

        Raises:
            NotReady: One does not get ready; says why.
            TargetError: The cluster refuses to make one.
        """
        there = self.deployment()
        if before is None or there is None or _changed(before, there) or not _is_newest(there):
            word = "ready" if before is None else "replaced"
            self._wait(lambda _pods, now: now is not None and _is_rolled(now), word, tell)

    def _wait(
        self,
        done: Callable[[Sequence[Object], Object | None], bool],
        word: str = "",
        tell: Tell = lambda _said: None,
    ) -> None:
        began_s, told = time.monotonic(), 0
        while True:
            refuse_when_stopped("start", self.what)
            pods, there = self.all(), self.deployment()
            ready = _replaced(there)
            if ready > told:
                began_s = time.monotonic()
                wanted = replicas(there)
                tell(f"{min(ready, wanted)} of {wanted} pods of {self.what} {word}")
                told = ready
            if done(pods, there):
                return
            self._refuse_stuck(pods, there, time.monotonic() - began_s)
            time.sleep(POLL_S)

    def _refuse_stuck(self, pods: list[Object], there: Object | None, waited_s: float) -> None:
        said = refused(there)
        if said and waited_s >= REFUSED_S:
            raise refusal("start", self.what, 403, said, str(self._client))
        if waited_s >= START_S or (waited_s >= STUCK_S and any(map(_is_stuck, pods))):
            remedy = f"{_PULL}; {self.remedy}" if any(map(_lacks_image, pods)) else self.remedy
            raise NotReady("start", self.what, self.why(pods), remedy)

    # -- why -----------------------------------------------------------------------------------

    def why(self, pods: Iterable[Object]) -> str:
        """Say why they, or some of them, are not ready."""
        there = [pod for pod in pods if not is_ending(pod)]
        if not there:
            return self._without_pods()
        late = [pod for pod in there if not is_ready(pod)] or there
        troubles = [(pod, trouble) for pod in late if (trouble := trouble_of(pod))]
        if troubles:
            pod, trouble = troubles[0]
            told = trouble.reason + self._last_words(pod, trouble)
        else:
            pod = late[0]
            told = self._own_fault(pod)
        shown = _shortened(f"pod {name_of(pod)}: {told}")
        return f"{len(late)} of {len(there)} pods not ready: {shown}"

    def _without_pods(self) -> str:
        there = self.deployment()
        if there is None:
            return "it does not run"
        said = self._end() or refused(there) or "Kubernetes has made no pod for it"
        return _shortened(said)

    def _end(self) -> str:
        """Say that somebody has deleted the namespace; empty where that is not so, or not seen."""
        with suppress(Forbidden):
            about = (self._client.get(NAMESPACE, "", self._namespace) or {}).get("metadata", {})
            if since := about.get("deletionTimestamp"):
                gone = f"somebody deleted namespace '{self._namespace}' at {since}"
                return f"{gone}, and it is still going"
        return ""

    def _last_words(self, pod: Object, trouble: Trouble) -> str:
        """Return the last line of the log of a container that ended."""
        if not trouble.container:
            return ""
        asked = {"container": trouble.container, "tailLines": "1"}
        for more in ({"previous": "true"}, {}):
            with suppress(TargetError):
                if said := "".join(
                    self._client.logs(self._namespace, name_of(pod), **asked, **more)
                ):
                    return f": {said.strip()}"
        return ""


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _trouble(pod: Object) -> Trouble | None:
    return None if is_ready(pod) or is_ending(pod) else trouble_of(pod)


def _is_stuck(pod: Object) -> bool:
    trouble = _trouble(pod)
    if trouble is None:
        return False
    return bool(trouble.container) or trouble.name in (_NO_IMAGE, "ResourceNotReady")


def _lacks_image(pod: Object) -> bool:
    trouble = _trouble(pod)
    return trouble is not None and trouble.name == _NO_IMAGE


def _changed(before: Object, there: Object) -> bool:
    return bool(before["metadata"].get("generation") != there["metadata"].get("generation"))


def _counts(there: Object) -> tuple[int, int, int]:
    """Return how many pods there are, how many of them are newest, and how many take requests."""
    status = there.get("status") or {}
    found = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return found[0], found[1], found[2]


def _is_seen(there: Object) -> bool:
    """Whether what Kubernetes says is about the newest template."""
    seen = (there.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= there["metadata"].get("generation", 0))


def _is_newest(there: Object) -> bool:
    """Whether no older pod is left."""
    count, newest, _ = _counts(there)
    return _is_seen(there) and count == newest


def _is_rolled(there: Object) -> bool:
    return _is_newest(there) and _counts(there) == (replicas(there),) * 3


def _replaced(there: Object | None) -> int:
    """Return how many of the newest take requests: old ones do as long as they are there."""
    if there is None or not _is_seen(there):
        return 0
    count, newest, available = _counts(there)
    return max(0, available - (count - newest))
