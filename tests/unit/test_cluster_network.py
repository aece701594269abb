"""Connections to an API server, as the system has them."""

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx

from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.kubernetes.network import network


class Silent(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_said: object) -> None:
        pass


def test_the_system_asks_whether_a_silent_api_server_is_still_there():
    server = HTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tls = ssl.create_default_context()
    access = Access("lab", f"http://127.0.0.1:{server.server_port}", "", tls, lambda: "")
    try:
        with (
            httpx.Client(transport=network(access, tls)) as client,
            client.stream("GET", access.server) as answer,
        ):
            used: socket.socket = answer.extensions["network_stream"].get_extra_info("socket")
            assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
    finally:
        server.shutdown()
        server.server_close()
