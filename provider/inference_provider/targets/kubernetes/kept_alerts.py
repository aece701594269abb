"""How the alerts of a workspace in a cluster stand, and what its service tells of endpoints.

A ConfigMap that the service writes and every client reads. It has no webhook in it.
"""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from inference_provider.targets.event_log import events_in
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import CONFIG_MAP, Object, selector
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

    def states(self) -> States:
        """Return how alerts stand; nothing while nobody has watched any. Raises TargetError."""
        return read(self._part(_STATES).encode())

    def events(self) -> Iterator[Event]:
        """Yield what happened to endpoints, oldest first. Raises TargetError."""
        for event in events_in(self._part(_EVENTS).encode().splitlines()):
            with suppress(ValueError):  # of a newer release
                yield Event.model_validate(event)

    def _part(self, name: str) -> str:
        return next(((one.get("data") or {}).get(name, "") for one in self._found()), "")

    def _found(self) -> list[Object]:
        return self._client.items(CONFIG_MAP, self._namespace, self._selector)

    @property
    def is_there(self) -> bool:
        """Whether somebody has watched alerts."""
        return bool(self._found())

    def forget(self) -> None:
        """Remove it: other alerts may have the names of those that are gone."""
        self._client.delete(CONFIG_MAP, self._namespace, names.ALERTS_NAME)

    # -- by the service ------------------------------------------------------------------------

    def begin(self) -> str:
        """Make it, unless it is there; return what it says of states. Raises TargetError."""
        with suppress(Conflict):
            self._client.create(self._empty())
        self._events.extend(self._part(_EVENTS).splitlines())
        return self._part(_STATES)

    def _empty(self) -> Object:
        about = {"name": names.ALERTS_NAME, "namespace": self._namespace, "labels": self._labels}
        return {"apiVersion": CONFIG_MAP.api, "kind": CONFIG_MAP.name, "metadata": about}

    def tell(self, endpoint: str, name: str, message: str) -> None:
        """Have an event of an endpoint written down with the states that come next."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"time": now, "deployment": endpoint, "instance": ""}
        self._events.append(json.dumps({**event, "name": name, "message": message}))
        self._untold = True

    def write(self, states: str) -> None:
        """Write down how alerts stand, again where somebody has deleted it. Raises TargetError."""
        data = {_STATES: states}
        if self._untold:
            data[_EVENTS] = "\n".join(self._events)
        try:
            self._client.merge(CONFIG_MAP, self._namespace, names.ALERTS_NAME, {"data": data})
        except NotThere:
            whole = {_STATES: states, _EVENTS: "\n".join(self._events)}
            with suppress(Conflict):  # then the next look writes it
                self._client.create({**self._empty(), "data": whole})
        self._untold = False
