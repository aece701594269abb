"""A real Envoy in front of small real models."""

import collections
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from inference_provider.errors import NotReady, RouterRejected
from inference_provider.router import (
    Backend,
    DeploymentEntry,
    EndpointEntry,
    RouterTable,
)
from inference_provider.router.render import CDS, LDS, RDS, RTDS
from inference_provider.targets.local.router import EnvoyRouter

pytestmark = pytest.mark.envoy
PRIMARY, SECONDARY = "primary-secret-4d1f", "secondary-secret-9b7c"
KEY = {"authorization": f"Bearer {PRIMARY}"}


class Model:
    """A model server in a thread: says what it was asked, fails, sleeps, streams, echoes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hits = 0
        self.ready = 200
        config = uvicorn.Config(
            self.answer,
            port=0,
            log_level="error",
            lifespan="off",
            ws="websockets-sansio",
            interface="asgi3",
            http="h11",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]

    @property
    def backend(self) -> Backend:
        return Backend(host="127.0.0.1", port=self.port)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    async def answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        import asyncio

        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        path = scope["path"]
        if path == "/ready":
            await _reply(send, self.ready, b"")
            return
        self.hits += 1
        kind, _, value = path.strip("/").partition("/")
        if kind == "sleep":
            await asyncio.sleep(float(value))
        if kind == "stream":
            await _stream(send)
            return
        headers = {key.decode(): text.decode() for key, text in scope["headers"]}
        body = {"model": self.name, "method": scope["method"], "path": path, "bytes": size}
        body |= {"query": scope["query_string"].decode(), "headers": headers}
        await _reply(send, int(value) if kind == "status" else 200, json.dumps(body).encode())

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


async def _reply(send: Any, status: int, body: bytes) -> None:
    body = b"" if status == 204 else body
    headers = [(b"content-length", str(len(body)).encode()), (b"location", b"/elsewhere")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any) -> None:
    import asyncio

    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(4):
        await send(
            {"type": "http.response.body", "body": f"{number}\n".encode(), "more_body": True}
        )
        await asyncio.sleep(0.15)
    await send({"type": "http.response.body", "body": b""})


def until(question: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Served:
    """One running router, its table and a client."""

    def __init__(self, folder: pathlib.Path, endpoints: tuple[EndpointEntry, ...]) -> None:
        self.folder = folder
        self.ports = (free_port(), free_port())
        self.router = EnvoyRouter(folder)
        table = self.table(*endpoints)
        self.router.validate(table)
        self.router.write_all(table)
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            self.router.command(), stdout=self.log, stderr=subprocess.STDOUT
        )
        until(self.router.is_ready)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.ports[0]}", timeout=20)

    def table(self, *endpoints: EndpointEntry) -> RouterTable:
        return RouterTable(
            folder=str(self.folder),
            host="127.0.0.1",
            port=self.ports[0],
            metrics_port=self.ports[1],
            endpoints=endpoints,
        )

    def close(self) -> None:
        self.client.close()
        self.router.admin.close()
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def ask(self, path: str, pin: str = "", method: str = "GET", **kwargs: Any) -> httpx.Response:
        headers = KEY | ({"azureml-model-deployment": pin} if pin else {})
        headers |= kwargs.pop("headers", {})
        return self.client.request(method, f"/endpoints/{path}", headers=headers, **kwargs)

    def versions(self) -> dict[str, str]:
        """Return version and count of updates of each kind, as the running router says."""
        found = self.router.admin.stats(r"(version_text|update_success)$")
        return {name: str(value) for name, value in found.items()}

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.ports[1]}/metrics").text


def deployment(name: str, *models: Model, **values: Any) -> DeploymentEntry:
    return DeploymentEntry(
        **{
            "name": name,
            "backends": tuple(model.backend for model in models),
            "timeout_ms": 5000,
            "max_concurrent": 100,
            "health_path": "/ready",
            "health_interval_ms": 500,
            **values,
        }
    )


def endpoint(
    name: str, weights: dict[str, int], *deployments: DeploymentEntry, **values: Any
) -> EndpointEntry:
    keys = (SecretStr(PRIMARY), SecretStr(SECONDARY))
    return EndpointEntry(name=name, keys=keys, deployments=deployments, weights=weights, **values)


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, Model]]:
    found = {name: Model(name) for name in ("blue", "green", "shadow")}
    yield found
    for model in found.values():
        model.close()


@contextlib.contextmanager
def serving(*endpoints: EndpointEntry) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="router-test-") as folder:  # a short path
        served = Served(pathlib.Path(folder), endpoints)
        try:
            yield served
        finally:
            served.close()


@pytest.fixture(scope="module")
def served(models: dict[str, Model]) -> Iterator[Served]:
    blue, green = models["blue"], models["green"]
    with serving(
        endpoint("chat", {"blue": 100}, deployment("blue", blue), deployment("green", green)),
        endpoint("idle", {"blue": 0}, deployment("blue", blue)),
        endpoint("bare", {"blue": 100}, deployment("blue")),
        endpoint("quick", {"blue": 100}, deployment("blue", blue, timeout_ms=300)),
        endpoint("narrow", {"blue": 100}, deployment("blue", blue, max_concurrent=1)),
        endpoint("other", {"blue": 100}, deployment("blue", blue, scoring_path="/v1/x:predict")),
    ) as found:
        until(lambda: found.ask("chat/score").status_code == 200)
        yield found


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    "value", ["", "Bearer wrong", "Basic abc"], ids=["none", "wrong", "other scheme"]
)
def test_a_missing_or_wrong_key_is_401(served: Served, value: str):
    found = served.client.get(
        "/endpoints/chat/score", headers={"authorization": value} if value else {}
    )
    assert code_of(found) == (401, "Unauthorized")


@pytest.mark.parametrize(("key", "client"), [(PRIMARY, "primary"), (SECONDARY, "secondary")])
def test_both_keys_are_valid_and_neither_reaches_the_model(served: Served, key: str, client: str):
    asked = {"authorization": f"Bearer {key}", "x-azml-client": "somebody"}
    found = served.ask("chat/score", headers=asked)
    headers = found.json()["headers"]
    assert (found.status_code, headers["x-azml-client"]) == (200, client)
    assert "authorization" not in headers
    assert key not in found.text


def test_errors_of_the_router_are_not_errors_of_the_model(served: Served):
    found = {
        "no endpoint": code_of(served.ask("nobody/score")),
        "no deployment": code_of(served.ask("chat/score", pin="red")),
        "no traffic": code_of(served.ask("idle/score")),
        "no backend": code_of(served.ask("bare/score")),
        "no backend, pinned": code_of(served.ask("bare/score", pin="blue")),
        "too slow": code_of(served.ask("quick/sleep/1")),
    }
    assert found == {
        "no endpoint": (404, "EndpointNotFound"),
        "no deployment": (404, "DeploymentNotFound"),
        "no traffic": (404, "NoTraffic"),
        "no backend": (503, "ServiceUnavailable"),
        "no backend, pinned": (503, "ServiceUnavailable"),
        "too slow": (408, "RequestTimeout"),
    }


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 504])
def test_an_error_of_the_model_is_424_with_its_status(served: Served, status: int):
    found = served.ask(f"chat/status/{status}")
    assert found.status_code == 424
    assert found.headers["ms-azureml-model-error-statuscode"] == str(status)
    assert found.headers["ms-azureml-model-error-reason"]
    assert found.headers["azureml-model-deployment"] == "blue"
    assert found.json()["model"] == "blue"


@pytest.mark.parametrize("status", [201, 204, 302, 307])
def test_what_is_no_error_of_the_model_passes(served: Served, status: int):
    assert served.ask(f"chat/status/{status}").status_code == status


def test_over_twice_the_concurrency_is_429_with_retry_after(served: Served):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: served.ask("narrow/sleep/0.8"), range(8)))
    assert collections.Counter(one.status_code for one in found) == {200: 2, 429: 6}
    refused = next(one for one in found if one.status_code == 429)
    assert (refused.headers["retry-after"], code_of(refused)[1]) == ("1", "TooManyRequests")


def test_the_pin_chooses_the_deployment(served: Served):
    found = [served.ask("chat/score", pin=name) for name in ("blue", "green")]
    assert [one.json()["model"] for one in found] == ["blue", "green"]
    assert [one.headers["azureml-model-deployment"] for one in found] == ["blue", "green"]


def test_a_pin_passes_where_there_is_no_traffic(served: Served):
    assert served.ask("idle/score", pin="blue").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["chat/score", "chat/status/500", "nobody/score", "idle/score", "bare/score", "chat/%2f..%2f",
     "quick/sleep/1"],
)  # fmt: skip
def test_every_answer_carries_a_request_id(served: Served, path: str):
    assert served.ask(path).headers["x-request-id"]


def test_a_request_id_of_the_caller_is_kept(served: Served):
    found = served.ask("chat/score", headers={"x-request-id": "mine-1"})
    assert found.headers["x-request-id"] == "mine-1"
    assert found.json()["headers"]["x-request-id"] == "mine-1"


def test_a_caller_cannot_change_the_limits_of_a_route(served: Served):
    asked = {"x-envoy-upstream-rq-timeout-ms": "60000"}
    assert served.ask("quick/sleep/1", headers=asked).status_code == 408


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_and_sub_path_passes(served: Served, method: str):
    found = served.ask("chat/a/b/swagger.json?version=3", method=method).json()
    assert (found["method"], found["path"]) == (method, "/a/b/swagger.json")
    assert found["query"] == "version=3"


def test_score_goes_to_the_scoring_path(served: Served):
    paths = [served.ask(f"other/{path}").json()["path"] for path in ("score", "score?a=1", "x")]
    assert paths == ["/v1/x:predict", "/v1/x:predict", "/x"]
    assert served.ask("other/score", pin="blue").json()["path"] == "/v1/x:predict"


def test_a_path_cannot_leave_its_endpoint(served: Served):
    assert served.ask("chat/%2f..%2f..%2fidle/score").status_code == 400


def test_a_body_of_20_mb_passes(served: Served):
    found = served.ask("chat/score", method="POST", content=b"x" * 20_000_000)
    assert found.json()["bytes"] == 20_000_000


def test_a_body_over_the_limit_is_413(served: Served):
    connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
    connection.putrequest("POST", "/endpoints/chat/score")
    connection.putheader("authorization", KEY["authorization"])
    connection.putheader("content-length", str(101 * 1024 * 1024))
    connection.endheaders()
    with contextlib.suppress(OSError):
        for _ in range(101):
            connection.send(b"x" * 1024 * 1024)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_stream_arrives_piece_by_piece(served: Served):
    arrived: list[float] = []
    with served.client.stream("GET", "/endpoints/chat/stream", headers=KEY) as answer:
        for _ in answer.iter_lines():
            arrived.append(time.monotonic())
    assert len(arrived) == 4
    assert arrived[3] - arrived[0] > 0.3


def test_a_websocket_passes_and_outlives_the_request_timeout(served: Served):
    from websockets.sync.client import connect

    address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/quick/ws"
    with connect(address, additional_headers=KEY) as opened:
        opened.send("one")
        assert opened.recv(5) == "one"
        time.sleep(0.6)
        opened.send("two")
        assert opened.recv(5) == "two"


def test_a_websocket_without_a_key_is_401(served: Served):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus, match="401"):
        connect(f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws")


def test_keys_are_in_no_place_but_the_route_file(served: Served):
    served.ask("chat/score")
    places = {
        "config_dump": served.router.admin.get("/config_dump?include_eds").text,
        "argv": " ".join(served.router.command()),
        "log": (served.folder / "log").read_text(),
        "access.log": (served.folder / "access.log").read_text(),
    }
    found = [name for name, text in places.items() if PRIMARY in text or SECONDARY in text]
    assert found == []
    assert PRIMARY in (served.folder / RDS).read_text()


def test_only_the_owner_can_open_the_folder_and_its_files(served: Served):
    found = {
        name: oct((served.folder / name).stat().st_mode & 0o777)
        for name in ("", "rds", RDS, CDS, LDS, RTDS, "bootstrap.json", "admin.sock")
    }
    assert found == {name: "0o700" if name in ("", "rds") else "0o600" for name in found}


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


def asked(served: Served, count: int, threads: int = 4, path: str = "chat/score") -> list[str]:
    """Ask `count` times over kept connections; return who answered, in no order."""

    def some(number: int) -> list[str]:
        connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
        found = []
        for _ in range(number):
            connection.request("GET", f"/endpoints/{path}", headers=KEY)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            found.append(answer.headers["azureml-model-deployment"])
        connection.close()
        return found

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return [one for part in pool.map(some, [count // threads] * threads) for one in part]


def test_split_and_mirror_are_what_was_asked_over_10000_requests(models: dict[str, Model]):
    from scipy.stats import binomtest, chisquare

    blue, green, shadow = models["blue"], models["green"], models["shadow"]
    three = (deployment("blue", blue), deployment("green", green), deployment("shadow", shadow))
    weights = {"blue": 90, "green": 10, "shadow": 0}
    with serving(endpoint("chat", weights, *three, mirror={"shadow": 20})) as served:
        until(lambda: served.router.healthy_backends() is not None)
        until(lambda: served.ask("chat/score", pin="blue").status_code == 200)
        shadow.hits = 0
        count = collections.Counter(asked(served, 10_000))
        until(lambda: not served.router.admin.stats("active$").get("none", 0))
        time.sleep(0.3)
        mirrored = shadow.hits
        split_p = chisquare([count["blue"], count["green"]], [9000, 1000]).pvalue
        mirror_p = binomtest(mirrored, 10_000, 0.2).pvalue
        print(f"split {dict(count)} p={split_p:.3f}, mirrored {mirrored} p={mirror_p:.3f}")
        assert set(count) == {"blue", "green"}
        assert split_p > 0.001
        assert mirror_p > 0.001
        counter = 'envoy_cluster_upstream_rq_total{envoy_cluster_name="chat/shadow/mirror"}'
        assert f"{counter} {mirrored}\n" in served.metrics()


def test_pinned_requests_are_never_mirrored(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("shadow", models["shadow"]))
    weights = {"blue": 100, "shadow": 0}
    with serving(endpoint("chat", weights, *two, mirror={"shadow": 100})) as served:
        until(lambda: served.ask("chat/score", pin="blue").status_code == 200)
        until(lambda: (served.router.healthy_backends() or {}).get("chat/shadow") == 1)
        models["shadow"].hits = 0
        for _ in range(50):
            served.ask("chat/score", pin="blue")
        assert models["shadow"].hits == 0
        served.ask("chat/score")
        until(lambda: models["shadow"].hits == 1)


def test_a_change_of_weights_touches_nothing_else(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    with serving(endpoint("chat", {"blue": 100, "green": 0}, *two)) as served:
        before = served.versions()
        started_s = time.perf_counter()
        served.router.converge(served.table(endpoint("chat", {"blue": 0, "green": 100}, *two)))
        print(f"weights in force after {(time.perf_counter() - started_s) * 1000:.1f} ms")
        after = served.versions()
        changed = sorted(name for name in after if before[name] != after[name])
        assert changed == ["runtime.update_success", "runtime.version_text"]
        assert served.router.live_weights() == {"chat": {"blue": 0, "green": 100}}
        assert set(asked(served, 40)) == {"green"}


def test_a_table_in_force_is_not_written_again(models: dict[str, Model]):
    one = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    with serving(one) as served:
        before = served.versions()
        served.router.converge(served.table(one))
        assert served.versions() == before


@contextlib.contextmanager
def constant_load(served: Served, threads: int = 3) -> Iterator[collections.Counter[int]]:
    """Ask all the time; count the statuses, and what broke as 0."""
    found: collections.Counter[int] = collections.Counter()
    over = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
        while not over.is_set():
            try:
                connection.request("GET", "/endpoints/chat/sleep/0.01", headers=KEY)
                answer = connection.getresponse()
                answer.read()
                found[answer.status] += 1
            except OSError:
                found[0] += 1
                connection.close()
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(ask)
        try:
            yield found
        finally:
            over.set()


def test_adding_moving_and_removing_deployments_under_load_fails_no_request(
    models: dict[str, Model],
):
    blue, green = deployment("blue", models["blue"]), deployment("green", models["green"])
    moved = deployment("blue", models["shadow"])
    wider = deployment("blue", models["blue"], models["shadow"], max_concurrent=50)
    steps = (
        endpoint("chat", {"blue": 100, "green": 0}, blue, green),
        endpoint("chat", {"blue": 50, "green": 50}, blue, green, mirror={"green": 10}),
        endpoint("chat", {"blue": 0, "green": 100}, blue, green),
        endpoint("chat", {"green": 100}, green),
        endpoint("chat", {"blue": 100}, moved),
        endpoint("chat", {"blue": 100}, wider),
        endpoint("chat", {"blue": 100}, blue),
    )
    with serving(steps[-1]) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with constant_load(served) as found:
            for _ in range(3):
                for step in steps:
                    served.router.converge(served.table(step))
                    time.sleep(0.05)
        print(dict(found))
        assert set(found) == {200}
        assert found[200] > 200
        assert served.router.healthy_backends() == {"chat/blue": 1}


def test_what_envoy_refuses_leaves_the_old_serving(models: dict[str, Model]):
    good = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    bad = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"], timeout_ms=-5))
    with serving(good) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        files = {name: (served.folder / name).read_text() for name in (CDS, LDS, RDS, RTDS)}
        with pytest.raises(RouterRejected) as validated:
            served.router.validate(served.table(bad))
        with pytest.raises(RouterRejected):
            served.router.converge(served.table(bad), timeout_s=5)
        assert "Expected positive duration" in str(validated.value)
        assert PRIMARY not in str(validated.value)
        assert {name: (served.folder / name).read_text() for name in files} == files
        assert served.ask("chat/score").status_code == 200


def test_a_backend_that_is_not_healthy_gets_no_request_and_the_old_stays(
    models: dict[str, Model],
):
    good = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    dead = DeploymentEntry(
        name="green",
        backends=(Backend(host="127.0.0.1", port=free_port()),),
        timeout_ms=1000,
        max_concurrent=1,
    )
    both = endpoint("chat", {"blue": 0, "green": 100}, deployment("blue", models["blue"]), dead)
    with serving(good) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with pytest.raises(NotReady, match="chat/green"):
            served.router.converge(served.table(both), timeout_s=1.5)
        assert set(asked(served, 20)) == {"blue"}
        assert served.router.live_weights() == {"chat": {"blue": 100}}


def test_a_router_that_does_not_run_is_unknown_and_not_empty(tmp_path: pathlib.Path):
    router = EnvoyRouter(tmp_path)
    assert router.is_ready() is False
    assert router.live_weights() is None
    assert router.live_mirrors() is None
    assert router.healthy_backends() is None


def test_a_killed_router_comes_back_with_the_split_it_had(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    with serving(endpoint("chat", {"blue": 100, "green": 0}, *two)) as served:
        served.router.converge(served.table(endpoint("chat", {"blue": 0, "green": 100}, *two)))
        served.process.kill()
        served.process.wait(10)
        assert served.router.is_ready() is False
        served.process = subprocess.Popen(
            served.router.command(), stdout=served.log, stderr=subprocess.STDOUT
        )
        until(served.router.is_ready)
        until(lambda: served.ask("chat/score").status_code == 200)
        assert set(asked(served, 40)) == {"green"}


def test_a_draining_router_ends_the_requests_it_has(models: dict[str, Model]):
    with serving(endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            slow = pool.submit(served.ask, "chat/sleep/0.5")
            time.sleep(0.1)
            served.router.admin.post("/drain_listeners?graceful&skip_exit")
            assert slow.result().status_code == 200
