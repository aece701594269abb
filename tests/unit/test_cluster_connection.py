"""Requests to an API server: how long they wait, and with which credentials."""

import json
import ssl
import sys
import time

import httpx
import pytest
from tests.cluster_api import ClusterApi, failure

from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.spec.target import place_from
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kubeconfig import Access, access
from inference_provider.targets.kubernetes.objects import POD
from inference_provider.targets.kubernetes.target import KubernetesPlatform

POD_P = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "lab", "annotations": {}},  # which a server drops
    "spec": {"nodeName": "n"},
}


class Login:
    """Credentials of which the API server takes only the newest."""

    def __init__(self, renewable: bool = True) -> None:
        self.number = 1
        self.accepted = 2
        self._renewable = renewable
        self.asked: list[httpx.Request] = []

    def renew(self) -> None:
        self.number += self._renewable

    def answer(self, asked: httpx.Request) -> httpx.Response:
        asked.read()
        self.asked.append(asked)
        if asked.headers["authorization"] != f"Bearer token-{self.accepted}":
            return failure(401, "Unauthorized")
        if asked.url.params.get("watch"):
            return httpx.Response(200, text="")
        return httpx.Response(200, json={"metadata": {"resourceVersion": "1"}, "items": []})

    def client(self, attempts: int = 6) -> Client:
        made = Access(
            "lab",
            "https://lab",
            "",
            ssl.create_default_context(),
            lambda: f"token-{self.number}",
            renew=self.renew,
        )
        return Client(made, httpx.MockTransport(self.answer), attempts)


@pytest.mark.parametrize("attempts", [1, 6])
def test_a_token_that_expires_in_mid_run_is_renewed(attempts):
    login = Login()
    assert login.client(attempts).items(POD, "lab") == []
    assert len(login.asked) == 2


def test_a_token_that_cannot_be_renewed_is_told_after_one_more_try():
    login = Login(renewable=False)
    with pytest.raises(TargetError, match="not accepted, or have expired; log in again"):
        login.client().items(POD, "lab")
    assert len(login.asked) == 2


def test_a_watch_that_is_refused_goes_on_with_another_token():
    login = Login()
    assert list(login.client(1).watch(POD, "lab", "1")) == []
    assert len(login.asked) == 2


def test_a_line_ends_at_a_line_feed_alone_however_its_bytes_come():
    text = "a\x0cb\x85c\u2028d\re\r\n\nf\nrest"
    parts = [bytes([one]) for one in text.encode()]

    def answer(asked: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=iter(parts))

    made = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "t")
    client = Client(made, httpx.MockTransport(answer), 1)
    assert list(client.logs("lab", "p")) == ["a\x0cb\x85c\u2028d\re", "", "f", "rest"]


def test_what_goes_through_to_a_pod_is_sent_again_where_its_body_is_still_there():
    login = Login()
    assert login.client().proxy("POST", "/a/b/c/d/e/f/g", content=b"{}").status_code == 200
    login = Login()
    with pytest.raises(TargetUnreachable, match="have expired"):
        login.client().proxy("PUT", "/a/b/c/d/e/f/g", content=iter([b"part"]))
    assert len(login.asked) == 1
    assert login.client().proxy("PUT", "/a/b/c/d/e/f/g", content=iter([b"part"])).is_success


