"""How the alerts of a workspace in a cluster stand, and what its service tells of endpoints.

A ConfigMap that the service writes and every client reads. It has no webhook in it.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from inference_provider.errors import TargetError
from inference_provider.targets.event_log import events_in
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kept_parts import KeptParts, Parts
from inference_provider.workspace.alert_states import States, read
from inference_provider.workspace.statuses import Event

ROLE = "alerts"
"""Role, as a label."""
_STATES, _EVENTS = "states.json", "events.jsonl"
_MOST = 200
"""Events that are kept: 100 kB of a ConfigMap, which may have a mebibyte."""
STATES_BYTES = 750_000
"""How much of it may say how alerts stand."""


class KeptAlerts:
    """That ConfigMap of one workspace.

    Args:
        client: Its cluster.
        namespace: Where it is.
        workspace: Its name.
    """

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        where = client, namespace, workspace
        self._kept = KeptParts(*where, name=names.ALERTS_NAME, role=ROLE)
        self._events = deque[str](maxlen=_MOST)
        self._untold = False
        """Whether there are events that are not written down yet."""
        self.is_written = False
        """Whether this service has written down how alerts stand."""
        self._lock = threading.RLock()
        """Alerts and rollouts are told of by threads of their own."""

    def states(self) -> States:
        """Return how alerts stand; nothing while nobody has watched any. Raises TargetError."""
        return read(self._kept.all().get(_STATES, "").encode())

    def events(self) -> Iterator[Event]:
        """Yield what happened to endpoints, oldest first. Raises TargetError."""
        for event in events_in(self._kept.all().get(_EVENTS, "").encode().splitlines()):
            with suppress(ValueError):  # of a newer release
                yield Event.model_validate(event)

    @property
    def is_there(self) -> bool:
        """Whether somebody has watched alerts."""
        return self._kept.is_there

    def forget(self) -> None:
        """Remove it: other alerts may have the names of those that are gone."""
        self._kept.forget()

    # -- by the service ------------------------------------------------------------------------

    def begin(self) -> str:
        """Make it, unless it is there; return what it says of states.

        Raises:
            OwnedByAnother: Somebody else has made one of its name.
            TargetError: It can be neither made nor read.
        """
        with self._lock:
            if self._kept.is_begun:
                return self._kept.all().get(_STATES, "")
            found = self._kept.begin()
            before = found.get(_EVENTS, "").splitlines()
            self._events = deque([*before, *self._events], maxlen=_MOST)
            return found.get(_STATES, "")

    def expire(self, before: datetime) -> None:
        """Remove the events of before a time. Raises TargetError; the next time tries again."""
        with self._lock:
            if not self._kept.is_begun:
                if not self.is_there:
                    return
                self.begin()
            lines = [one for one in self._events if not _is_before(one, before)]
            if len(lines) == len(self._events):
                return
            self._events = deque(lines, maxlen=_MOST)
            self._untold = True
            self._write({})

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

    def _write(self, data: Parts) -> None:
        events = {_EVENTS: "\n".join(self._events)}
        every = {**data, **events}
        if self._kept.write(every if self._untold else data, every):
            self._untold = False


def _is_before(line: str, limit: datetime) -> bool:
    """Whether an event is of before a time; one without a time that can be read is."""
    with suppress(ValueError, KeyError, TypeError):
        return datetime.fromisoformat(json.loads(line)["time"]) < limit
    return True
