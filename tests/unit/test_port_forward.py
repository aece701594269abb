"""The way to a pod's port through an API server, which is a websocket server here."""

import socket
import ssl
import threading
from contextlib import contextmanager
from http import HTTPStatus

import httpx
import pytest
from websockets.sync.server import serve
from websockets.typing import Subprotocol

from inference_provider.errors import TargetUnreachable
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.kubernetes.port_forward import PROTOCOL, PortForward
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.target import KubernetesTarget

PORTS = (b"\x00\x90\x1f", b"\x01\x90\x1f")
"""First message of each channel: its number, and that of port 8080."""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


@contextmanager
def api(handler, **more):
    """Yield the client of an API server that opens a port of a pod so."""
    with serve(handler, "127.0.0.1", 0, subprotocols=[Subprotocol(PROTOCOL)], **more) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        client = Client(Access("lab", url, "", ssl.create_default_context(), lambda: "s3cret"))
        try:
            yield client
        finally:
            client.close()
            server.shutdown()


def asked(forward):
    transport = httpx.HTTPTransport(uds=str(forward.socket), retries=0)
    with httpx.Client(transport=transport) as client:
        return client.get("http://router/endpoints/iris/score")


def test_what_is_sent_to_the_socket_reaches_the_pod_and_its_answer_comes_back():
    seen = []

    def pod(connection):
        for port in PORTS:
            connection.send(port)
        request = connection.request
        seen.append((request.path, request.headers["authorization"], connection.subprotocol))
        seen.append(connection.recv()[:5])
        connection.send(b"\x00" + ANSWER)
        connection.send(b"\x00class")

    with api(pod) as client:
        forward = PortForward(client, "demo", "router-1", 8080)
        assert asked(forward).text == "class"
        assert forward.socket.parent.stat().st_mode & 0o77 == 0
        forward.close()
    path = "/api/v1/namespaces/demo/pods/router-1/portforward?ports=8080"
    assert seen == [(path, "Bearer s3cret", "v4.channel.k8s.io"), b"\x00GET "]
    assert not forward.socket.parent.exists()


def test_the_cause_is_what_the_node_says_of_a_port_that_nobody_listens_on():
    def pod(connection):
        for port in PORTS:
            connection.send(port)
        connection.send(b"\x01error forwarding port 8080 to pod router-1:\n connection refused")
        connection.recv()

    with api(pod) as client:
        forward = PortForward(client, "demo", "router-1", 8080)
        with pytest.raises(httpx.TransportError):
            asked(forward)
        assert forward.cause() == "error forwarding port 8080 to pod router-1: connection refused"
        forward.close()


def test_a_user_who_may_not_forward_is_told_so_before_anything_is_sent():
    said = (
        '{"kind": "Status", "message": "pods \\"router-1\\" is forbidden: User \\"ann\\" cannot'
        ' create resource \\"pods/portforward\\" in API group \\"\\" in the namespace \\"demo\\""}'
    )
    refuse = {
        "process_request": lambda connection, _request: connection.respond(
            HTTPStatus.FORBIDDEN, said
        )
    }
    with api(lambda _connection: None, **refuse) as client, pytest.raises(Forbidden) as refused:
        PortForward(client, "demo", "router-1", 8080)
    assert str(refused.value) == (
        "forward port 8080 of pod 'router-1' in namespace 'demo' on cluster 'lab': 'ann' may not"
        " create pods/portforward; ask for a Role with verb create on pods/portforward in namespace"
        " 'demo'"
    )


def test_an_api_server_that_is_away_is_unreachable():
    with api(lambda _connection: None) as client:
        pass  # it has stopped then
    with pytest.raises(TargetUnreachable, match="does not answer"):
        PortForward(client, "demo", "router-1", 8080)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A target whose cluster nobody asks."""
    config = tmp_path / "config"
    config.write_text(
        "current-context: lab\n"
        "contexts: [{name: lab, context: {cluster: lab, user: ann}}]\n"
        "clusters: [{name: lab, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: ann, user: {}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    target = KubernetesTarget(KubernetesPlace(kind="kubernetes", context="lab"))
    yield target
    target.kubernetes.close()


def test_a_router_whose_balancer_answers_is_reached_by_its_url(elsewhere):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/endpoints/iris/score"
        with elsewhere.way_to("demo", url) as way:
            assert way.socket == ""


def test_the_name_of_a_service_is_never_looked_up_outside_its_cluster(elsewhere, monkeypatch):
    looked = []
    monkeypatch.setattr("socket.create_connection", lambda *where, **_more: looked.append(where))

    class Asked(Exception):
        pass

    def router(_workspace):
        raise Asked

    elsewhere.kubernetes.router = router
    with pytest.raises(Asked), elsewhere.way_to("demo", "http://inference-router.demo.svc:8080/"):
        pass
    assert looked == []
