"""Whether anybody is connected to where an instance is asked."""

import socket

from inference_provider.router import Backend
from inference_provider.targets.envoy.connections import connected


def _connect(backend: Backend) -> socket.socket:
    if not backend.socket:
        return socket.create_connection((backend.host, backend.port))
    client = socket.socket(socket.AF_UNIX)
    client.connect(backend.socket)
    return client


def test_a_connection_counts_from_the_servers_queue_to_its_end(listening):
    server, backend = listening
    assert not connected([backend])
    with _connect(backend):
        assert connected([backend])
        with server.accept()[0]:
            assert connected([backend])
    assert not connected([backend])


def test_a_connection_to_the_same_port_elsewhere_does_not_count():
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.2", port)):
            assert connected([Backend(host="127.0.0.2", port=port)])
            assert not connected([Backend(host="127.0.0.1", port=port)])
