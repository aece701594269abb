"""How the alerts of a workspace in a cluster stand, and what its service tells of endpoints.

A ConfigMap that the service writes and every client reads. It has no webhook in it. One of the same
name that somebody else has made stays as it is.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from inference_provider.errors import TargetError
from inference_provider.targets.event_log import events_in
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import of_another
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import CONFIG_MAP, Object, name_of, selector
from inference_provider.targets.kubernetes.refusals import Conflict, NotThere
from inference_provider.workspace.alert_states import States, read
from inference_provider.workspace.statuses import Event

ROLE = "alerts"
"""Role, as a label."""
_STATES, _EVENTS = "states.json", "events.jsonl"
_MOST = 200
"""Events that are kept: 100 kB of a ConfigMap, which may have a mebibyte."""


class KeptAlerts:
    """That ConfigMap of one workspace.

    Args:
        client: Its cluster.
        namespace: Where it is.
        workspace: Its name.
    """

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = names.labels(workspace, ROLE)
        self._selector = selector(names.selecting(workspace, ROLE))
        self._events = deque[str](maxlen=_MOST)
        self._untold = False
        """Whether there are events that are not written down yet."""
        self._uid = ""
        """Of the one that this service has made, or found: no other one is written."""
        self.is_written = False
        """Whether this service has written down how alerts stand."""
        self._lock = threading.RLock()
        """Alerts and rollouts are told of by threads of their own."""

    def states(self) -> States:
        """Return how alerts stand; nothing while nobody has watched any. Raises TargetError."""
        return read(self._part(_STATES).encode())

    def events(self) -> Iterator[Event]:
        """Yield what happened to endpoints, oldest first. Raises TargetError."""
        for event in events_in(self._part(_EVENTS).encode().splitlines()):
            with suppress(ValueError):  # of a newer release
                yield Event.model_validate(event)

    def _part(self, name: str) -> str:
        return _part(self._found(), name)

    def _found(self) -> Object | None:
        listed = self._client.items(CONFIG_MAP, self._namespace, self._selector)
        return next((one for one in listed if name_of(one) == names.ALERTS_NAME), None)

    @property
    def is_there(self) -> bool:
        """Whether somebody has watched alerts."""
        return self._found() is not None

    def forget(self) -> None:
        """Remove it: other alerts may have the names of those that are gone."""
        if found := self._found():
            uid = found["metadata"]["uid"]
            self._client.delete(CONFIG_MAP, self._namespace, names.ALERTS_NAME, uid=uid)

    # -- by the service ------------------------------------------------------------------------

    def begin(self) -> str:
        """Make it, unless it is there; return what it says of states.

        Raises:
            OwnedByAnother: Somebody else has made one of its name.
            TargetError: It can be neither made nor read.
        """
        with self._lock:
            if self._uid:
                return self._part(_STATES)
            found = self._made({})
            before = _part(found, _EVENTS).splitlines()
            self._events = deque([*before, *self._events], maxlen=_MOST)
            return _part(found, _STATES)

    def _made(self, data: Mapping[str, str]) -> Object:
        """Make it; return that which is there where that is ours. Raises OwnedByAnother."""
        about = {"name": names.ALERTS_NAME, "namespace": self._namespace, "labels": self._labels}
        empty = {"apiVersion": CONFIG_MAP.api, "kind": CONFIG_MAP.name, "metadata": about}
        made: Object | None
        try:
            made = self._client.create({**empty, "data": {**data}} if data else empty)
        except Conflict:
            made = self._found()
            if made is None:
                raise of_another(self._client, empty) from None
        self._uid = made["metadata"]["uid"]
        return made

    def tell(self, endpoint: str, name: str, message: str) -> None:
        """Have an event of an endpoint written down with what is written next."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"time": now, "deployment": endpoint, "instance": ""}
        with self._lock:
            self._events.append(json.dumps({**event, "name": name, "message": message}))
            self._untold = True

    def tell_now(self, endpoint: str, name: str, message: str) -> None:
        """Write down an event of an endpoint, also where nobody watches alerts.

        What cannot be written now is written with what comes next.
        """
        with self._lock, suppress(TargetError):
            self.tell(endpoint, name, message)
            self.begin()
            self._write({})

    def write(self, states: str) -> None:
        """Write down how alerts stand, again where somebody has deleted it.

        Raises:
            OwnedByAnother: Somebody else has made one of its name meanwhile.
            TargetError: It cannot be written.
        """
        with self._lock:
            self._write({_STATES: states})
            self.is_written = True

    def _write(self, data: Mapping[str, str]) -> None:
        events = {_EVENTS: "\n".join(self._events)}
        own = {"uid": self._uid, "labels": self._labels}  # another one is refused
        change = {"metadata": own, "data": {**data, **(events if self._untold else {})}}
        try:
            self._client.merge(CONFIG_MAP, self._namespace, names.ALERTS_NAME, change)
        except (Conflict, NotThere):
            self._made({**data, **events})  # or the next look writes into that which is there
            return
        self._untold = False


def _part(one: Object | None, name: str) -> str:
    data: Mapping[str, str] = (one or {}).get("data") or {}
    return data.get(name, "")
