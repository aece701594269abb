"""HTTP/2 that means something else once it is HTTP/1.1, which is what a model is asked in."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from tests.local.server.http2 import Headers, answered
from tests.local.server.model import Model, until
from tests.local.server.routing import PRIMARY, Served, deployment, endpoint, serving

pytestmark = pytest.mark.envoy
SECRET = "another-endpoints-key"
SCORE, OTHER = "/endpoints/chat/score", "/endpoints/vault/score"
PIN = "azureml-model-deployment"
HIDDEN = f"GET {OTHER} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SECRET}\r\n\r\n"
"""A second request, which a server would read if the length of the first were another one."""


@pytest.fixture(scope="module")
def served(models: dict[str, Model]) -> Iterator[Served]:
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    chat = endpoint("chat", {"blue": 100, "green": 0}, *two)
    keys = (SecretStr(SECRET), SecretStr(f"{SECRET}-2"))
    hidden = deployment("hidden", models["shadow"])
    with serving(chat, endpoint("vault", {"hidden": 100}, hidden, keys=keys)) as found:
        until(lambda: found.ask("chat/score").status_code == 200)
        until(lambda: found.status().healthy.get("vault/hidden") == 1)
        yield found


def asked(*more: tuple[str, str], without: str = "", **pseudo: str) -> list[tuple[str, str]]:
    """Return the headers of a good request, with other pseudo-headers, and more behind them."""
    given = {"method": "POST", "scheme": "http", "path": SCORE, "authority": "router", **pseudo}
    found = [(f":{name}", value) for name, value in given.items() if name != without]
    return [*found, ("authorization", f"Bearer {PRIMARY}"), *more]


def doubled(name: str, value: str) -> list[tuple[str, str]]:
    return [(name, value), *asked()]


REFUSED: list[tuple[str, Headers, str, str]] = [
    ("two deployments", asked((PIN, "blue"), (PIN, "green")), "", "400"),
    ("a deployment twice", asked((PIN, "blue"), (PIN, "blue")), "", "400"),
    ("two deployments in one", asked((PIN, "blue,green")), "", "404"),
    ("two authorities", doubled(":authority", "other"), "", "closed"),
    ("two authorities in one", asked(authority="router,other"), "", "400"),
    ("no authority", asked(without="authority"), "", "closed"),
    ("two paths", doubled(":path", OTHER), "", "closed"),
    ("no path", asked(without="path"), "", "closed"),
    ("two methods", doubled(":method", "TRACE"), "", "closed"),
    ("a path behind other headers", asked((":path", OTHER), without="path"), "", "closed"),
    ("a name of nobody's with a colon", doubled(":x", "y"), "", "closed"),
    ("chunks", asked(("transfer-encoding", "chunked")), f"0\r\n\r\n{HIDDEN}", "closed"),
    ("names for one hop", asked(("connection", "authorization")), "", "closed"),
    ("an upgrade", asked(("upgrade", "websocket")), "", "closed"),
    ("a length and no body", asked(("content-length", "4")), "", "closed"),
    ("a body longer than it says", asked(("content-length", "1")), HIDDEN, "reset"),
    ("two lengths", asked(("content-length", "4"), ("content-length", "5")), "body", "closed"),
    ("signed length", asked(("content-length", "+4")), "body", "closed"),
    ("a name in capitals", asked(("X-A", "b")), "", "closed"),
    ("a line in a value", asked(("x-a", f"b\r\n{PIN}: green")), "", "closed"),
    ("half a line in a value", asked(("x-a", f"b\n{PIN}: green")), "", "closed"),
    ("a null in a value", asked(("x-a", "b\0c")), "", "closed"),
    ("a line in a name", asked((f"x-a: b\r\n{PIN}", "green")), "", "closed"),
    ("a colon behind a name", asked((f"{PIN}:", "green")), "", "closed"),
    ("a blank behind a name", asked((f"{PIN} ", "green")), "", "closed"),
    ("a line in the path", asked(path=f"{SCORE} HTTP/1.1\r\n{PIN}: green\r\nx: "), "", "closed"),
    ("two paths in one", asked(path=f"{SCORE} {OTHER}"), "", "closed"),
    ("a fragment", asked(path=f"{SCORE}#x"), "", "400"),
    ("a whole URL", asked(path=f"http://router{OTHER}"), "", "closed"),
    ("no slash", asked(path=SCORE[1:]), "", "closed"),
    ("a line in the method", asked(method=f"GET {OTHER} HTTP/1.1\r\nx: "), "", "closed"),
    ("a path in the method", asked(method=f"GET {OTHER}"), "", "closed"),
    ("a path in the scheme", asked(scheme=f"http://router{OTHER}?"), "", "closed"),
    ("trace", asked(method="TRACE"), "", "405"),
    ("a websocket by CONNECT", doubled(":protocol", "websocket"), "", "closed"),
    ("encoded slash", asked(path="/endpoints/vault%2f..%2fchat/score"), "", "400"),
    ("dots to another endpoint", asked(path="/endpoints/chat/../vault/score"), "", "401"),
    ("a key of another endpoint", asked(path=OTHER), "", "401"),
    ("the admin's page", asked(path="/config_dump"), "", "404"),
    ("many headers", asked(*((f"x-{i}", "a") for i in range(120))), "", "reset"),
]


@pytest.mark.parametrize(
    ("headers", "body", "answer"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_a_request_that_could_be_read_in_two_ways_reaches_no_model(
    served: Served, models: dict[str, Model], headers: Headers, body: str, answer: str
):
    before = [model.hits for model in models.values()]
    assert answered(served, headers, body.encode()) == answer
    assert [model.hits for model in models.values()] == before


def test_a_body_where_the_head_says_none_reaches_no_model(served: Served, models: dict[str, Model]):
    """The head is whole by itself, so on a busy machine it may be on its way to the model."""
    before = {name: model.hits for name, model in models.items()}
    assert answered(served, asked(("content-length", "0")), HIDDEN.encode()) == "reset"
    assert served.ask("chat/score").status_code == 200  # what the first one left would come before
    after = {name: model.hits - before[name] for name, model in models.items()}
    assert after.pop("blue") in (1, 2)
    assert set(after.values()) == {0}


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [
        pytest.param(asked(("host", "other")), (), id="another host"),
        pytest.param(asked(("azureml_model_deployment", "green")), (), id="an underscore"),
        pytest.param(asked(("x-azml-client", "secondary")), (), id="a claimed identity"),
        pytest.param(asked(), [(PIN, "green")], id="a deployment behind the body"),
        pytest.param(asked(), [("x-azml-client", "secondary")], id="an identity behind the body"),
    ],
)
def test_what_counts_for_nothing_reaches_the_model_that_was_asked_and_not_the_claim(
    served: Served, models: dict[str, Model], headers: Headers, trailers: Headers
):
    blue = models["blue"]
    before = blue.hits
    assert answered(served, headers, b"body", trailers) == "200"
    assert (blue.hits, blue.last_headers["host"]) == (before + 1, "router")
    assert blue.last_headers["x-azml-client"] == "primary"
    assert {"azureml_model_deployment", "azureml-model-deployment"} & {*blue.last_headers} == set()


def test_a_key_behind_the_body_opens_nothing(served: Served):
    late = [("authorization", f"Bearer {SECRET}")]
    assert answered(served, asked(path=OTHER), b"body", late) == "401"
