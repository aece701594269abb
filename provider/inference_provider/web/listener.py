"""The socket of the workspace service, and an event loop that ends slow TLS handshakes."""

import asyncio
import socket
import time
from typing import Any

from inference_provider.console.listener import Listener
from inference_provider.targets.web_told import UNLISTENED
from inference_provider.web.log import Log

_PERIOD_S = 1.0


class Loop(asyncio.SelectorEventLoop):
    """A loop whose handshakes of TLS end soon; uvicorn has no setting for that."""

    handshake_s = 10.0

    def create_server(self, *args: Any, **more: Any) -> Any:
        if more.get("ssl"):
            more["ssl_handshake_timeout"] = self.handshake_s
        return super().create_server(*args, **more)


def listening(host: str, port: int, log: Log) -> Listener:
    """Return a socket that listens, as soon as nobody else has the port."""
    while True:
        listener = Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as fault:
            listener.close()
            log.tell(f"{host} port {port} {UNLISTENED}: {fault.strerror}")
            time.sleep(_PERIOD_S)
        else:
            return listener
