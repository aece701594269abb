"""Locks of a workspace in a cluster, against threads, other processes and other machines.

A lock is a Lease whose name is the lock's: the API server makes only one of a name. Whoever holds
it renews it; one that was not renewed for a while was left by a client that died, and is taken
over. Both times are of API servers, so no client's clock counts; where theirs may differ, a client
also watches that nobody renews it.

A client that slept longer than that has lost its lock. It learns it before it writes, and what it
then writes is refused, because the records have another version.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from inference_provider.errors import Busy, TargetError
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    LEASE,
    Object,
    name_of,
    selector,
    version_of,
)
from inference_provider.targets.kubernetes.refusals import Conflict, Forbidden, NotThere
from inference_provider.targets.shared_locks import WAIT_S, AmongThreads, Pauses, told

LEASE_S = 15
"""A lock that was not renewed for this long is free."""
_RENEW_S = 4.0
SURE_S, CERTAIN_S = 5.0, 60.0
"""Time for which a lock that has ended is watched: who holds it renews it meanwhile. And how long
ago one has ended that nobody holds, whatever clocks say."""
_AT_ONCE = 8
_SINCE = "acquireTime"


class LeaseLocks:
    """The locks of one workspace."""

    def __init__(self, client: Client, namespace: str, workspace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._workspace = workspace
        self._threads = AmongThreads()
        self._renewal = _Renewal(client, namespace)

    @contextmanager
    def lock(self, name: str, wait_s: float | None = None, who: str = "") -> Iterator["Held"]:
        """Hold one lock.

        Args:
            name: Which.
            wait_s: Longest wait, seconds; WAIT_S when None.
            who: Who holds it, for those that wait.

        Raises:
            Busy: Somebody else has it for that long.
        """
        limit_s = WAIT_S if wait_s is None else wait_s
        pauses = Pauses(time.monotonic() + limit_s)
        with self._threads.taken(name, limit_s, self._busy):
            held = self._taken(name, pauses, who)
            try:
                yield held
            finally:
                self._renewal.drop(held)
                self._release(held)

    def refuse_lost(self) -> None:
        """Raise Busy if another client may have any lock of this process by now."""
        for held in self._renewal.all():
            if held.lost:
                self._renewal.renew(held)  # where that works nobody else has had it
            if held.lost and held in self._renewal.all():  # not given back meanwhile
                raise self.taken_over()

    def taken_over(self) -> Busy:
        """Return the error of a client that has lost a lock."""
        reason = "this client did not answer for a while, and another one edits it by now"
        what = f"workspace '{self._workspace}'"
        return Busy("change", what, reason, "run this again", str(self._client))

    def _taken(self, name: str, pauses: Pauses, who: str) -> "Held":
        """Return the lock, once nobody else has it."""
        called, watched = lease_name(name), _Watched()
        while True:
            held = Held(called, f"{_where()} {uuid.uuid4().hex[:8]}")
            self._renewal.add(held)  # before it exists: an interrupt leaves none that is renewed
            made = None
            try:
                made = self._made(held, who)
            finally:
                if made is None:
                    self._renewal.drop(held)
            if made is not None:
                held.uid = made["metadata"]["uid"]
                return held
            there = self._client.get(LEASE, self._namespace, called)
            if there is None:
                continue
            age_s = self._age_s(there)
            if age_s > CERTAIN_S or (age_s > 0 and watched.unchanged(there)):
                self._remove(there)
                continue
            if pauses.over and not (age_s > 0 and watched.may_be_left):
                raise self._busy(_told(name, there))
            pauses.pause()

    def _made(self, held: "Held", who: str) -> Object | None:
        try:
            return self._client.create(
                {
                    "apiVersion": LEASE.api,
                    "kind": LEASE.name,
                    "metadata": {
                        "name": held.name,
                        "namespace": self._namespace,
                        "labels": names.labels(self._workspace, names.LOCK),
                        "annotations": {names.OWNER: who} if who else {},
                    },
                    "spec": {
                        "holderIdentity": held.identity,
                        "leaseDurationSeconds": LEASE_S,
                        _SINCE: _now(),
                        "renewTime": _now(),
                    },
                }
            )
        except Conflict:
            return None

    def _age_s(self, lease: Object) -> float:
        """Return how long ago a lock ended that was not renewed; 0 or less while it lasts.

        One API server has noted when it was renewed, and perhaps another one says what time it is.
        """
        written = max(
            (_seconds(entry["time"]) for entry in lease["metadata"].get("managedFields") or ()),
            default=0.0,
        )
        lasts_s = lease["spec"].get("leaseDurationSeconds") or LEASE_S
        return self._client.server_time_s() - written - lasts_s - 1.0  # both are whole seconds

    def _remove(self, lease: Object) -> None:
        about = lease["metadata"]
        with suppress(Conflict):  # it was renewed, or another client has taken it over
            version = about["resourceVersion"]
            self._client.delete(LEASE, self._namespace, about["name"], version=version)

    def tidy(self) -> None:
        """Remove locks that ended long ago, of killed clients: nobody may need those again."""
        chosen = selector(names.selecting(self._workspace, names.LOCK))
        with suppress(Forbidden):
            for lease in self._client.items(LEASE, self._namespace, chosen):
                if self._age_s(lease) > CERTAIN_S:
                    self._remove(lease)

    def clear(self) -> None:
        """Remove what killed clients have left; the locks of this process go by themselves."""
        ours = {held.name for held in self._renewal.all()}
        chosen = selector(names.selecting(self._workspace, names.LOCK))
        with suppress(Forbidden):  # they end by themselves
            for lease in self._client.items(LEASE, self._namespace, chosen):
                if name_of(lease) not in ours:
                    self._client.delete(LEASE, self._namespace, name_of(lease))

    def _release(self, held: "Held") -> None:
        with suppress(TargetError):  # it ends by itself when nobody renews it
            self._client.delete(LEASE, self._namespace, held.name, uid=held.uid)

    def _busy(self, reason: str) -> Busy:
        remedy = (
            "wait for that to end and run this again; the lock of a process that was killed ends"
            f" after about {LEASE_S + 1 + SURE_S:.0f} s"
        )
        return Busy("change", f"workspace '{self._workspace}'", reason, remedy, str(self._client))


class _Watched:
    """A lock that has ended by the clocks of API servers, of which one may be fast."""

    def __init__(self) -> None:
        self._version = ""
        self._since_s = 0.0
        self.may_be_left = True
        """Whether nobody was seen renewing it."""

    def unchanged(self, lease: Object) -> bool:
        """Whether nobody has renewed it while its holder would have, by this machine's clock."""
        now_s, version = time.monotonic(), version_of(lease)
        if version != self._version:
            self.may_be_left = not self._version
            self._version, self._since_s = version, now_s
        return now_s - self._since_s > SURE_S


