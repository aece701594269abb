"""Where requests wait until their deployment has an instance: what the router's filter asks.

Envoy keeps the requests, and asks here for each of them whether it may go on, by HTTP over a Unix
socket in the router's folder (`router/holding.py`). An answer comes when Envoy itself sees a
healthy instance, or the deployment's patience ends. A caller that gives up is gone here too,
because Envoy then closes the connection.

Whoever publishes asks `with_held` which deployments hold their requests, and is told by `changed`
when that is another answer. Where others publish, `follow` takes over what they do.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.router.holding import (
    LONGEST_PATIENCE_S,
    MOST,
    MOST_OF_ONE,
    SOCKET,
    asked_of,
    kept_bytes,
    with_held,
)
from inference_provider.router.status import Traffic, traffic_of, traffic_stats
from inference_provider.router.table import DeploymentEntry, EndpointEntry
from inference_provider.targets.envoy.former_patience import FormerPatience
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.envoy.waiting_line import Most, WaitingLine, retry_after_s, takes

_LOOK_S = (0.02, 0.25)
"""Pause between two looks at instances that requests wait for: while they come, and otherwise."""
_CROWD_S = 10.0
"""Time after which new requests do not wait, though some that came before still do: who sends more
than the instances take is told so, as ever."""
_AT_ONCE = 100
"""Deployments that one query asks about: Envoy refuses one of more than 60 KiB."""
_LONGEST_HEAD = 256 * 1024
_BACKLOG, _ACCEPTED = 2048, 128
"""Connections that come at once, and that asyncio takes at once: where no file can be opened it
tries, and logs, as often as that."""
_GOES_ON = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def _nothing() -> None:
    """Do nothing, and tell nobody."""


class WaitingRoom:
    """That of one router.

    Args:
        folder: The router's, which only its owner enters.
        admin: Says what goes to deployments.
        changed: Called when `with_held` would return something else.
        most: What waits at a time: of all deployments, and of one.
        catch_up: Called before anything is decided; for who calls `follow`.
        begun: Called when a request waits as the first one for a deployment without an instance.
    """

    def __init__(
        self,
        folder: Path,
        admin: RouterAdmin,
        changed: Callable[[], None],
        most: Most = (MOST, MOST_OF_ONE),
        *,
        catch_up: Callable[[], None] = _nothing,
        begun: Callable[[], None] = _nothing,
    ) -> None:
        self._most = most
        self._catch_up = catch_up
        self._begun = begun
        self._path = folder / SOCKET
        self._admin = admin
        self._changed = changed
        self._deciding = threading.Lock()
        self._deployments: Mapping[str, DeploymentEntry] | None = None
        self._patient: set[str] = set()
        """Those of them that may have no instance."""
        self._awake: set[str] = set()
        self._lines: dict[str, WaitingLine] = {}
        self._former = FormerPatience()
        self._since_s: dict[str, float] = {}
        """When a deployment that is not awake was first seen to have a healthy instance."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._open = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self.changes = 0
        """How often `with_held` has come to return something else."""

    def start(self) -> None:
        """Answer from now on; the folder is there."""
        self._thread.start()
        self._open.wait()

    def lives(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    def waiting(self) -> Mapping[str, int]:
        """Return how many requests wait, by `<endpoint>/<deployment>`."""
        return {name: count for name, line in [*self._lines.items()] if (count := len(line))}

    def with_held(self, endpoints: tuple[EndpointEntry, ...]) -> tuple[EndpointEntry, ...]:
        """Return endpoints to publish; those that hold requests say so."""
        with self._deciding:
            asked = _by_name(endpoints)
            self._awake = {n for n in self._awake if n in asked and asked[n].backends}
            kept = self._former.kept(asked, self._awake, time.monotonic())
            found = with_held(endpoints, self._awake, kept)
            self._learn(_by_name(found))
        return found

    def follow(self, endpoints: tuple[EndpointEntry, ...]) -> None:
        """Take over what others are about to publish, with what holds requests there."""
        with self._deciding:
            told = _by_name(endpoints)
            self._awake = {
                name
                for name, one in told.items()
                if one.backends and (not one.held or self._stays_awake(name, one))
            }
            self._learn(told)

    def woken(self) -> tuple[str, ...]:
        """Return deployments that need hold no request any more, though `follow` said they do."""
        with self._deciding:
            known = self._deployments or {}
            return tuple(sorted(n for n in self._awake if n in known and known[n].held))

    def _stays_awake(self, name: str, now: DeploymentEntry) -> bool:
        """Whether an instance still gets requests that was found to take them."""
        before = (self._deployments or {}).get(name)
        kept = before is not None and not {*before.backends}.isdisjoint(now.backends)
        return kept and name in self._awake

    def _learn(self, deployments: Mapping[str, DeploymentEntry]) -> None:
        self._deployments = deployments
        self._patient = {name for name, one in deployments.items() if one.patience_s}
        if self._loop and self._news:
            self._loop.call_soon_threadsafe(self._news.set)

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._path.unlink(missing_ok=True)
        listens = socket.socket(socket.AF_UNIX)
        listens.bind(str(self._path))
        os.chmod(self._path, 0o600)
        server = await asyncio.start_unix_server(
            self._converse, sock=listens, limit=_LONGEST_HEAD, backlog=_ACCEPTED
        )
        listens.listen(_BACKLOG)
        self._open.set()
        async with server:
            await self._move_on()

    async def _move_on(self) -> None:
        """Let requests go on as instances take them, for ever."""
        assert self._news is not None
        until_s, pause_s = 0.0, _LOOK_S[1]
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), pause_s)
                until_s = time.monotonic() + _CROWD_S
            self._news.clear()
            self._catch_up()
            for line in self._lines.values():
                line.refuse_late(time.monotonic())
            if self._former.ends(time.monotonic()):
                self._tell()
            looked = self._looked_at()
            if looked:
                found = await asyncio.to_thread(self._look, tuple(looked))
                for name, traffic in found.items():
                    self._move(name, looked[name], traffic)
            soon = time.monotonic() < until_s or self._since_s
            pause_s = _LOOK_S[0] if looked and soon else _LOOK_S[1]

    def _looked_at(self) -> dict[str, DeploymentEntry]:
        """Return deployments that have instances, and hold requests still."""
        if (known := self._deployments) is None:
            return {}
        for name in self._lines.keys() - known.keys():
            self._lines.pop(name).refuse_all()
        found = {
            name: known[name]
            for name in (self._patient | self._lines.keys()) & known.keys()
            if known[name].backends and (self._lines.get(name) or self._sleeps(name, known[name]))
        }
        for name in self._since_s.keys() - found.keys():
            del self._since_s[name]  # the next instance gets its own time
        return found

    def _sleeps(self, name: str, one: DeploymentEntry) -> bool:
        return bool(one.patience_s) and name not in self._awake

    def _look(self, deployments: tuple[str, ...]) -> dict[str, Traffic]:
        found: dict[str, Traffic] = {}
        with suppress(TargetError):  # it starts, or ends
            for first in range(0, len(deployments), _AT_ONCE):
                some = deployments[first : first + _AT_ONCE]
                seen = self._admin.stats(traffic_stats(some))
                found |= {name: traffic_of(name, seen) for name in some}
        return found

    def _move(self, name: str, deployment: DeploymentEntry, traffic: Traffic) -> None:
        line, now_s = self._lines.get(name), time.monotonic()
        if line:
            line.move(deployment, traffic, now_s)
        if not traffic.healthy or not self._sleeps(name, deployment):
            self._since_s.pop(name, None)
            return
        if line and now_s < self._since_s.setdefault(name, now_s) + _CROWD_S:
            return
        self._since_s.pop(name, None)
        with self._deciding:
            known = (self._deployments or {}).get(name)
            if known is None or known.backends != deployment.backends:
                return
            self._awake.add(name)
        self._tell()

    def _tell(self) -> None:
        self.changes += 1
        self._changed()

    # -- one connection ------------------------------------------------------------------------

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                answer = await self._answer(head.decode(errors="replace"), reader)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if answer is not _GOES_ON:  # a crowd that is refused keeps no files open
                    break
        writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader) -> bytes | None:
        """Return the answer about a request; None where its caller has given up."""
        self._catch_up()
        name, body_bytes = asked_of(head.split(" ", 2)[1]), kept_bytes(head)
        known = self._deployments
        deployment = (known or {}).get(name)
        if known is not None and deployment is None:
            return _refusal(1)
        patience_s = deployment.patience_s if deployment else 0
        if name in self._awake:
            return _GOES_ON
        line = self._lines.setdefault(name, WaitingLine())
        if not takes(self._lines.values(), line, body_bytes, self._most):
            return _refusal(retry_after_s(patience_s))
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def go_on(may: bool) -> None:
            if not told.done():
                told.set_result(may)

        line.join(go_on, time.monotonic() + (patience_s or LONGEST_PATIENCE_S), body_bytes)
        if len(line) == 1 and not (deployment and deployment.backends):
            self._begun()
        gone = asyncio.ensure_future(reader.read(1))
        try:
            both: set[asyncio.Future[Any]] = {told, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                return None
            return _GOES_ON if told.result() else _refusal(retry_after_s(patience_s))
        finally:
            line.leave(go_on)
            gone.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await gone


def _by_name(endpoints: tuple[EndpointEntry, ...]) -> dict[str, DeploymentEntry]:
    return {f"{one.name}/{d.name}": d for one in endpoints for d in one.deployments}


def _refusal(retry_after_s: int) -> bytes:
    """Return a refusal, of which Envoy makes its own; of a 503 it would drop the header."""
    return (
        f"HTTP/1.1 403 Forbidden\r\nretry-after: {retry_after_s}\r\n"
        "connection: close\r\ncontent-length: 0\r\n\r\n"
    ).encode()
