"""What a browser is told by a real router, and that a request still needs its key."""

import httpx
import pytest

from inference_provider.router.table import Cors, EndpointEntry
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, Served, deployment, endpoint, serving

pytestmark = pytest.mark.local
APP = "https://app.example.org"
NOBODY = {"authorization": ""}


def open_to(model: Model, *origins: str, credentials: bool = False) -> EndpointEntry:
    cors = Cors(
        origins=origins,
        methods=("GET", "POST"),
        headers=("authorization", "content-type"),
        expose_headers=("x-request-id",),
        credentials=credentials,
        max_age_s=600,
    )
    return endpoint("chat", {"blue": 100}, deployment("blue", model), cors=cors)


def asks(served: Served, origin: str, path: str = "chat/score") -> httpx.Response:
    """Ask as a browser does before it sends a request of another site's page."""
    headers = {"origin": origin, "access-control-request-method": "POST", **NOBODY}
    return served.ask(path, method="OPTIONS", headers=headers)


def told(answer: httpx.Response) -> dict[str, str]:
    return {
        name.removeprefix("access-control-"): value
        for name, value in answer.headers.items()
        if name.startswith("access-control-")
    }


def test_a_question_is_answered_without_a_key_and_reaches_no_model(models: dict[str, Model]):
    with serving(open_to(models["blue"], APP)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        answer = asks(served, APP)
        assert (answer.status_code, answer.content, told(answer)) == (
            200,
            b"",
            {
                "allow-origin": APP,
                "allow-methods": "GET, POST",
                "allow-headers": "authorization, content-type",
                "expose-headers": "x-request-id",
                "max-age": "600",
            },
        )
        assert "azureml-model-deployment" not in answer.headers


def test_the_request_that_follows_needs_its_key_and_a_page_may_read_why_it_was_refused(
    models: dict[str, Model],
):
    with serving(open_to(models["blue"], APP)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        page = {"origin": APP}
        good, bad = (
            served.ask("chat/score", headers=page),
            served.ask("chat/score", headers={**page, **NOBODY}),
        )
        seen = {"allow-origin": APP, "expose-headers": "x-request-id"}
        assert [(one.status_code, told(one)) for one in (good, bad)] == [(200, seen), (401, seen)]
        pinned = served.ask("chat/score", pin="blue", headers=page)
        assert (pinned.status_code, told(pinned)) == (200, seen)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        pytest.param([APP], "https://app.example.org:8443", False, id="another port"),
        pytest.param([APP], "http://app.example.org", False, id="another scheme"),
        pytest.param([APP], "https://app.example.org.evil.test", False, id="a longer name"),
        pytest.param([APP], "null", False, id="no page"),
        pytest.param(["https://*.example.org"], APP, True, id="a name below"),
        pytest.param(["https://*.example.org"], "https://a.b.example.org", True, id="two below"),
        pytest.param(["https://*.example.org"], "https://example.org", False, id="the name itself"),
        pytest.param(["https://*.example.org"], "https://aXexample.org", False, id="another dot"),
        pytest.param(["https://*.example.org"], "https://evil.test/.example.org", False, id="path"),
        pytest.param(["https://*.example.org"], "https://evil.test#.example.org", False, id="hash"),
        pytest.param(["*"], "http://anything.test", True, id="every page"),
    ],
)
def test_only_the_pages_that_are_named_are_let_in(
    models: dict[str, Model], origins: list[str], origin: str, allowed: bool
):
    with serving(open_to(models["blue"], *origins)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        answer = asks(served, origin)
        assert (answer.status_code, "allow-origin" in told(answer)) == (
            *((200, True) if allowed else (401, False)),
        )
        assert ("allow-origin" in told(served.ask("chat/score", headers={"origin": origin}))) is (
            allowed
        )


def test_an_endpoint_that_names_no_pages_answers_no_question(models: dict[str, Model]):
    plain = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    with serving(plain) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        answer = asks(served, APP)
        assert (answer.status_code, told(answer)) == (401, {})
        assert asks(served, APP, "gone/score").status_code == 404


def test_cookies_are_let_in_only_where_that_is_said(models: dict[str, Model]):
    with serving(open_to(models["blue"], APP, credentials=True)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        assert told(asks(served, APP))["allow-credentials"] == "true"
        assert told(served.ask("chat/score", headers={"origin": APP, **KEY})) == {
            "allow-origin": APP,
            "allow-credentials": "true",
            "expose-headers": "x-request-id",
        }
