"""What leads into a network of an instance's own and out of it: Unix sockets, which pass its wall.

One process beside the server takes connections on each side and passes bytes. In: the socket in the
state folder on which the router finds the instance, to the port that its server knows. Out: a port
of loopback, to the socket of the router's forward proxy. It ends with the server, after what that
has said last. Imports only the standard library: `launch.py` starts it.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from inference_provider.targets.local.own_network import PROXY_PORT, Passages

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_HOST = "127.0.0.1"
_LISTENING = "0A"
"""A state of a TCP socket in /proc."""
_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG`."""
_LOOK_S = 0.02
_LAST_WORDS_S = 1.0
"""Longest time for what a server that has ended had sent, which is on its way."""
_WAITING = 1024
_SAID = (
    b"the router lets nothing out: the workspace has no outbound rule, or the router does not run\n"
)
_NO_PROXY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: %d\r\n" % len(_SAID)
_NO_PROXY += b"content-type: text/plain\r\nconnection: close\r\n\r\n" + _SAID
_PART = 1 << 18
"""Bytes that are passed at once; of two a connection is held up."""


def keep_open(asked: Passages) -> None:
    """Start the process beside this one, which is about to become the server, if one is needed."""
    outside = _listen(PROXY_PORT) if asked.proxy else None
    if outside is None and not asked.socket:
        return
    leader = os.getpid()
    if not os.fork():
        try:
            _end_with(leader)
            # not asyncio.run, which would tell of each connection that it cuts off at the end
            asyncio.new_event_loop().run_until_complete(_serve(asked, outside, leader))
        except Exception:  # noqa: BLE001 - nobody would reach the server: both start again
            traceback.print_exc()
            sys.stderr.flush()
            os.kill(leader, signal.SIGTERM)
        finally:
            os._exit(0)
    if outside:
        outside.close()


def _listen(port: int) -> socket.socket:
    return socket.create_server((_HOST, port), backlog=_WAITING)


def _end_with(leader: int) -> None:
    """Have the kernel send this process SIGTERM when the server ends, however it does."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != leader:  # it has ended before
        sys.exit()


async def _serve(asked: Passages, outside: socket.socket | None, leader: int) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def look() -> None:
        if os.getppid() != leader:  # else its group got it, and the server finishes its requests
            ended.set()

    loop.add_signal_handler(signal.SIGTERM, look)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    opened: list[asyncio.Server] = []
    flows: set[asyncio.Task[None]] = set()
    if outside:
        out = partial(asyncio.open_unix_connection, asked.proxy, limit=_PART)
        take = partial(_take, flows, out, _NO_PROXY)
        opened.append(await asyncio.start_server(take, sock=outside, limit=_PART))
    waits = loop.create_task(_open_inward(asked, flows, opened)) if asked.socket else None
    end = loop.create_task(ended.wait())
    if waits:
        await asyncio.wait({end, waits}, return_when=asyncio.FIRST_COMPLETED)
        if waits.done():
            waits.result()  # raises what went wrong
        waits.cancel()
    await end
    for one in opened:
        one.close()
    if flows:
        await asyncio.wait(flows, timeout=_LAST_WORDS_S)


async def _open_inward(
    asked: Passages, flows: set[asyncio.Task[None]], opened: list[asyncio.Server]
) -> None:
    """Listen for the router once the server listens: until then it is to be refused."""
    while not is_listened_on(asked.port):
        await asyncio.sleep(_LOOK_S)
    with suppress(FileNotFoundError):  # of a start before this one
        os.unlink(asked.socket)
    door = socket.socket(socket.AF_UNIX)
    door.bind(asked.socket)
    door.listen(_WAITING)
    inward = partial(asyncio.open_connection, _HOST, asked.port, limit=_PART)
    take = partial(_take, flows, inward, b"")
    opened.append(await asyncio.start_unix_server(take, sock=door, limit=_PART))


def is_listened_on(port: int) -> bool:
    """Whether anybody listens on a TCP port of this process's network."""
    lines = (
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
    )
    return any(at.endswith(f":{port:04X}") and state == _LISTENING for _, at, _, state, *_ in lines)


async def _take(
    flows: set[asyncio.Task[None]],
    connect: Callable[[], Awaitable[Ends]],
    otherwise: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Pass what one connection says to another, and its answer back.

    If the other cannot be reached, it is told `otherwise` and closed.
    """
    task = asyncio.current_task()
    assert task is not None
    flows.add(task)
    try:
        far_reader, far_writer = await connect()
    except OSError:
        await _end(reader, writer, otherwise)
    else:
        both = (writer.transport, far_writer.transport)
        await asyncio.gather(_pass(reader, far_writer, both), _pass(far_reader, writer, both))
        for one in both:
            one.close()
    finally:
        flows.discard(task)


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, saying: bytes) -> None:
    """End a connection that leads nowhere, once what it says has come: else it hears nothing."""
    with suppress(OSError, asyncio.TimeoutError):
        if saying:
            writer.write(saying)
            writer.write_eof()
            async with asyncio.timeout(_LAST_WORDS_S):
                while await reader.read(_PART):
                    pass
    writer.transport.abort()


async def _pass(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    both: tuple[asyncio.WriteTransport, ...],
) -> None:
    try:
        while part := await reader.read(_PART):
            writer.write(part)
            await writer.drain()
        writer.write_eof()
    except OSError:  # one side was cut off: so is the other
        for one in both:
            one.abort()
