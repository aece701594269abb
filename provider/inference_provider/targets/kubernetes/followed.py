"""The objects of a workspace's instances, told by watches while any deployment starts.

All starts of this process share them, so waiting costs no request of its own. A watch says nothing
when it is silent, so who waits asks for itself now and then (`pod_wait.py`).
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client, Expired
from inference_provider.targets.kubernetes.objects import (
    Kind,
    Object,
    labels_of,
    name_of,
    version_of,
)

WATCH_S = 10
"""Time after which a watch is begun again; one that nobody needs any more ends by then."""
LINGER_S = 20.0
"""Time for which they are followed after the last one needed them: others wait for the router."""
_PAUSE_S = 0.5
_UNKNOWN = -1

Named = tuple[Kind, str]


class Followed:
    """Objects of some kinds, by deployment, as long as anybody needs them.

    Args:
        client: The cluster's API.
        namespace: Where they are.
        selector: Labels that all have.
        kinds: Which kinds.
    """

    def __init__(
        self, client: Client, namespace: str, selector: str, kinds: Sequence[Kind]
    ) -> None:
        self._client = client
        self._place = namespace, selector
        self._changing = threading.Lock()
        self._users, self._left_s = 0, float("-inf")
        self._kinds = {kind: _Told(kind) for kind in kinds}
        self._waiting: dict[str, set[threading.Event]] = {}

    @contextmanager
    def news(self, deployment: str) -> Iterator[threading.Event]:
        """Follow for the time of a block; the event is set when something of a deployment changes.

        Args:
            deployment: `<endpoint>/<deployment>`.
        """
        event = threading.Event()
        with self._changing:
            self._users += 1
            self._waiting.setdefault(deployment, set()).add(event)
            for told in self._kinds.values():
                if not told.runs:
                    told.runs = True
                    threading.Thread(target=self._run, args=(told,), daemon=True).start()
        try:
            yield event
        finally:
            with self._changing:
                self._users, self._left_s = self._users - 1, time.monotonic()
                self._waiting[deployment].discard(event)
                if not self._waiting[deployment]:
                    del self._waiting[deployment]

    def there(self, deployment: str, seen: Mapping[Kind, int]) -> dict[Named, Object] | None:
        """Return the objects of a deployment; None where they are not known now.

        Args:
            deployment: `<endpoint>/<deployment>`.
            seen: Version of each kind that they must not be older than.
        """
        with self._changing:
            if not all(told.version >= seen.get(kind, 0) for kind, told in self._kinds.items()):
                return None
            return {
                (kind, name): one
                for kind, told in self._kinds.items()
                for name, one in told.objects.get(deployment, {}).items()
            }

    # -- what the API server tells -------------------------------------------------------------

    def _run(self, told: "_Told") -> None:
        while self._goes_on(told):
            try:
                if told.version == _UNKNOWN:
                    found = self._client.listed(told.kind, *self._place)
                    with self._changing:
                        told.become(found)
                        self._tell(*self._waiting)
                self._follow(told)
            except Exception as fault:  # noqa: BLE001 - who waits asks for itself meanwhile
                with self._changing:
                    told.version = _UNKNOWN
                if not isinstance(fault, Expired):
                    time.sleep(_PAUSE_S)

    def _goes_on(self, told: "_Told") -> bool:
        with self._changing:
            told.runs = self._is_needed()
            if not told.runs:
                told.version, told.objects = _UNKNOWN, {}
            return told.runs

    def _follow(self, told: "_Told") -> None:
        namespace, chosen = self._place
        version = str(told.version)
        for event in self._client.watch(told.kind, namespace, version, chosen, WATCH_S):
            with self._changing:
                told.version = int(version_of(event.object))
                if event.type != "BOOKMARK":
                    self._tell(told.take(event.type, event.object))
                if not self._is_needed():
                    return

    def _is_needed(self) -> bool:
        return bool(self._users) or time.monotonic() < self._left_s + LINGER_S

    def _tell(self, *deployments: str) -> None:
        for deployment in deployments:
            for event in self._waiting.get(deployment, ()):
                event.set()


class _Told:
    """What is known of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.runs = False
        self.version = _UNKNOWN
        """What is known is as new as this."""
        self.objects: dict[str, dict[str, Object]] = {}

    def become(self, found: Object) -> None:
        self.version, self.objects = int(version_of(found)), {}
        for one in found["items"]:
            self.take("ADDED", one)

    def take(self, type_: str, one: Object) -> str:
        """Take over what became of an object, and return its deployment."""
        deployment = names.deployment_of(labels_of(one))
        there = self.objects.setdefault(deployment, {})
        if type_ == "DELETED":
            there.pop(name_of(one), None)
        else:
            there[name_of(one)] = {"apiVersion": self.kind.api, "kind": self.kind.name, **one}
        return deployment
