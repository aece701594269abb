"""Waits until the pods of a generation are ready, says what it waits for, and why it ended."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from inference_provider.errors import NotReady, TargetError
from inference_provider.quoting import without_secrets
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.claims import CLAIMED
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.followed import Followed
from inference_provider.targets.kubernetes.groups import is_leader
from inference_provider.targets.kubernetes.instance_manifests import SERVER, Generation
from inference_provider.targets.kubernetes.objects import (
    EVENT,
    POD,
    Kind,
    Object,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import (
    REFUSED_S,
    Trouble,
    endings_of,
    has_ended,
    initializing,
    is_ending,
    is_ready,
    lacks_claim,
    trouble_of,
)
from inference_provider.targets.kubernetes.refusals import refusal, without_subject
from inference_provider.targets.kubernetes.workloads import is_rolled, refused, workload_in
from inference_provider.targets.starting import LOG_LINES
from inference_provider.targets.stopping import refuse_when_stopped
from inference_provider.workspace.ports import Progress

POLL_S = 0.25
"""Pause between two questions where no watch tells."""
QUIET_S = 1.0
"""Longest time without a look at what is known."""
_TELLS_S = 3.0
"""Time after an apply within which a watch tells of it."""
_ASK_S = (5.0, 60.0)
"""Shortest and longest time after which the API server is asked although a watch tells."""
_IMAGE_GRACE_S = 20.0
"""Time that a pod may wait for an image that could not be pulled: a registry is busy at times."""
_STUCK = ("ImageBuildFailure", "ResourceNotReady")
_DOES = {"storage-initializer": "fetches its model and code", "environment": "gets its packages"}
"""What an init container does, by its name."""
_LINE_CHARS = 300
_UNMADE = " failed error: "
_CLAIMING = f"PodResourceClaim {CLAIMED}: create ResourceClaim : "


class Wait:
    """One wait, which begins before anything is applied.

    Args:
        client: The cluster's API.
        followed: What watches tell of instances.
        generation: What is waited for.
        progress: Told how many are ready, and what the others wait for.
        exists: Whether there may be pods already.
    """

    def __init__(
        self,
        client: Client,
        followed: Followed,
        generation: Generation,
        progress: Progress,
        *,
        exists: bool = True,
    ) -> None:
        self._client = client
        self._followed = followed
        self._generation = generation
        self._unit = generation.unit
        self._progress = progress
        self._workload: Object | None = None
        """As it was told last with the pods; None where it has to be asked for."""
        self._ask_s, self._told_s, self._pause_s = 0.0, 0.0, _ASK_S[0]
        self._before = _answering(self._asked_pods()) if exists else 0
        self._ready = self._before
        self._told = ""

    def until_ready(self, applied: Mapping[Kind, int]) -> None:
        """Return once as many pods as asked for are ready, and no other is left.

        Args:
            applied: Version of each kind that was applied for it.

        Raises:
            NotReady: One cannot start, or they take too long.
            TargetError: A quota or a rule of the cluster refuses one.
            Interrupted: Somebody asked to stop.
        """
        with self._followed.news(self._unit.id.name) as news:
            self._until_ready(news, applied)

    def _until_ready(self, news: threading.Event, applied: Mapping[Kind, int]) -> None:
        limit_s = self._unit.start_limit_s
        began_s = time.monotonic()
        self._ask_s, self._told_s = began_s + self._pause_s, began_s + _TELLS_S
        while True:
            refuse_when_stopped("start", str(self._unit.id))
            news.clear()
            pods, told = self._pods(applied)
            if pods is None:
                news.wait(_TELLS_S)
                continue
            self._tell(_answering(pods))
            if self._ready >= self._generation.wanted and self._is_rolled():
                return
            if len(pods) < self._generation.wanted * self._generation.nodes:
                self._refuse_unmade(time.monotonic() - began_s)
            late = [pod for pod in pods if not is_ready(pod)]  # others may have ended once long ago
            troubles = [(name_of(pod), trouble) for pod in late if (trouble := trouble_of(pod))]
            busy = [(name_of(pod), name) for pod in pods if (name := initializing(pod))]
            if busy:  # a build of an environment is no part of a start
                began_s = time.monotonic()
                pod, does = busy[0]
                self._say(f"pod {pod}: {_DOES.get(does, does)}")
            waited_s = time.monotonic() - began_s
            if not troubles and waited_s >= REFUSED_S:
                troubles = self._unclaimed(late)
            for pod, trouble in troubles:
                if _is_final(trouble, waited_s >= min(_IMAGE_GRACE_S, limit_s)):
                    raise self._not_ready(pod, trouble)
            if waited_s >= limit_s:
                raise self._late(pods, troubles)
            if troubles:
                self._say(f"waiting for pod {troubles[0][0]}: {troubles[0][1].reason}")
            news.wait(QUIET_S if told else POLL_S)

    def until_ended(self, limit_s: float) -> None:
        """Return once no more pods are left than asked for, or the time is over.

        Kubernetes ends each by force in the end; a node that is lost says nothing of its pods.
        """
        until_s = time.monotonic() + limit_s
        wanted = self._generation.wanted * self._generation.nodes
        while self._left() > wanted and time.monotonic() < until_s:
            refuse_when_stopped("stop instances of", str(self._unit.id))
            time.sleep(POLL_S)

    def _pods(self, applied: Mapping[Kind, int]) -> tuple[list[Object] | None, bool]:
        """Return its pods, None where a watch is about to tell them, and whether watches tell."""
        there = self._followed.there(self._unit.id.name, applied)
        now_s = time.monotonic()
        if there is None and now_s < self._told_s:
            return None, False
        if there is None or now_s >= self._ask_s:
            if there is not None:  # a watch may be cut without a word
                self._pause_s = min(2 * self._pause_s, _ASK_S[1])
                self._ask_s = now_s + self._pause_s
            self._workload = None
            return self._asked_pods(), there is not None
        place = self._generation
        self._workload = workload_in(there, place.name)
        own = (one for (kind, _), one in there.items() if kind == POD and _is_of(one, place.name))
        return [pod for pod in own if self._tells(pod)], True

    def _asked_pods(self) -> list[Object]:
        return [pod for pod in self._all_pods() if self._tells(pod)]

    def _tells(self, pod: Object) -> bool:
        """Whether a pod says how far its generation is.

        One of a group that ended by itself is removed with the group, and may not be seen before.
        """
        return not is_ending(pod) or (self._generation.nodes > 1 and endings_of(pod).total > 0)

    def _left(self) -> int:
        return sum(not has_ended(pod) for pod in self._all_pods())

    def _all_pods(self) -> list[Object]:
        chosen = selector({names.OBJECT: self._generation.name})
        return self._client.items(POD, self._generation.namespace, chosen)

    def _is_rolled(self) -> bool:
        """Whether Kubernetes has seen the newest version of it, and no older pod is left."""
        there = self._workload_now()
        return there is not None and is_rolled(there, self._generation.wanted)

    def _workload_now(self) -> Object | None:
        place = self._generation
        return self._workload or self._client.get(place.kind, place.namespace, place.name)

    def _refuse_unmade(self, waited_s: float) -> None:
        """Raise if Kubernetes may make no pod: what is over a quota may fit in a moment."""
        if waited_s < REFUSED_S:
            return
        if said := refused(self._workload_now()) or self._refused_of_group():
            raise refusal("start", str(self._unit.id), 403, said, str(self._client))

    def _refused_of_group(self) -> str:
        """Return why Kubernetes makes no pod of a group; only events of its StatefulSets say."""
        place, stems = self._generation, [self._generation.name]
        stems += [f"{place.name}-{n}" for n in range(place.wanted)]
        for stem in stems if place.nodes > 1 else ():
            fields = f"involvedObject.kind=StatefulSet,involvedObject.name={stem}"
            with suppress(TargetError):  # who may not list events is told where they are
                for event in self._client.items(EVENT, place.namespace, fields=fields):
                    if event.get("reason") == "FailedCreate":
                        return str(event.get("message") or "").rpartition(_UNMADE)[2]
        return ""

    def _unclaimed(self, pods: Sequence[Object]) -> list[tuple[str, Trouble]]:
        """Return a pod that waits for a claim which Kubernetes does not make, and why not."""
        pod = next((name_of(one) for one in pods if lacks_claim(one)), "")
        if not pod:
            return []
        place = self._generation.namespace
        fields = f"involvedObject.name={pod},reason=FailedResourceClaimCreation"
        why = f"no ResourceClaim is made for it; `kubectl -n {place} describe pod {pod}` says why"
        with suppress(TargetError):  # who may not list events is told where they are
            for event in self._client.items(EVENT, place, fields=fields):
                if said := str(event.get("message") or "").rpartition(_CLAIMING)[2]:
                    why = f"no ResourceClaim is made for it: {without_subject(said)}"
        return [(pod, Trouble("PodUnschedulable", why))]

    # -- what is told --------------------------------------------------------------------------

    def _tell(self, ready: int) -> None:
        wanted = self._generation.wanted - self._before
        for number in range(self._ready + 1, min(ready, self._generation.wanted) + 1):
            new = number - self._before
            self._progress(self._unit.id, f"{new} of {wanted} new instances ready")
        self._ready = ready

    def _say(self, what: str) -> None:
        if what != self._told:
            self._told = what
            self._progress(self._unit.id, what)

    def _late(self, pods: Sequence[Object], troubles: Sequence[tuple[str, Trouble]]) -> NotReady:
        if troubles:
            return self._not_ready(*troubles[0])
        waited = f"did not answer 200 to 399 within {self._unit.start_limit_s} s"
        reason = f"GET {self._unit.readiness_path} {waited}"
        waiting = next((name_of(pod) for pod in pods if not is_ready(pod)), "")
        if not waiting:
            made_by = "ReplicaSet" if self._generation.nodes == 1 else "StatefulSets"
            remedy = f"look at the events of its {made_by}, then run this again"
            reason = "Kubernetes made no pod for it"
            return NotReady("start", str(self._unit.id), reason, remedy)
        return self._not_ready(waiting, Trouble("", reason, SERVER))

    def _not_ready(self, pod: str, trouble: Trouble) -> NotReady:
        about = f"{trouble.name}: " if trouble.name else ""
        reason, what = f"pod {pod}: {about}{trouble.reason}", str(self._unit.id)
        remedy = "fix the cause and run this again"
        if not trouble.container:
            return NotReady("start", what, reason, remedy)
        said = without_secrets(self._last_lines(pod, trouble.container), self._unit.secrets)
        shown = "\n".join(f"    {line[:_LINE_CHARS]}" for line in said.splitlines())
        remedy = f"{remedy}; the last lines of its log:\n{shown or '    (none)'}"
        return NotReady("start", what, reason, remedy)

    def _last_lines(self, pod: str, container: str) -> str:
        asked = {"container": container, "tailLines": str(LOG_LINES)}
        for more in ({}, {"previous": "true"}):
            with suppress(TargetError):
                lines = self._client.logs(self._generation.namespace, pod, **asked, **more)
                said = "\n".join(lines)
                if said.strip():
                    return said
        return ""


def _answering(pods: Sequence[Object]) -> int:
    return sum(is_ready(pod) for pod in pods if is_leader(pod))


def _is_of(pod: Object, generation: str) -> bool:
    return labels_of(pod).get(names.OBJECT) == generation


def _is_final(trouble: Trouble, late: bool) -> bool:
    """Whether waiting does not help."""
    return trouble.final or bool(trouble.container) or (late and trouble.name in _STUCK)
