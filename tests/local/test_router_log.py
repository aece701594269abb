"""The access log and the counters."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest

from inference_provider.targets.local import watch
from tests.local.server.model import Model, until
from tests.local.server.routing import Served, endpoint, raw_get, serving

pytestmark = pytest.mark.envoy


def test_the_metrics_port_opens_nothing_else_of_admin(served: Served):
    found = {
        path: httpx.get(f"http://127.0.0.1:{served.ports[1]}{path}").status_code
        for path in ("/metrics", "/ready", "/config_dump", "/quitquitquit", "/stats")
    }
    assert found == {
        "/metrics": 200, "/ready": 200, "/config_dump": 404, "/quitquitquit": 404, "/stats": 404,
    }  # fmt: skip


def test_requests_are_counted_by_endpoint_deployment_and_code(served: Served):
    served.client.get("/endpoints/chat/score")
    served.ask("chat/score")
    text = served.metrics()
    assert 'envoy_azml_requests{endpoint="chat",deployment="blue",code="401"}' in text
    assert 'envoy_azml_requests{endpoint="chat",deployment="blue",code="200"}' in text


def test_what_a_model_gave_in_place_of_424_is_counted_and_nothing_else_that_it_says(served: Served):
    for status in (200, 424, 500):
        served.ask(f"raw/{status}")
    counted = re.findall(r'envoy_azml_model_errors\{.*code="(.*)"\}', served.metrics())
    assert {"424", "500"} <= {*counted} <= {str(status) for status in range(400, 600)}


def test_bytes_of_bodies_are_counted_by_endpoint(served: Served):
    served.ask("narrow/score", method="POST", content=b"x" * 1000)
    text = served.metrics()
    assert 'envoy_azml_bytes_in{endpoint="narrow"} 1000' in text
    assert re.search(r'envoy_azml_bytes_out\{endpoint="narrow"\} [1-9]', text)


def test_latencies_are_counted_by_endpoint_and_deployment(served: Served):
    served.ask("quick/score")
    counted = r'envoy_azml_latency_count\{endpoint="quick",deployment="blue"\} [1-9]'
    until(lambda: re.search(counted, served.metrics()) is not None)


def test_names_that_callers_invent_make_no_counters(served: Served):
    for number in range(3):
        served.ask(f"invented-{number}/score")
        served.ask("chat/score", pin=f"invented-{number}")
    text = served.metrics()
    assert "invented" not in text
    assert 'envoy_azml_requests{endpoint="-",deployment="",code="404"}' in text
    assert 'envoy_azml_requests{endpoint="chat",deployment="",code="404"}' in text


@pytest.mark.parametrize(
    ("path", "pin", "expected"),
    [
        ("chat/score", "", ("chat", "blue", 200, None)),
        ("chat/score", "green", ("chat", "green", 200, None)),
        ("chat/status/302", "", ("chat", "blue", 302, None)),
        ("chat/status/500", "", ("chat", "blue", 424, "500")),
        ("chat/%2f", "", (None, None, 400, None)),
        ("nobody/score", "", ("-", None, 404, None)),
        ("chat/score", "red", ("chat", None, 404, None)),
        ("idle/score", "", ("idle", None, 404, None)),
        ("quick/sleep/0.6", "", ("quick", "blue", 408, None)),
        ("raw/no-code", "", ("raw", "raw", 502, None)),
        ("bare/score", "", ("bare", "blue", 503, None)),
    ],
)
def test_every_answer_is_one_line_of_json_with_the_id_its_caller_got(
    served: Served, path: str, pin: str, expected: tuple[str | None, str | None, int, str | None]
):
    answer = served.ask(path, pin=pin)
    mine = [one for one in served.logged() if one["request_id"] == answer.headers["x-request-id"]]
    fields = ("endpoint", "deployment", "status", "model_status")
    assert [tuple(one[name] for name in fields) for one in mine] == [expected]


@pytest.mark.parametrize("status", [401, 413, 429])
def test_what_the_router_refuses_is_logged_with_its_endpoint(served: Served, status: int):
    ask = {401: _unauthorized, 413: _too_large, 429: _too_many}[status]
    ask(served)
    found = [one for one in served.logged() if one["status"] == status]
    assert {one["endpoint"] for one in found} <= {"chat", "narrow"}
    assert found != []


def _unauthorized(served: Served) -> None:
    assert served.client.get("/endpoints/chat/score").status_code == 401


def _too_large(served: Served) -> None:
    head = raw_get("/endpoints/chat/score", "content-length: 104857601", method="POST")
    assert served.raw(head).startswith("HTTP/1.1 413 ")


def _too_many(served: Served) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: served.ask("narrow/sleep/0.5"), range(4)))
    assert 429 in [one.status_code for one in found]


def test_the_log_says_which_key_and_never_what_the_caller_claims(served: Served):
    claimed = {"x-azml-client": "somebody-else", "x-request-id": "claimed"}
    paths = ("chat/score", "nobody/score", "idle/score", "chat/%2f", "chat/status/500")
    found = {path: served.ask(path, headers=claimed).status_code for path in paths}
    upgrade = {"connection": "upgrade", "upgrade": "other"}
    found["upgrade"] = served.ask("chat/score", headers=claimed | upgrade).status_code
    claimed["authorization"] = "Bearer wrong"
    found["wrong key"] = served.ask("chat/score", headers=claimed).status_code
    assert sorted(found.values()) == [200, 400, 401, 403, 404, 404, 424]
    logged = [one for one in served.logged() if one["request_id"] == "claimed"]
    assert len(logged) == len(found)
    identities = {(one["endpoint"], one["status"]): one.get("identity") for one in logged}
    assert identities == {
        ("chat", 200): "primary",
        ("chat", 424): "primary",
        ("idle", 404): "primary",
        ("chat", 401): None,
        ("chat", 403): None,
        ("-", 404): None,
        (None, 400): None,
    }
    assert "somebody-else" not in (served.folder / "access.log").read_text()


def test_a_query_is_not_logged_and_a_callers_own_id_only_up_to_40_characters(served: Served):
    served.ask("chat/score?secret=1", headers={"x-ms-client-request-id": "c" * 50})
    last = served.logged()[-1]
    assert (last["path"], last["client_request_id"]) == ("/endpoints/chat/score", "c" * 40)


def test_nothing_that_a_caller_sends_makes_a_line_of_the_log_longer_than_8_kib(served: Served):
    long, escaped = "a" * 58_000, '"' * 29_000
    before = len(served.logged_bytes())
    for asked in (
        raw_get(f"/endpoints/chat/{long}"),
        raw_get(f"/{long}"),
        raw_get(f"/endpoints/chat/%2f{long}"),
        raw_get("/endpoints/chat/x", method=long[:3000]),
        raw_get("/endpoints/chat/x", f"x-request-id: {long}"),
        raw_get("/endpoints/chat/%2f", f"x-request-id: {escaped}"),
        raw_get("/endpoints/chat/x", f"x-ms-client-request-id: {escaped}"),
        raw_get("/endpoints/chat/x", f"x-azml-client: {long}"),
        raw_get("/endpoints/chat/x", f"azureml-model-deployment: {long}"),
        raw_get("/endpoints/chat/x", f"user-agent: {escaped}"),
        raw_get(f"/endpoints/chat/{long}", f"x-request-id: {long}"),
    ):
        served.raw(asked)
    lines = served.logged_bytes()[before:].splitlines()
    assert len(lines) == 12  # the last is of the look at the log itself
    assert max(len(line) for line in lines) < 8192


def test_a_models_own_headers_do_not_fill_the_log(served: Served):
    served.raw(raw_get("/endpoints/chat/claims/" + "5" * 5_000))
    assert "555" in {one["model_status"] for one in served.logged()}


@pytest.mark.parametrize(
    "claimed",
    [
        pytest.param("é€".encode() * 400, id="cut in the middle of a character"),
        pytest.param(b"\xff\xfe\x80" * 100, id="no UTF-8"),
        pytest.param(b'"\\\t' * 100, id="what JSON escapes"),
        pytest.param(b"x" * 58_000, id="long"),
    ],
)
def test_any_bytes_of_a_caller_are_logged_as_json_and_cut(served: Served, claimed: bytes):
    asked = raw_get("/endpoints/chat/any-bytes").encode()
    served.raw_bytes(
        asked.replace(b"connection:", b"x-request-id: " + claimed + b"\r\nconnection:")
    )
    mine = [one for one in served.logged() if one["path"] == "/endpoints/chat/any-bytes"]
    assert {len(one["request_id"]) for one in mine} == {128}


def test_health_checks_are_no_requests(served: Served, models: dict[str, Model]):
    before = models["blue"].checks
    until(lambda: models["blue"].checks > before)
    assert [one for one in served.logged() if "ready" in (one["path"] or "")] == []


def test_what_is_refused_unread_is_logged_with_the_id_of_its_answer_and_no_identity(served: Served):
    head = served.raw("GET / HTTP/1.0\r\nx-azml-client: somebody-else\r\n\r\n")
    answered = head.partition("x-request-id: ")[2].partition("\r\n")[0]
    logged = next(one for one in served.logged() if one["request_id"] == answered)
    assert (logged["status"], logged.get("identity")) == (426, None)


def test_a_log_that_is_filled_stays_under_its_bound_while_the_router_serves():
    with serving(endpoint("idle", {})) as served, watching(served.folder, 100_000) as look:
        sizes, answers = [], set()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(20):
                asked = pool.map(lambda n: served.ask(f"idle/{n:0300}").status_code, range(200))
                answers |= set(asked)
                look()
                sizes.append(sum(path.stat().st_size for path in served.folder.glob("access.log*")))
        last = served.ask("idle/last").headers["x-request-id"]
        assert last in [one["request_id"] for one in served.logged()]
    assert answers == {404}
    assert max(sizes) <= 500_000  # four logs, and what 200 requests write until the next look
    assert sizes[-1] > 200_000


@contextlib.contextmanager
def watching(folder: pathlib.Path, limit: int) -> Iterator[Callable[[], None]]:
    """Run the listener as supervisord does; what comes out lets it look at the log once."""
    files = [str(folder / "ends.json"), str(folder / "access.log"), str(limit), str(folder)]
    command = [sys.executable, "-I", "-S", watch.__file__, *files]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def look() -> None:
        assert process.stdout.readline() == b"READY\n"
        process.stdin.write(b"eventname:TICK_5 len:6\nwhen:5")
        process.stdin.flush()
        assert process.stdout.read(11) == b"RESULT 2\nOK"

    yield look
    process.stdin.close()
    assert process.wait(5) == 0
    process.stdout.close()


@pytest.mark.local
def test_a_large_access_log_is_set_aside_while_nothing_changes(lab):
    lab.up()
    log = lab.state / "workspaces" / "lab" / "router" / "access.log"
    os.truncate(log, 64_000_000)
    until(lambda: log.with_name("access.log.1").exists())
    assert lab.score().status_code == 200
    until(lambda: log.exists() and log.stat().st_size)  # Envoy writes its log every ten seconds
    assert log.stat().st_size < 10_000
    assert log.with_name("access.log.1").stat().st_size >= 64_000_000
