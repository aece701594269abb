"""The logs of a workspace in a cluster, for who sends them, and the rows that their lines are.

Calls are asked of the router's pods that write them, as often as these do; what instances print is
followed (`console_log.py`); events are listed. Which pods there are a watch tells.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.event_tail import Events
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.console_log import Asks, ConsoleLog, Room, Seen
from inference_provider.targets.kubernetes.happened import OF_PODS, happened
from inference_provider.targets.kubernetes.instance_manifests import SERVER
from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.targets.kubernetes.objects import (
    EVENT,
    POD,
    Object,
    labels_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.pods import has_ended, is_ending, is_running
from inference_provider.targets.kubernetes.router_questions import RouterQuestions
from inference_provider.targets.kubernetes.watched import Watched
from inference_provider.targets.log_lines import call, event
from inference_provider.targets.log_tail import Line, Position, Source, Tail, read
from inference_provider.workspace.log_rows import Row, console_row
from inference_provider.workspace.logged import LogLine
from inference_provider.workspace.statuses import Event

MOST = 1000
"""Logs of instances that are followed at once, each by a connection."""
_CALLS_S, _ENDING_S, _SILENT_S = 5.0, 1.0, 30.0
"""Between two questions to a pod of the router, which writes every ten seconds; to one that ends;
after one that was not answered."""
_ANSWER_S = 10.0
_MOST_NAMES = 10_000
"""Generations whose events are known by the names of their pods."""


class LogSources:
    """Says which logs there are.

    Args:
        client: Asks for pods, events and calls.
        logs: Follows logs of instances: it keeps a connection for each.
        namespace: Where the workspace is.
        workspace: Its name.
        kept: Knows what happened to endpoints.
    """

    def __init__(
        self, client: Client, logs: Client, namespace: str, workspace: str, kept: KeptAlerts
    ) -> None:
        self._client, self._logs = client, logs
        self._namespace, self._workspace = namespace, workspace
        roles = {names.WORKSPACE: workspace, names.ROLE: (names.ROUTER, names.INSTANCE)}
        chosen = selector(roles)
        self._pods = Watched(client, POD, namespace, chosen, changed=lambda: None)
        self._follows = False
        self._questions = RouterQuestions(client, namespace)
        self._calls: dict[str, _Calls] = {}
        self._printed: dict[str, _Printed] = {}
        self._room = Room()
        self._kept = kept
        self._named: dict[str, str] = {}
        """Deployments, by the names with which those of their pods begin."""
        self._events = Events(self._happened, client.server_time_s)

    def __call__(self) -> Iterator[Source]:
        """Yield the logs of now. Raises TargetError while the API server has told of no pod."""
        if not self._follows:
            self._pods.refresh()
            threading.Thread(target=self._pods.run, name="pods", daemon=True).start()
            self._follows = True
        pods = self._pods.objects()
        # that of a pod which was evicted is gone, though the pod stays listed
        routers = [pod for pod in pods if _role(pod) == names.ROUTER and not has_ended(pod)]
        yield from self._of_router(routers)
        yield Source("events", self._events.tail, partial(event, self._workspace))
        yield from self._of_instances([pod for pod in pods if _role(pod) == names.INSTANCE])

    def _of_router(self, pods: Iterable[Object]) -> Iterator[Source]:
        there = {name_of(pod): pod for pod in pods}
        for name in self._calls.keys() - there.keys():
            del self._calls[name]
        for name, pod in there.items():
            asked = self._calls.setdefault(name, _Calls(partial(self._new_calls, name)))
            asked.every_s = _ENDING_S if is_ending(pod) else _CALLS_S
            asked.runs = is_running(pod)
            yield Source(f"router/{name}", asked.tail, partial(call, self._workspace))

    def _new_calls(self, pod: str, known: Position | None, most: int, lines: int) -> Tail:
        place = known and known.model_dump()
        given: dict[str, Any] = {"known": place, "bytes": most, "lines": lines}
        return read(self._questions.ask(pod, "new_calls", within_s=_ANSWER_S, **given))

    # -- what instances print ------------------------------------------------------------------

    def _of_instances(self, pods: Iterable[Object]) -> Iterator[Source]:
        there = {str(pod["metadata"].get("uid")): pod for pod in pods}
        for uid, pod in there.items():
            self._know(pod)
            if uid not in self._printed and _seen(pod).run >= 0:
                self._printed[uid] = self._begun(uid, pod)
        for uid, one in [*self._printed.items()]:
            gone = one.log.seen._replace(is_gone=True)
            one.log.look(_seen(there[uid]) if uid in there else gone)
            if one.log.is_read:
                one.log.close()
                del self._printed[uid]
                continue
            yield Source(one.name, one.log.tail, one.row)

    def _begun(self, uid: str, pod: Object) -> "_Printed":
        follows = len(self._printed) < MOST
        asks: Asks = partial(self._asked, name_of(pod)) if follows else _refuses(name_of(pod))
        deployment = names.deployment_of(labels_of(pod))
        of = ResourceId(kind=Kind.DEPLOYMENT, workspace=self._workspace, name=deployment)
        return _Printed(of, uid, ConsoleLog(name_of(pod), uid, asks, self._room))

    def _asked(self, pod: str, asked: Mapping[str, str]) -> Iterator[str]:
        return self._logs.logs(self._namespace, pod, container=SERVER, **asked)

    # -- what happened -------------------------------------------------------------------------

    def _know(self, pod: Object) -> None:
        about = labels_of(pod)
        self._named.setdefault(about.get(names.OBJECT, name_of(pod)), names.deployment_of(about))
        while len(self._named) > _MOST_NAMES:
            del self._named[next(iter(self._named))]

    def _happened(self) -> Iterable[Event]:
        listed = self._client.items(EVENT, self._namespace, fields=OF_PODS)
        return [*self._kept.events(), *happened(listed, self._named)]


class _Calls:
    """The access log of one pod of the router, which is asked for no more often than it grows."""

    def __init__(self, ask: Callable[[Position | None, int, int], Tail]) -> None:
        self._ask = ask
        self._next_s = 0.0
        self.every_s = _CALLS_S
        self.runs = False
        """Whether it can be asked; the log of one that is started again is there still."""
        self._left = 0

    def tail(self, known: Position | None, most_bytes: int, most_lines: int) -> Tail:
        now_s = time.monotonic()
        if now_s < self._next_s or not self.runs:
            return Tail([], known, known, self._left, lost=False)
        self._next_s = now_s + _SILENT_S
        found = self._ask(known, most_bytes, most_lines)
        self._left = found.left + sum(len(line.text) + 1 for line in found.lines)
        self._next_s = now_s if found.lines or found.lost else now_s + self.every_s
        return found


class _Printed:
    """What one pod prints, and which rows that is."""

    def __init__(self, of: ResourceId, uid: str, log: ConsoleLog) -> None:
        self._of = of
        self.log = log
        self.name = f"logs/{of.name}/{log.pod}/{uid[:8]}"

    def row(self, line: Line) -> Row:
        """Return a line; where it ends is when it was written."""
        time_ = datetime.fromtimestamp(line.end / 1_000_000_000, UTC)
        text = line.text.decode(errors="replace")
        return console_row(self._of, LogLine(self.log.pod, text, time_))


def _role(pod: Object) -> str:
    return labels_of(pod).get(names.ROLE, "")


def _seen(pod: Object) -> Seen:
    """Return how its server is; one that waits to be started again has been started before."""
    for one in pod["status"].get("containerStatuses") or ():
        state, before = one.get("state") or {}, one.get("lastState") or {}
        began = "running" in state or "terminated" in state or "terminated" in before
        if one.get("name") == SERVER and began:
            return Seen(int(one.get("restartCount") or 0), "running" in state)
    return Seen()


def _refuses(pod: str) -> Asks:
    def asks(_asked: Mapping[str, str]) -> Iterator[str]:
        reason = f"{MOST} logs of instances are followed already"
        remedy = "collect logs by an agent on each node"
        raise TargetError("follow", f"the log of pod {pod}", reason, remedy)

    return asks
