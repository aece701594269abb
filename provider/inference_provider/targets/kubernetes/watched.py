"""All objects of one kind in a namespace, kept in memory as the API server tells of them.

Lists, then watches. A watch says nothing when it is silent: an API server that came back with an
older store sends no event, and a connection may be cut without notice. So everything is listed
again after each watch, which ends every two minutes, and whenever somebody asks for it.
"""

import random
import threading
import time
from collections.abc import Callable

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes.client import Client, Event, Expired
from inference_provider.targets.kubernetes.objects import Kind, Object, name_of, version_of

LONGEST_PAUSE_S = 1.0
_FIRST_PAUSE_S = 0.05


class Watched:
    """Objects of one kind.

    Args:
        client: Whom to ask.
        kind: Which kind.
        namespace: Where.
        selector: Labels that they have.
        changed: Called after each change, in the thread that saw it.
        failed: Called with what the API server answers when it does not tell.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        namespace: str,
        selector: str,
        *,
        changed: Callable[[], None],
        failed: Callable[[TargetError], None] = lambda _fault: None,
    ) -> None:
        self._client = client
        self._asked = kind, namespace
        self._selector = selector
        self._changed = changed
        self._failed = failed
        self._objects: dict[str, Object] = {}
        self._version = 0
        """That of the last list: an event up to it is old."""
        self._told: list[Event] = []
        """Events that came during a list, which may not have them."""
        self._changing = threading.Lock()
        self._listing = threading.Lock()
        self.known = False
        """Whether they were ever listed."""
        self.fault: TargetError | None = None
        """Why they are not told now."""
        self.changes = 0
        """How often they have changed."""

    def objects(self) -> list[Object]:
        """Return them as they are known now."""
        with self._changing:
            return list(self._objects.values())

    def refresh(self) -> str:
        """List them now, and return the version that a watch goes on from.

        Raises:
            TargetError: The API server does not answer, or refuses.
        """
        with self._listing:
            self._told = []
            found = self._client.listed(*self._asked, self._selector)
            objects = {name_of(one): one for one in found["items"]}
            with self._changing:
                before, self._objects = self._objects, objects
                self._version = int(version_of(found))
                for event in self._told:
                    self._take(event)
                differ = not self.known or _versions(before) != _versions(objects)
                self.known = True
        self.fault = None
        if differ:
            self._tell()
        return version_of(found)

    def run(self) -> None:
        """Follow them until the client is closed."""
        pause_s = _FIRST_PAUSE_S
        while not self._client.closed:
            try:
                self._follow(self.refresh())
                pause_s = _FIRST_PAUSE_S
            except Expired:
                pass
            except (TargetError, ValueError) as fault:  # ValueError: half a line
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                if isinstance(fault, TargetError):
                    self.fault = fault
                    self._failed(fault)
            except RuntimeError:  # httpx's, of a client that was closed meanwhile
                if not self._client.closed:
                    raise
            time.sleep(pause_s * random.uniform(0.7, 1.0))

    def _follow(self, version: str) -> None:
        for event in self._client.watch(*self._asked, version, self._selector):
            if event.type == "BOOKMARK":
                continue
            with self._changing:
                if self._listing.locked():
                    self._told.append(event)
                is_new = self._take(event)
            if is_new:
                self._tell()

    def _tell(self) -> None:
        self.changes += 1
        self._changed()

    def _take(self, event: Event) -> bool:
        """Take over what an event tells; return whether a list has not told it."""
        if int(version_of(event.object)) <= self._version:
            return False
        if event.type == "DELETED":
            self._objects.pop(name_of(event.object), None)
        else:
            self._objects[name_of(event.object)] = event.object
        return True


def _versions(objects: dict[str, Object]) -> dict[str, str]:
    return {name: version_of(one) for name, one in objects.items()}
