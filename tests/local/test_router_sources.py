"""Who may call a running router, by the address of the connection."""

import http.client
import json
from collections.abc import Sequence

import pytest

from inference_provider.router.table import EndpointEntry
from tests.local.server.load import constant_load
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, Served, deployment, endpoint, raw_get, serving

pytestmark = pytest.mark.envoy
OURS, OTHERS = ("127.0.0.1/32",), ("127.0.0.2/32", "10.0.0.0/8", "::1/128")


def chat(models: dict[str, Model], *sources: str, name: str = "chat") -> EndpointEntry:
    return endpoint(name, {"blue": 100}, deployment("blue", models["blue"]), sources=sources)


def asked(
    served: Served, source: str, path: str = "/endpoints/chat/score", **headers: str
) -> tuple[int, str]:
    """Return status and code that a caller of an address gets."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", served.ports[0], timeout=10, source_address=(source, 0)
    )
    connection.request("GET", path, headers=KEY | headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    code = json.loads(body)["error"]["code"] if answer.status >= 400 else ""
    return answer.status, code


def ready(served: Served, source: str = "127.0.0.1") -> None:
    until(lambda: asked(served, source)[0] == 200)


@pytest.mark.parametrize(
    ("of_workspace", "of_endpoint", "answered"),
    [
        pytest.param((), (), {"127.0.0.1", "127.0.0.2", "127.0.0.3"}, id="all"),
        pytest.param(("127.0.0.1",), (), {"127.0.0.1"}, id="the workspace's"),
        pytest.param((), ("127.0.0.2/31",), {"127.0.0.2", "127.0.0.3"}, id="the endpoint's"),
        pytest.param(("127.0.0.0/30",), ("127.0.0.2",), {"127.0.0.2"}, id="both"),
        pytest.param(("127.0.0.1",), ("127.0.0.0/8",), {"127.0.0.1"}, id="never more than both"),
        pytest.param(("::/0", "127.0.0.3"), (), {"127.0.0.3"}, id="of two families"),
    ],
)
def test_an_endpoint_answers_those_that_it_and_its_workspace_allow(
    models: dict[str, Model],
    of_workspace: Sequence[str],
    of_endpoint: Sequence[str],
    answered: set[str],
):
    with serving(chat(models, *of_endpoint), sources=tuple(of_workspace)) as served:
        ready(served, min(answered))
        sources = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
        assert {one for one in sources if asked(served, one)[0] == 200} == answered
        for one in set(sources) - answered:
            assert asked(served, one) == (403, "Forbidden")


def test_who_may_not_call_learns_nothing(models: dict[str, Model]):
    with serving(chat(models), sources=OURS) as served:
        ready(served)
        nobody = "127.0.0.2"
        for path in ("/endpoints/chat/score", "/endpoints/no-such/score", "/", "/config_dump"):
            assert asked(served, nobody, path) == (403, "Forbidden")
        assert asked(served, nobody, authorization="Bearer wrong") == (403, "Forbidden")
        unknown = {"azureml-model-deployment": "no-such"}
        assert asked(served, nobody, **unknown) == (403, "Forbidden")


@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "x-envoy-external-address",
        "x-client-ip",
        "true-client-ip",
    ],
)
def test_no_header_makes_a_caller_another(models: dict[str, Model], header: str):
    with serving(chat(models, *OURS), sources=OURS) as served:
        ready(served)
        claimed = "for=127.0.0.1" if header == "forwarded" else "127.0.0.1"
        assert asked(served, "127.0.0.2", **{header: claimed})[0] == 403
        assert asked(served, "127.0.0.1", **{header: "10.9.9.9"})[0] == 200


def test_another_endpoint_is_open_still_and_a_websocket_is_no_way_round(
    models: dict[str, Model],
):
    with serving(chat(models, *OTHERS), chat(models, name="free")) as served:
        until(lambda: served.ask("free/score").status_code == 200)
        assert served.ask("chat/score").status_code == 403
        upgrade = {"connection": "upgrade", "upgrade": "websocket"}
        upgrade |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13"}
        assert asked(served, "127.0.0.1", **upgrade) == (403, "Forbidden")
        assert served.ask("free/../chat/score").status_code == 403


def test_ranges_come_change_and_go_without_a_failed_request(models: dict[str, Model]):
    with serving(chat(models)) as served:
        ready(served)
        with constant_load(served) as found:
            for of_endpoint, of_workspace in (
                (OURS, ()),
                (("127.0.0.0/8",), OURS),
                ((), ("127.0.0.0/8",)),
                ((), ()),
            ):
                table = served.table(chat(models, *of_endpoint))
                served.router.publish(table.model_copy(update={"sources": of_workspace}))
        print(dict(found))
        assert set(found) == {200}


@pytest.mark.parametrize("of", ["the workspace", "the endpoint"])
def test_a_range_holds_for_the_next_request_of_a_connection_that_is_open(
    models: dict[str, Model], of: str
):
    with serving(chat(models)) as served:
        ready(served)
        open_one = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=10)

        def status() -> int:
            open_one.request("GET", "/endpoints/chat/score", headers=KEY)
            with open_one.getresponse() as answer:
                answer.read()
                return answer.status

        assert status() == 200
        kept = open_one.sock
        endpoint, workspace = (OTHERS, ()) if of == "the endpoint" else ((), OTHERS)
        table = served.table(chat(models, *endpoint))
        served.router.publish(table.model_copy(update={"sources": workspace}))
        assert (status(), open_one.sock is kept) == (403, True)
        open_one.close()


PROXIES = {"trusted_proxies": ("127.0.0.2/32", "127.0.0.3/32"), "trusted_hops": 1}
HERE, THERE, FORGED = "198.51.100.7", "203.0.113.9", "198.51.100.8"


@pytest.mark.parametrize(
    ("hops", "claimed", "client"),
    [
        (0, HERE, "127.0.0.2"),
        (1, THERE, THERE),
        (1, f"{HERE}, {THERE}", THERE),  # what the caller sent comes before what the proxy wrote
        (1, f"{HERE},{FORGED},{THERE}", THERE),
        (1, "", "127.0.0.2"),
        (1, "nonsense", "127.0.0.2"),
        (2, f"{THERE}, 10.0.0.9", THERE),
        (2, f"{HERE}, {THERE}, 10.0.0.9", THERE),
        (2, HERE, "127.0.0.2"),  # past the first proxy: it is nobody's word
    ],
)
def test_the_callers_address_is_what_the_first_trusted_proxy_wrote(
    models: dict[str, Model], hops: int, claimed: str, client: str
):
    more = {**PROXIES, "trusted_hops": hops} if hops else {}
    headers = {"x-forwarded-for": claimed} if claimed else {}
    elsewhere = chat(models, "192.0.2.1/32", name="closed")
    with serving(chat(models, f"{client}/32"), elsewhere, **more) as served:
        until(lambda: asked(served, "127.0.0.2", **headers)[0] == 200)
        assert asked(served, "127.0.0.2", "/endpoints/closed/score", **headers)[0] == 403
        logged = [(one["client"], one.get("peer")) for one in served.logged()]
        assert {*logged} == {(client, "127.0.0.2" if hops else None)}


def test_the_log_names_who_connected_and_was_refused_beside_the_address_that_it_claimed(
    models: dict[str, Model],
):
    with serving(chat(models), **PROXIES) as served:
        until(lambda: asked(served, "127.0.0.2", **{"x-forwarded-for": HERE})[0] == 200)
        assert asked(served, "127.0.0.4", **{"x-forwarded-for": THERE})[0] == 403
        assert asked(served, "127.0.0.4", host="a,b", **{"x-forwarded-for": THERE})[0] == 403
        found = [(one["client"], one["peer"], one["status"]) for one in served.logged()]
        assert [one for one in found if one[2] == 403] == [(THERE, "127.0.0.4", 403)] * 2


@pytest.mark.parametrize("sources", [(), (f"{HERE}/32",)])
def test_who_is_no_trusted_proxy_gets_nothing_whatever_is_claimed(
    models: dict[str, Model], sources: tuple[str, ...]
):
    with serving(chat(models), sources=sources, **PROXIES) as served:
        claim = {"x-forwarded-for": HERE}
        until(lambda: asked(served, "127.0.0.2", **claim)[0] == 200)
        for path in ("/endpoints/chat/score", "/endpoints/no-such/score", "/"):
            assert asked(served, "127.0.0.1", path, **claim) == (403, "Forbidden")
        forged = {"x-forwarded-for": f"{HERE}, 127.0.0.2"}
        assert asked(served, "127.0.0.4", **forged) == (403, "Forbidden")
        upgrade = {"connection": "upgrade", "upgrade": "websocket"}
        upgrade |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13"}
        assert asked(served, "127.0.0.1", **claim, **upgrade) == (403, "Forbidden")


def test_a_header_that_is_there_twice_is_read_as_one(models: dict[str, Model]):
    more = {"trusted_proxies": OURS, "trusted_hops": 1}
    with serving(chat(models, f"{THERE}/32"), **more) as served:
        # a proxy may add a header of its own after that which a caller sent

        def answered(*claimed: str) -> str:
            found = (f"x-forwarded-for: {one}" for one in claimed)
            return served.raw(raw_get("/endpoints/chat/score", *found)).split()[1]

        until(lambda: answered(HERE, THERE) == "200")
        assert answered(THERE, HERE) == "403"


def test_hops_come_and_go_while_the_router_runs(models: dict[str, Model]):
    claim = {"x-forwarded-for": HERE}
    with serving(chat(models, f"{HERE}/32")) as served:
        until(lambda: asked(served, "127.0.0.2", **claim) == (403, "Forbidden"))
        table = served.table(chat(models, f"{HERE}/32"))
        served.router.publish(table.model_copy(update=PROXIES))
        until(lambda: asked(served, "127.0.0.2", **claim)[0] == 200)
        assert asked(served, "127.0.0.1", **claim)[0] == 403
        served.router.publish(table)
        until(lambda: asked(served, "127.0.0.2", **claim)[0] == 403)
        assert asked(served, "127.0.0.1", **claim)[0] == 403


def test_without_a_named_proxy_nobody_is_trusted(models: dict[str, Model]):
    with serving(chat(models), trusted_hops=1) as served:
        assert asked(served, "127.0.0.1") == (403, "Forbidden")