class Held:
    """A lock that this process holds."""

    def __init__(self, name: str, identity: str) -> None:
        self.name = name
        self.identity = identity
        self.uid = ""
        self.until_s = time.monotonic() + LEASE_S
        """Moment until which it is certainly ours."""
        self.gone = False
        """Whether another client has taken it over."""

    @property
    def lost(self) -> bool:
        """Whether another client may have it by now."""
        return self.gone or time.monotonic() > self.until_s


class _Renewal:
    """Renews the locks of this process while it holds any."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._held: set[Held] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, held: Held) -> None:
        with self._changed:
            self._held.add(held)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def all(self) -> list[Held]:
        """Return the locks that are held."""
        with self._changed:
            return [one for one in self._held if one.uid]

    def drop(self, held: Held) -> None:
        with self._changed:
            self._held.discard(held)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(_RENEW_S)
                held = [one for one in self._held if one.uid]
                if not self._held:
                    self._thread = None
                    return
            with ThreadPoolExecutor(_AT_ONCE) as pool:  # one that hangs costs no other
                list(pool.map(self.renew, held))

    def renew(self, held: Held) -> None:
        began_s = time.monotonic()
        try:
            change = {"metadata": {"uid": held.uid}, "spec": {"renewTime": _now()}}
            self._client.merge(LEASE, self._namespace, held.name, change, quick=True)
        except (Conflict, NotThere):
            held.gone = True
        except TargetError:
            pass  # it is tried again, as long as it may be ours
        else:
            held.until_s = began_s + LEASE_S


def lease_name(lock: str) -> str:
    """Return what the Lease of a lock is called: `inference.edit`."""
    return f"inference.{names.short(lock)}"


def _where() -> str:
    return f"{socket.gethostname() or '-'}/{os.getpid()}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _told(name: str, lease: Mapping[str, Any]) -> str:
    machine, _, process = lease["spec"].get("holderIdentity", "-/-").split(" ")[0].rpartition("/")
    who = (lease["metadata"].get("annotations") or {}).get(names.OWNER, "")
    return told(name, process, machine, lease["spec"].get(_SINCE, "now")[:19], who)
