"""A port of a pod on this machine: through the API server, as `kubectl port-forward` does it.

What arrives on a socket of this user goes into one websocket a connection. There the first byte of
a message is its channel: 0 is what is sent and received, 1 what went wrong. The first message of
each channel is the number of the port.
"""

import shutil
import socket
import tempfile
import threading
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.connection import MANAGER

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

PROTOCOL = "v4.channel.k8s.io"
_DATA, _FAULT = 0, 1
_PIECE = 2**16
_OPEN_S = 20.0
_SHOWN = 300


class PortForward:
    """A Unix socket, for this user alone, that leads to a port of a pod."""

    def __init__(self, client: Client, namespace: str, pod: str, port: int) -> None:
        """Open the way.

        Raises:
            TargetError: The API server does not open it; says why.
        """
        self._client = client
        self._what = f"port {port} of pod '{pod}' in namespace '{namespace}'"
        self._path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}"
        self._causes: list[str] = []
        self._first: list[_Channel] = [self._opened()]  # refused at once, if at all
        folder = Path(tempfile.mkdtemp(prefix="inference-forward-"))
        self.socket = folder / "sock"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.close = weakref.finalize(self, _end, self._server, self._first, folder)
        """Ends the way; at the end of the process at the latest."""
        self._server.bind(str(self.socket))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def cause(self) -> str:
        """Return what the pod's node said last that was wrong; empty when it said nothing."""
        return self._causes[-1][:_SHOWN] if self._causes else ""

    def _serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                accepted, _ = self._server.accept()
                threading.Thread(target=self._carry, args=(accepted,), daemon=True).start()

    def _carry(self, accepted: socket.socket) -> None:
        """Carry one connection, until either side ends it."""
        with accepted:
            try:
                channel = self._first.pop() if self._first else self._opened()
            except Exception as fault:  # noqa: BLE001 - whoever asks for the cause is told
                self._causes.append(str(fault))
                return
            threading.Thread(target=channel.send, args=(accepted,), daemon=True).start()
            channel.receive(accepted, self._causes)

    def _opened(self) -> "_Channel":
        from websockets.exceptions import InvalidStatus, WebSocketException  # noqa: PLC0415
        from websockets.sync.client import connect  # noqa: PLC0415
        from websockets.typing import Subprotocol  # noqa: PLC0415

        access, stack = self._client.access, ExitStack()
        server, token = urlsplit(access.server), access.token()
        secured = server.scheme == "https"
        try:
            connection = connect(
                "ws" + access.server.removeprefix("http") + self._path,
                ssl=access.current_tls() if secured else None,
                server_hostname=(access.server_name or server.hostname) if secured else None,
                subprotocols=[Subprotocol(PROTOCOL)],
                additional_headers={"authorization": f"Bearer {token}"} if token else {},
                user_agent_header=MANAGER,
                compression=None,
                proxy=access.proxy or True,
                open_timeout=_OPEN_S,
            )
            return _Channel(stack, stack.enter_context(connection))
        except InvalidStatus as refused:
            said = refused.response
            answer = httpx.Response(said.status_code, content=bytes(said.body or b""))
            raise self._client.fault("forward", self._what, answer) from refused
        except (WebSocketException, OSError) as fault:  # a TimeoutError is an OSError
            raise self._client.unreachable("forward", self._what, fault) from fault


class _Channel:
    """One connection to the pod."""

    def __init__(self, stack: ExitStack, connection: "ClientConnection") -> None:
        self._connection = connection
        self.close = stack.close

    def send(self, source: socket.socket) -> None:
        """Send what a socket has, until it ends."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        with suppress(OSError, ConnectionClosed):
            while piece := source.recv(_PIECE):
                self._connection.send(bytes([_DATA]) + piece)
        self.close()  # a half of a connection cannot be closed here

    def receive(self, sink: socket.socket, causes: list[str]) -> None:
        """Give a socket what comes, until the pod ends it."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        begun: set[int] = set()
        with suppress(OSError, ConnectionClosed):
            while message := bytes(self._connection.recv(decode=False)):
                channel, content = message[0], message[1:]
                if channel not in begun:
                    begun.add(channel)
                elif channel == _FAULT:
                    causes.append(" ".join(content.decode(errors="replace").split()))
                    break
                else:
                    sink.sendall(content)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        self.close()


def _end(server: socket.socket, unused: "list[_Channel]", folder: Path) -> None:
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
    server.close()
    for channel in unused:
        channel.close()
    shutil.rmtree(folder, ignore_errors=True)
