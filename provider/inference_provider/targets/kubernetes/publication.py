"""What a namespace says -> what the router of one pod serves.

Goes in: Secrets with the records, and EndpointSlices with the pods that take requests, both kept by
`watched.py`. A new revision is served as a whole or not at all, and who edits is told which. Pods
come and go by themselves: that is served at once, whatever else is wrong.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from inference_provider.errors import InferenceError, NotReady, TargetError
from inference_provider.observed import Kind, Record
from inference_provider.targets.documents import Sections
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.envoy.child import EnvoyChild
from inference_provider.targets.envoy.reported import reported, said_of_calls
from inference_provider.targets.envoy.serving import Endpoints, Serving
from inference_provider.targets.envoy.spans import said_of_traces
from inference_provider.targets.envoy.waiting_room import WaitingRoom
from inference_provider.targets.kept_environments import KeptEnvironments
from inference_provider.targets.kubernetes import snapshot
from inference_provider.targets.kubernetes.slices import Reached
from inference_provider.targets.kubernetes.watched import Watched
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.targets.service_needs import traces_of
from inference_provider.workspace.entries import endpoint_entries
from inference_provider.workspace.kept_digests import BLUEPRINTS, PLACEHOLDERS
from inference_provider.workspace.state import (
    CORRUPT,
    RESERVATIONS,
    UNPUBLISHED,
    State,
)
from inference_provider.workspace.statuses import Instance, RouterStatus

GATHER_S = 0.02
"""Wait for more changes after the first: many are one publication."""
LONGEST_GATHER_S = 0.5
"""Longest such wait: twice as long as the last step kept a processor busy, as Envoy takes about as
long for what it is given."""
AGAIN_S = 10.0
"""Time after which what was refused is tried again, unless something changes before."""
HEALTHY_S = 15.0
"""Longest wait for the new backends of a revision: their pods are ready already."""
ATTEMPT_S = 5.0
"""Time after which such a wait is broken off, for what has happened to other pods meanwhile."""
SEEN_S = 5.0
"""Longest wait for the pods of a new generation to be listed."""
_SEEN_POLL_S = 0.1
_UNREAD = frozenset({BLUEPRINTS, CORRUPT, PLACEHOLDERS, RESERVATIONS, UNPUBLISHED})
"""Sections that nothing served is built from: an edit of these alone changes nothing."""
_UNSEEN_S, _ASKED_S = 1.0, 5.0
"""Time after which a revision that somebody waits for is asked for, because a watch may be cut, and
after which it is asked for again."""


class Outcome(NamedTuple):
    """How the last publication of a revision ended."""

    revision: int = -1
    """Which; -1 where there was none yet."""
    fault: InferenceError | None = None
    """Why it is not in force."""

    @property
    def report(self) -> dict[str, Any]:
        """The same as JSON."""
        return {"revision": self.revision, "error": written(self.fault) if self.fault else None}


class Publication:
    """Makes one router serve what its namespace says.

    Args:
        serving: The router.
        envoy: Its process, which this starts.
        workspace: Name of the workspace.
        room: Where its requests wait for an instance.
        secrets: Its records.
        slices: The pods of its instances.
        news: Set when one of both has changed.
        say: Told what a person who reads the pod's log should know.
    """

    def __init__(
        self,
        serving: Serving,
        envoy: EnvoyChild,
        workspace: str,
        *,
        room: WaitingRoom,
        secrets: Watched,
        slices: Watched,
        news: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._serving = serving
        self._envoy = envoy
        self._secrets = secrets
        self._slices = slices
        self._news = news
        self._say = say
        self._records = MemoryRecords(workspace)
        self._state = State(self._records)
        environments = KeptEnvironments(self._records, self._state)
        self._entries = endpoint_entries(
            self._state, self._instances, environments.spec, self._splits
        )
        self._room = room
        self._there: tuple[int, Mapping[str, tuple[Instance, ...]]] = -1, {}
        self._reach = Reached()
        self._reading = snapshot.Reading(_UNREAD)
        self._seen = -1, self._reading.read(())
        self._tried = -1
        self._followed = -1, -1
        """Changes of the Secrets that were tried last, and of what else is served."""
        self._ended = threading.Condition()
        self._last = Outcome()
        self._again_s = 0.0
        self._asked_s = float("-inf")
        self.begun = False
        """Whether any revision is in force."""

    def edge(self) -> dict[str, Any]:
        """Return what the table says of all endpoints. Raises TargetError, rather than no TLS."""
        return {**self._state.edge(), **reported(self._state, self._records.workspace)}

    def said_of_reports(self) -> str:
        """Say where spans go, and for how long calls stay; empty where nothing is declared."""
        spans = said_of_traces(traces_of(self._state), self._serving.delivery.admin.stats)
        calls = said_of_calls(self._serving.delivery.calls_days)
        return "; ".join(filter(None, (spans, calls)))

    def run(self) -> None:
        """Follow the namespace for ever."""
        took_s = 0.0
        while True:
            self._news.wait(AGAIN_S)
            time.sleep(max(GATHER_S, min(2 * took_s, LONGEST_GATHER_S)))
            self._news.clear()
            began_s = time.thread_time()
            self.step()
            took_s = time.thread_time() - began_s

    def step(self) -> None:
        """Serve what is known now, unless it is served already."""
        if not (self._secrets.known and self._slices.known):
            return
        if self.begun and self._told() != self._followed:
            self._follow()
        failed = self._last.fault is not None and time.monotonic() >= self._again_s
        if self._secrets.changes != self._tried or failed or not self.begun:
            self._try()

    # -- what pods do --------------------------------------------------------------------------

    def _follow(self) -> None:
        """Serve the pods that there are now, for the revision in force."""
        told = self._told()
        try:
            self._serving.publish(self._build(), must_be_healthy=False)
            self._followed = told
        except InferenceError as fault:
            self._say(str(fault))

    def _told(self) -> tuple[int, int]:
        """Return what changes when pods have come or gone, or one gets its first request."""
        return self._slices.changes, self._room.changes

    def _build(self) -> Endpoints:
        return self._room.with_held(self._entries())

    def _splits(self) -> RouterStatus:
        """Return what this pod serves; what it served last while it begins, if anything."""
        found = self._serving.status()
        if self.begun or found.weights is not None:
            return found
        last = self._serving.delivery.last_published()
        return RouterStatus(
            runs=False,
            weights={one.name: dict(one.weights) for one in last},
            mirrors={one.name: dict(one.mirror) for one in last},
        )

    def _instances(self) -> Mapping[str, tuple[Instance, ...]]:
        changes = self._slices.changes
        if self._there[0] != changes:
            self._there = changes, self._reach.instances(self._slices.objects())
        return self._there[1]

    # -- what people edit ----------------------------------------------------------------------

    def _try(self) -> None:
        """Serve the last revision, or say why not."""
        self._tried = self._secrets.changes
        try:
            found = self._snapshot()
        except ValueError as wrong:  # somebody has edited the revision: what is served stays
            self._say(f"the records cannot be read: {type(wrong).__name__}")
            return
        before, known = self._records.everything(), self._admitted()
        if self._is_served(found.documents, before):
            self._end(Outcome(found.revision))
            return
        fault: InferenceError | None = None
        try:
            self._records.become(found.documents)
            if self.begun:
                self._wait_for_pods(known, before)
                self._publish_healthy(before)
            else:
                self._begin()
        except InferenceError as refused:
            fault = refused
        except Exception as wrong:  # noqa: BLE001 - a record that this release cannot read
            fault = TargetError("publish", "the records", f"{type(wrong).__name__} in a router pod")
        if fault is not None:
            self._records.become(before)
            self._again_s = time.monotonic() + AGAIN_S
            self._say(f"revision {found.revision}: {fault}")
        self._end(Outcome(found.revision, fault))

    def _end(self, outcome: Outcome) -> None:
        with self._ended:
            self._last = outcome
            self._ended.notify_all()

    def _snapshot(self) -> snapshot.Snapshot:
        changes = self._secrets.changes
        if self._seen[0] != changes:
            self._seen = changes, self._reading.read(self._secrets.objects())
        return self._seen[1]

    def _is_served(self, wanted: Sections, served: Sections) -> bool:
        there, asked = (
            {section: documents for section, documents in found.items() if documents}
            for found in (served, wanted)
        )
        return self.begun and self._last.fault is None and there == asked

    def _begin(self) -> None:
        """Serve the first revision that this process knows, whatever is not healthy.

        Raises:
            RouterRejected: Envoy refuses it.
        """
        entries = self._build()
        if self._envoy.runs():  # from the files of before
            self._envoy.wait_ready()
            self._serving.publish(entries, must_be_healthy=False)
        else:
            self._serving.validate(entries)
            self._serving.write(entries)
            self._envoy.start()
            self._envoy.wait_ready()
        self.begun = True

    def _admitted(self) -> dict[str, object]:
        """Return what is admitted of each deployment, by `<endpoint>/<deployment>`."""
        records = self._state.of_kind(Kind.DEPLOYMENT, "online")
        return {record.id.name: (record.generation, record.admitted) for record in records}

    def _publish_healthy(self, served: Sections) -> None:
        """Serve what is known now, once its new backends are healthy.

        Pods of what is served may go meanwhile, and get requests as long as this waits.

        Args:
            served: The documents that are in force.
        """
        until_s = time.monotonic() + HEALTHY_S
        while True:
            left_s = until_s - time.monotonic()
            try:
                self._serving.publish(self._build(), min(left_s, ATTEMPT_S))
            except NotReady:
                if left_s <= ATTEMPT_S:
                    raise
                self._follow_as(served)
                time.sleep(_SEEN_POLL_S)
            else:
                return

    def _follow_as(self, served: Sections) -> None:
        """Serve the pods that there are now for documents that are in force, if any has changed."""
        if self._told() == self._followed:
            return
        wanted = self._records.everything()
        self._records.become(served)
        try:
            self._follow()
        finally:
            self._records.become(wanted)

    def _wait_for_pods(self, before: Mapping[str, object], served: Sections) -> None:
        """Wait until the pods of what is newly admitted are listed.

        A revision and the pods that it admits come by two watches, of which one may be late.

        Args:
            before: What was admitted of each deployment.
            served: The documents that are in force.

        Raises:
            NotReady: None of a deployment's pods takes requests.
        """
        records = self._state.of_kind(Kind.DEPLOYMENT, "online")
        admitted = self._admitted()
        new = [one for one in records if before.get(one.id.name) != admitted[one.id.name]]
        until = time.monotonic() + SEEN_S
        lacking = self._lacking(one for one in new if one.admitted != ())
        while lacking and time.monotonic() < until:
            with suppress(TargetError):  # a busy API server: the watch may tell, or the next list
                self._slices.refresh()
            if lacking := self._lacking(lacking):
                self._follow_as(served)
                time.sleep(_SEEN_POLL_S)
        for record in lacking:
            if not self._reached(record):
                reason = "none of its pods takes requests"
                raise NotReady("publish", f"deployment '{record.id.name}'", reason, "read its log")

    def _lacking(self, records: Iterable[Record]) -> list[Record]:
        """Return deployments of which fewer addresses are known than are waited for."""
        return [one for one in records if self._reached(one) < self._count(one)]

    def _count(self, record: Record) -> int:
        """Return how many addresses are waited for; how many a rule wants now, nobody tells."""
        rule = self._state.rule_of(record.id)
        return min(rule.min_instances, 1) if rule else int(record.properties["instance_count"])

    def _reached(self, record: Record) -> int:
        """Return how many addresses the admitted instances of a deployment have."""
        there = self._instances().get(record.id.name, ())
        return sum(len(i.backends) for i in there if record.admits(i.name, i.generation))

    # -- what is told --------------------------------------------------------------------------

    def outcome(self, revision: int, timeout_s: float) -> Outcome:
        """Wait until a revision, or a later one, is served or refused; return the last outcome."""
        until = time.monotonic() + timeout_s
        while True:
            with self._ended:
                left_s = until - time.monotonic()
                if left_s <= 0 or self._last.revision >= revision:
                    return self._last
                self._ended.wait(min(left_s, _UNSEEN_S))
            now_s = time.monotonic()
            unseen = max(self._last.revision, self._seen[1].revision) < revision
            if unseen and now_s >= self._asked_s + _ASKED_S:
                self._asked_s = now_s
                with suppress(TargetError):
                    self._secrets.refresh()
