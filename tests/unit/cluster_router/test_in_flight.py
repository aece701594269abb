"""Requests in flight of all pods of a router: the sum, or nothing when one does not answer."""

import threading

import httpx
import pytest
from tests.cluster_api import ClusterApi, client_of

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.kubernetes import in_flight, questions
from inference_provider.targets.kubernetes.in_flight import InFlight

SLICES = "/apis/discovery.k8s.io/v1/namespaces/lab/endpointslices"
LABELS = {"kubernetes.io/service-name": "inference-router-metrics"}


def endpoint(address: str, **conditions) -> dict:
    return {"addresses": [address], "conditions": {"ready": True, **conditions}}


@pytest.fixture
def api():
    made = ClusterApi()
    one = {
        "kind": "EndpointSlice",
        "metadata": {"name": "router-1", "labels": LABELS},
        "addressType": "IPv4",
        "ports": [{"port": 9090}],
        "endpoints": [
            endpoint("10.0.0.1"),
            endpoint("10.0.0.2"),
            endpoint("10.0.0.3", terminating=True),
            endpoint("10.0.0.4", ready=False),
        ],
    }
    made.put(f"{SLICES}/router-1", one)
    others = {"kubernetes.io/service-name": "iris-blue-5efdeb203621"}
    made.put(f"{SLICES}/b", {**one, "metadata": {"name": "b", "labels": others}})
    return made


class Peers:
    """The other pods of a router."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = {"10.0.0.2": httpx.Response(200, json={"requests": {"iris/blue": 4}})}

    def __call__(self, asked: httpx.Request) -> httpx.Response:
        self.asked.append(str(asked.url))
        return self.answers[asked.url.host]


def router(api: ClusterApi, peers: Peers) -> InFlight:
    own = {"iris/blue": 2, "iris/blue/mirror": 1, "iris/green": 7}
    transport = httpx.MockTransport(peers)
    return InFlight(client_of(api), "lab", lambda: own, "10.0.0.1", transport)


def test_the_requests_of_all_pods_are_added(api):
    peers = Peers()
    made = router(api, peers)
    assert (made.on("iris/blue"), made.on("iris/green"), made.on("iris/red")) == (7, 7, 0)
    assert peers.asked == ["http://10.0.0.2:8081/in-flight"]
    assert api.requests == [f"GET {SLICES}"]


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(200, text="no JSON")])
def test_no_number_is_said_unless_all_pods_answer(api, monkeypatch, answer):
    monkeypatch.setattr(in_flight, "FRESH_S", 0.0)
    peers = Peers()
    made, theirs = router(api, peers), peers.answers["10.0.0.2"]
    peers.answers["10.0.0.2"] = answer
    with pytest.raises(TargetUnreachable, match=r"router pod at 10\.0\.0\.2"):
        made.on("iris/blue")
    peers.answers["10.0.0.2"] = theirs
    assert made.on("iris/blue") == 7


def test_they_are_asked_for_over_http():
    def silent(deployment: str) -> int:
        raise TargetUnreachable("ask", deployment, "it is silent", "ask again")

    answers = {"iris/blue": lambda: 5}
    pod = questions.Pod(
        lambda: "",
        lambda: True,
        lambda *_asked: {},
        lambda _shown: False,
        {},
        lambda: {"iris/blue": 3},
        lambda name: answers.get(name, lambda: silent(name))(),
    )
    with questions.Server(pod, "127.0.0.1", 0) as server:
        said = []
        for path in ("/in-flight", "/in-flight/iris/blue", "/in-flight/iris/red"):
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            answer = httpx.get(
                f"http://127.0.0.1:{server.server_port}{path}", trust_env=False, timeout=10
            )
            thread.join()
            said.append((answer.status_code, answer.json()))
    assert said == [
        (200, {"requests": {"iris/blue": 3}}),
        (200, {"requests": 5}),
        (503, {"fault": "ask iris/red: it is silent; ask again"}),
    ]