def test_the_program_of_a_context_is_asked_again_once_its_token_is_refused(tmp_path, monkeypatch):
    counted = tmp_path / "count"
    program = (
        f"import json; f = open({str(counted)!r}, 'a+'); f.write('x'); f.seek(0);"
        " print(json.dumps({'status': {'token': f'token-{len(f.read())}'}}))"
    )
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program],
    }
    config = {
        "current-context": "prod",
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://c:6443"}}],
        "users": [{"name": "u", "user": {"exec": run}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    found = access(None)
    assert (found.token(), found.token()) == ("token-1", "token-1")
    found.renew()
    assert found.token() == "token-2"


@pytest.mark.parametrize(
    "page",
    [
        httpx.Response(200, html="<html>log in, please</html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(302, headers={"location": "https://login.example.org"}),
        httpx.Response(404, html="<html>no such page</html>"),
        httpx.Response(403, html="<html>blocked by the proxy</html>"),
    ],
)
@pytest.mark.parametrize(
    "ask", [lambda client: client.items(POD, "lab"), lambda client: client.get(POD, "lab", "x")]
)
def test_a_page_of_a_proxy_is_no_answer_and_nothing_is_taken_for_gone(page, ask):
    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    asked = []
    transport = httpx.MockTransport(lambda request: (asked.append(request), page)[1])
    with pytest.raises(TargetUnreachable) as told:
        ask(Client(access_, transport))
    assert told.value.reason == (
        "what answers at https://lab is not a Kubernetes API server: status"
        f" {page.status_code}, and a page of its own"
    )
    assert told.value.remedy == "check the server of the context, and the proxies on the way there"
    assert len(asked) == 1


def test_a_page_of_a_busy_balancer_is_asked_again():
    pages = [httpx.Response(502, html="<html>busy</html>"), httpx.Response(404, text="not found")]
    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    client = Client(access_, httpx.MockTransport(lambda _request: pages.pop(0)))
    assert client.get(POD, "lab", "x") is None


def test_a_server_that_cannot_be_reached_is_given_up_soon():
    login = Login()
    client = login.client()
    client.items(POD, "lab")
    client.proxy("GET", "/a/b/c/d/e/f/g", timeout_s=150)
    list(client.watch(POD, "lab", "1"))
    assert {one.extensions["timeout"]["connect"] for one in login.asked} == {10.0}


def test_closing_a_target_that_was_not_used_reads_no_kubeconfig(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    KubernetesPlatform(place_from("kubernetes")).close()


def test_a_list_of_several_pages_is_one_list():
    page = {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"n": 1}]}
    pages, asked = [page, {"metadata": {"resourceVersion": "7"}, "items": [{"n": 2}]}], []
    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        return httpx.Response(200, json=pages.pop(0))

    client = Client(access_, httpx.MockTransport(answer))
    assert [one["n"] for one in client.items(POD, "lab", "a=b")] == [1, 2]
    first = {"limit": "5000", "labelSelector": "a=b"}
    assert asked == [first, {**first, "continue": "more"}]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_and_a_list_is_never_empty_for_that(status):
    answers = [failure(status, "busy"), failure(status, "busy")]
    found = httpx.Response(200, json={"metadata": {}, "items": [{"n": 1}]})
    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    client = Client(access_, httpx.MockTransport(lambda _: answers.pop(0) if answers else found))
    assert [one["n"] for one in client.items(POD, "lab")] == [1]
    always = Client(access_, httpx.MockTransport(lambda _: failure(status, "busy")), attempts=2)
    with pytest.raises(TargetUnreachable):
        always.items(POD, "lab")
    with pytest.raises(TargetUnreachable):
        always.get(POD, "lab", "x")


def test_a_server_that_says_when_to_come_again_is_not_asked_before():
    times: list[float] = []
    busy = failure(429, "too many requests")
    busy.headers["retry-after"] = "1"

    def answer(_request: httpx.Request) -> httpx.Response:
        times.append(time.monotonic())
        return busy if len(times) == 1 else httpx.Response(200, json={"metadata": {}})

    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    Client(access_, httpx.MockTransport(answer)).items(POD, "lab")
    assert times[1] - times[0] >= 0.7  # a third less or more, so that not all come at once


def test_what_was_refused_for_now_is_made_again():
    answers = [failure(429, "busy"), httpx.Response(201, json=POD_P)]
    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    client = Client(access_, httpx.MockTransport(lambda _asked: answers.pop(0)))
    assert client.create(POD_P) == POD_P
    assert answers == []


def losing(api, *arrived: bool):
    """Return a client of which the answers to its first writes are lost.

    Args:
        arrived: Whether the API server got each of them.
    """
    left = list(arrived)

    def answer(asked):
        if asked.method in ("POST", "PUT") and left:
            if left.pop(0):
                api.answer(asked)
            raise httpx.ReadError("Bad file descriptor")
        return api.answer(asked)

    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    return Client(access_, httpx.MockTransport(answer))


@pytest.mark.parametrize("arrived", [True, False])
def test_a_write_whose_answer_was_lost_is_done_once(arrived):
    api = ClusterApi()
    made = losing(api, arrived).create(POD_P)
    assert made["spec"] == {"nodeName": "n"}
    other = {**made, "spec": {"nodeName": "m"}}
    assert losing(api, arrived).replace(other)["spec"] == {"nodeName": "m"}
    writes = [one for one in api.requests if not one.startswith("GET")]
    pods = "/api/v1/namespaces/lab/pods"
    assert writes == [f"POST {pods}", f"PUT {pods}/p"]


def test_a_write_that_is_lost_twice_is_told():
    with pytest.raises(TargetUnreachable, match="Bad file descriptor"):
        losing(ClusterApi(), False, False).create(POD_P)


def test_a_lost_write_is_told_as_lost_where_nobody_may_look_for_it():
    api = ClusterApi()
    said = 'pods "p" is forbidden: User "ann" cannot get resource "pods"'
    api.refuse = lambda one: failure(403, said) if one.method == "GET" else None
    with pytest.raises(TargetUnreachable, match=r"make Pod 'p'.*Bad file descriptor"):
        losing(api, True).create(POD_P)


def test_a_write_that_arrives_after_it_was_looked_for_is_ours():
    api, late = ClusterApi(), []

    def answer(asked):
        if asked.method == "POST" and not late:
            late.append(asked)
            raise httpx.ReadError("lost")
        if asked.method == "POST":
            api.answer(late[0])
        return api.answer(asked)

    access_ = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "x")
    assert Client(access_, httpx.MockTransport(answer)).create(POD_P)["spec"] == {"nodeName": "n"}


def test_a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses():
    api = ClusterApi()
    made = losing(api).create(POD_P)
    losing(api).replace({**made, "spec": {"nodeName": "theirs"}})
    with pytest.raises(TargetUnreachable):
        losing(api, True).replace({**made, "spec": {"nodeName": "ours"}})
    with pytest.raises(TargetUnreachable):
        losing(api, True).create({**POD_P, "spec": {"nodeName": "ours"}})
    assert losing(api).get_like(POD_P)["spec"] == {"nodeName": "theirs"}
