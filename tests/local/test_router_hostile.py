"""Requests that no honest client sends, byte for byte, at a running router."""

import http.client
import json
import random
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from tests.local.server.model import Model, until
from tests.local.server.routing import PRIMARY, Served, deployment, endpoint, serving

pytestmark = pytest.mark.envoy
SECRET = "another-endpoints-key"
SCORE = "/endpoints/chat/score"
PIN = "azureml-model-deployment"
NAMES = ("chat", "blue", "green", "vault", "hidden")
"""Of what there is; none of them may stand in an answer to who has shown nothing."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


@pytest.fixture(scope="module")
def served(models: dict[str, Model]) -> Iterator[Served]:
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    hidden = deployment("hidden", models["shadow"])
    keys = (SecretStr(SECRET), SecretStr(f"{SECRET}-2"))
    chat = endpoint("chat", {"blue": 100, "green": 0}, *two)
    with serving(chat, endpoint("vault", {"hidden": 100}, hidden, keys=keys)) as found:
        until(lambda: found.ask("chat/score").status_code == 200)
        until(lambda: found.status().healthy.get("vault/hidden") == 1)
        yield found


def sent(
    served: Served,
    path: str = SCORE,
    *lines: str,
    method: str = "GET",
    host: str = "host: router",
    key: str = PRIMARY,
    body: str = "",
) -> Answer:
    shown = [f"authorization: Bearer {key}"] if key else []
    head = [f"{method} {path} HTTP/1.1", *([host] if host else []), *shown, *lines]
    return parsed(served.raw("\r\n".join([*head, "connection: close", "", body])))


def parsed(text: str) -> Answer:
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    return Answer(int(first.split()[1]), headers, body)


REFUSED = [
    ("two hosts", SCORE, ["host: other"], {}, 400),
    ("two hosts that are the same", SCORE, ["host: router"], {}, 400),
    ("two hosts in one", SCORE, [], {"host": "host: router,other"}, 400),
    ("no host", SCORE, [], {"host": ""}, 400),
    ("two deployments", SCORE, [f"{PIN}: blue", f"{PIN}: green"], {}, 400),
    ("two deployments, one unknown", SCORE, [f"{PIN}: blue", f"{PIN}: x"], {}, 400),
    ("a deployment twice", SCORE, [f"{PIN}: blue", f"{PIN}: blue"], {}, 400),
    ("two deployments, other case", SCORE, [f"{PIN}: blue", f"{PIN.upper()}: green"], {}, 400),
    ("two deployments in one", SCORE, [f"{PIN}: blue,green"], {}, 404),
    ("a deployment in other case", SCORE, [f"{PIN}: BLUE"], {}, 404),
    ("no deployment", SCORE, [f"{PIN}:"], {}, 404),
    ("a deployment of another endpoint", SCORE, [f"{PIN}: hidden"], {}, 404),
    ("a cluster as deployment", SCORE, [f"{PIN}: vault/hidden"], {}, 404),
    ("two keys, good first", SCORE, ["authorization: Bearer bad"], {}, 401),
    ("a key of another endpoint", "/endpoints/vault/score", [], {}, 401),
    ("encoded slash", "/endpoints/vault%2f..%2fchat/score", [], {}, 400),
    ("encoded slash, small and big", "/endpoints/chat%2Fscore", [], {}, 400),
    ("encoded backslash", "/endpoints/vault/..%5cchat/score", [], {}, 400),
    ("null in the path", "/endpoints/chat/sc%00ore", [], {}, 400),
    ("fragment", f"{SCORE}#/x", [], {}, 400),
    ("dots to another endpoint", "/endpoints/chat/../vault/score", [], {}, 401),
    ("encoded dots to another", "/endpoints/chat/%2e%2E/vault/score", [], {}, 401),
    ("doubly encoded dots", "/endpoints/vault/%252e%252e/chat/score", [], {}, 401),
    ("backslashes", "/endpoints/chat/..\\vault\\score", [], {}, 401),
    ("dots out of all", "/endpoints/chat/../../config_dump", [], {}, 404),
    ("other case of the path", "/ENDPOINTS/chat/score", [], {}, 404),
    ("parameter of a segment", "/endpoints/chat;x=1/score", [], {}, 404),
    ("the admin's page", "/config_dump", [], {}, 404),
    ("the admin's end", "/quitquitquit", [], {"method": "POST"}, 404),
    ("statistics", "/stats/prometheus", [], {}, 404),
    ("metrics", "/metrics", [], {}, 404),
    ("the workspace's service", "/_service/", [], {}, 404),
    ("a whole URL of another scheme", "ftp://router/endpoints/chat/score", [], {}, 400),
    ("trace", SCORE, [], {"method": "TRACE"}, 405),
    ("no method", SCORE, [], {"method": "G\x01T"}, 400),
    ("length and chunks", SCORE, ["content-length: 4", "transfer-encoding: chunked"], {}, 400),
    ("two lengths", SCORE, ["content-length: 1", "content-length: 2"], {}, 400),
    ("signed length", SCORE, ["content-length: +1"], {}, 400),
    ("chunks twice", SCORE, ["transfer-encoding: chunked, chunked"], {}, 501),
    ("unknown coding", SCORE, ["transfer-encoding: xchunked"], {}, 501),
    ("identity", SCORE, ["transfer-encoding: identity"], {}, 501),
    ("blank before the colon", SCORE, [f"{PIN} : green"], {}, 400),
    ("blank in a name", SCORE, ["x a: b"], {}, 400),
    ("control character in a value", SCORE, ["x-a: a\x01b"], {}, 400),
    ("a long header", SCORE, [f"x-a: {'a' * 70_000}"], {}, 431),
    ("a long path", f"{SCORE}?{'a' * 70_000}", [], {}, 431),
    ("many headers", SCORE, [f"x-{i}: a" for i in range(120)], {}, 431),
]


@pytest.mark.parametrize(
    ("path", "lines", "more", "status"), [one[1:] for one in REFUSED], ids=[o[0] for o in REFUSED]
)
def test_a_request_that_could_be_read_in_two_ways_reaches_no_model(
    served: Served, path: str, lines: list[str], more: dict[str, str], status: int
):
    answer = sent(served, path, *lines, **more)
    assert answer.status == status
    assert answer.headers["x-azml-error"] == "router"
    assert json.loads(answer.body)["error"]["code"] != ""


@pytest.mark.parametrize(
    ("path", "lines", "more"), [one[1:4] for one in REFUSED], ids=[o[0] for o in REFUSED]
)
def test_who_shows_no_key_is_told_nothing_of_what_there_is(
    served: Served, path: str, lines: list[str], more: dict[str, str]
):
    answer = sent(served, path, *lines, **more, key="")
    assert 400 <= answer.status < 600
    shown = f"{answer.headers} {answer.body}"
    assert [name for name in (*NAMES, SECRET, PRIMARY, "envoy") if name in shown] == []


def test_what_is_known_is_still_served_and_known_by_its_own_key_alone(served: Served):
    for path in (SCORE, "//endpoints//chat//score", "/endpoints/vault/../chat/score"):
        answer = sent(served, path)
        assert (answer.status, answer.headers[PIN]) == (200, "blue")
    whole = sent(served, f"http://evil.example.org{SCORE}")
    assert (whole.status, whole.headers[PIN]) == (200, "blue")
    green = sent(served, SCORE, f"{PIN}:   green  ")
    assert (green.status, green.headers[PIN]) == (200, "green")


@pytest.mark.parametrize(
    "lines",
    [
        ["upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__", "connection: upgrade, http2-settings"],
        ["upgrade: other", "connection: upgrade"],
        ["connection: authorization, x-azml-client, azureml-model-deployment"],
        ["script_name: /x", "x_azml_client: primary", "azureml_model_deployment: green"],
        ["x-envoy-original-path: /x", "x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-retry-on: 5xx"],
    ],
    ids=["h2c", "unknown upgrade", "named in connection", "underscores", "of envoy"],
)
def test_no_header_asks_the_router_or_the_model_for_more(served: Served, lines: list[str]):
    answer = sent(served, SCORE, *lines)
    if answer.status != 200:  # an honest refusal will do
        assert (answer.status, answer.headers["x-azml-error"]) in ((401, "router"), (403, "router"))
        return
    assert answer.headers[PIN] == "blue"
    got = json.loads(answer.body)["headers"]
    if got.pop("x-envoy-original-path", SCORE) != SCORE:  # the router's own, of each request
        pytest.fail("the router took a claimed path for its own")
    given = {one.partition(":")[0].lower() for one in lines if not one.startswith("connection")}
    assert given & {name.lower() for name in got} == set()
    assert got.get("x-azml-client", got.get("X-Azml-Client")) == "primary"


def test_a_second_request_in_the_body_of_the_first_is_none(served: Served):
    inner = (
        f"GET /endpoints/vault/score HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SECRET}\r\n\r\n"
    )
    head = f"POST {SCORE} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {PRIMARY}\r\n"
    text = f"{head}content-length: {len(inner)}\r\nconnection: close\r\n\r\n{inner}"
    answer = parsed(served.raw(text))
    assert (answer.status, json.loads(answer.body)["bytes"]) == (200, len(inner))
    both = f"{head}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    assert served.raw(both).count("HTTP/1.1 ") == 1


SEGMENTS = (
    *("endpoints", "chat", "vault", "score", "..", ".", "", "%2e%2e", "%2E.", "..;", ";", "\\.."),
    *("%2f", "%5c", "..%2fvault", "%252e", "..%00", "*", "~", "chat;a", "vault%20", "?", "//"),
)
SEED, PATHS = 20261126, 400


def test_no_path_leads_to_an_endpoint_whose_key_was_not_shown(served: Served):
    chosen = random.Random(SEED)
    reached = 0
    with closing(http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)) as opened:
        for _ in range(PATHS):
            tail = [chosen.choice(SEGMENTS) for _ in range(chosen.randint(1, 7))]
            path = chosen.choice(("/endpoints/vault/", "/endpoints/chat/", "/")) + "/".join(tail)
            for key, own in ((PRIMARY, "blue"), (SECRET, "hidden"), ("", "nobody")):
                opened.request("GET", path, headers={"authorization": f"Bearer {key}"})
                answer = opened.getresponse()
                answer.read()
                if answer.headers["x-azml-error"] == "router":
                    assert PIN not in answer.headers, path
                else:
                    assert answer.headers[PIN] == own, path
                    reached += 1
    assert reached > PATHS / 20


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-original-url", "x-rewrite-url"])
def test_no_header_stands_for_the_path_or_the_host(served: Served, header: str):
    assert sent(served, SCORE, f"{header}: /endpoints/vault/score").headers[PIN] == "blue"
    assert sent(served, "/nowhere", f"{header}: {SCORE}").status == 404


def test_headers_that_do_not_come_to_an_end_are_refused(served: Served):
    head = "GET /endpoints/chat/score HTTP/1.1\r\nhost: router\r\nx-slow: "
    assert served.raw(head, wait_s=60).startswith("HTTP/1.1 408 ")
