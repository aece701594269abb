"""Requests to a deployment without an instance: who waits, how long, and what an instance finds."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from inference_provider.errors import NotReady, TargetUnreachable
from inference_provider.router.holding import CLUSTER, HOLDING, MOST, SOCKET, Held
from inference_provider.router.render import CDS, FILES, LDS
from inference_provider.router.table import Backend
from inference_provider.targets.envoy.waiting_room import WaitingRoom
from tests.local.server.load import constant_load
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, PRIMARY, Served, code_of, deployment, endpoint, serving
from tests.local.server.waiting import Waiting, waiting
from tests.ports import own_port

pytestmark = pytest.mark.envoy
FIVE = Held(requests=5, body_bytes=2**30)
PATIENT = {"patience_s": 60, "timeout_ms": 2000}
UNHURRIED = {"timeout_ms": 60_000}
"""For who does not ask about time: a busy machine takes seconds for a hundred bodies at once."""


def blue(*models: Model, **values):
    return deployment("blue", *models, **{**PATIENT, **values})


def chat(*models: Model, max_body_mib: int = 100, **values):
    one = blue(*models, **values)
    return endpoint("chat", {"blue": 100}, one, max_body_mib=max_body_mib)


Answers = list[Future[httpx.Response]]


class Callers:
    """Callers that do not wait for each other."""

    def __init__(self, served: Served, pool: ThreadPoolExecutor) -> None:
        self._served = served
        self._pool = pool

    def ask(self, count: int, path: str = "chat/score", **more) -> Answers:
        return [self._pool.submit(self._served.ask, path, timeout=60, **more) for _ in range(count)]


@contextmanager
def calling(*endpoints, most: Held = MOST) -> Iterator[tuple[Waiting, Callers]]:
    with ThreadPoolExecutor(128) as pool, waiting(*endpoints, most=most) as space:
        limits = httpx.Limits(max_connections=None)
        base = f"http://127.0.0.1:{space.served.ports[0]}"
        space.served.client.close()
        space.served.client = httpx.Client(base_url=base, limits=limits, trust_env=False)
        yield space, Callers(space.served, pool)


def statuses(answers: Answers) -> Counter[int]:
    return Counter(answer.result(60).status_code for answer in answers)


def test_held_requests_are_answered_once_there_is_an_instance(models: dict[str, Model]):
    with calling(chat(**UNHURRIED)) as (space, callers):
        answers = callers.ask(100, content=b"x" * 100_000)
        until(lambda: space.held == 100)
        space.publish(chat(models["blue"], **UNHURRIED))
        assert statuses(answers) == {200: 100}
        assert {answer.result().json()["bytes"] for answer in answers} == {100_000}
        until(lambda: not space.holds())
        assert space.served.ask("chat/score").status_code == 200
        assert space.room.waiting() == {}


def test_a_crowd_goes_on_as_the_instance_takes_it(models: dict[str, Model]):
    with calling(chat(max_concurrent=1)) as (space, callers):
        answers = callers.ask(60, "chat/sleep/0.05")
        until(lambda: space.held == 60)
        space.publish(chat(models["blue"], max_concurrent=1))
        assert statuses(answers) == {200: 60}


def test_an_instance_that_is_not_healthy_gets_no_request(models: dict[str, Model]):
    models["blue"].ready = 503
    with calling(chat()) as (space, callers):
        try:
            answers = callers.ask(3)
            until(lambda: space.held == 3)
            checks = models["blue"].checks
            space.publish(chat(models["blue"]))
            until(lambda: models["blue"].checks >= checks + 2)
            assert space.held == 3
            assert space.holds()
        finally:
            models["blue"].ready = 200
        assert statuses(answers) == {200: 3}


def test_the_timeout_of_a_request_begins_when_it_goes_on(models: dict[str, Model]):
    with calling(chat(timeout_ms=1000)) as (space, callers):
        answers = callers.ask(1)
        until(lambda: space.held == 1)
        time.sleep(1.5)
        space.publish(chat(models["blue"], timeout_ms=1000))
        assert statuses(answers) == {200: 1}
        late = callers.ask(1, "chat/sleep/1.5")
        assert statuses(late) == {408: 1}


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_that_is_too_large_does_not_wait(models: dict[str, Model], chunked: bool):
    with calling(chat(max_body_mib=1)) as (space, callers):
        size = 2**20 + 1
        body = (b"x" * part for part in (2**19, 2**19 + 1)) if chunked else b"x" * size
        [answer] = callers.ask(1, method="POST", content=body)
        assert code_of(answer.result(60)) == (413, "PayloadTooLarge")
        until(lambda: not space.held)
        fits = callers.ask(1, method="POST", content=b"x" * (size - 1))
        until(lambda: space.held == 1)
        space.publish(chat(models["blue"], max_body_mib=1))
        assert [one.result(60).json()["bytes"] for one in fits] == [size - 1]


def test_one_too_many_is_refused_at_once_and_told_when_to_come_again():
    with calling(chat(), most=FIVE) as (space, callers):
        callers.ask(5)
        until(lambda: space.held == 5)
        [refused] = [one.result(10) for one in callers.ask(1)]
        assert code_of(refused) == (503, "ServiceUnavailable")
        assert refused.headers["retry-after"] == "3"
        assert refused.headers["x-azml-error"] == "router"
        assert space.held == 5
        space.publish()


def test_a_crowd_that_is_refused_or_leaves_keeps_no_connection_open():
    with calling(chat(), most=FIVE._replace(requests=10)) as (space, callers):
        path = str(space.served.folder / SOCKET)

        def opened() -> int:
            here = psutil.Process().net_connections("unix")
            return sum(str(one.laddr) == path for one in here) - 1  # one listens

        callers.ask(10)
        until(lambda: space.held == 10)
        assert statuses(callers.ask(40)) == {503: 40}
        until(lambda: opened() == 10)
        space.publish()
        until(lambda: opened() == 0)


def test_patience_ends():
    with calling(chat(patience_s=1)) as (space, callers):
        began_s = time.monotonic()
        [refused] = [one.result(20) for one in callers.ask(1)]
        assert code_of(refused) == (503, "ServiceUnavailable")
        assert refused.headers["retry-after"] == "1"
        assert time.monotonic() - began_s >= 1
        assert space.held == 0


def test_who_gives_up_frees_the_place():
    with calling(chat(), most=FIVE._replace(requests=1)) as (space, callers):
        with pytest.raises(httpx.ReadTimeout):
            space.served.client.post("/endpoints/chat/score", headers=KEY, timeout=0.5)
        until(lambda: space.held == 0)
        callers.ask(1)
        until(lambda: space.held == 1)
        space.publish()


def test_who_may_not_call_is_refused_at_once_and_wakes_nothing(models: dict[str, Model]):
    with calling(chat()) as (space, callers):
        nobody = {"authorization": "Bearer wrong"}
        assert statuses(callers.ask(5, headers=nobody)) == {401: 5}
        assert statuses(callers.ask(1, pin="red")) == {404: 1}
        assert space.room.waiting() == {}


def test_only_the_part_of_a_split_without_an_instance_waits(models: dict[str, Model]):
    def split(*of_blue: Model):
        green = deployment("green", models["green"])
        return endpoint("chat", {"blue": 50, "green": 50}, blue(*of_blue), green)

    with calling(split()) as (space, callers):
        until(lambda: space.served.ask("chat/score", pin="green").status_code == 200)
        answers = callers.ask(100)
        until(lambda: sum(one.done() for one in answers) + space.held == 100)
        assert 25 <= space.held <= 75
        at_once = [one.result() for one in answers if one.done()]
        assert {one.headers["azureml-model-deployment"] for one in at_once} == {"green"}
        space.publish(split(models["blue"]))
        assert statuses(answers) == {200: 100}


def test_a_pinned_request_waits_and_a_mirrored_one_does_not(models: dict[str, Model]):
    green = deployment("green", models["green"])
    space_of = endpoint("chat", {"green": 100}, blue(), green, mirror={"blue": 50})
    with calling(space_of) as (space, callers):
        until(lambda: space.served.ask("chat/score", pin="green").status_code == 200)
        assert statuses(callers.ask(50)) == {200: 50}
        assert space.held == 0
        answers = callers.ask(1, pin="blue")
        until(lambda: space.held == 1)
        space.publish(endpoint("chat", {"green": 100}, blue(models["blue"]), green))
        assert statuses(answers) == {200: 1}


def test_a_websocket_waits_too(models: dict[str, Model]):
    with calling(chat()) as (space, _):
        url = f"ws://127.0.0.1:{space.served.ports[0]}/endpoints/chat/talk"
        found = []

        def talk() -> None:
            with connect(url, additional_headers=KEY, open_timeout=30, proxy=None) as opened:
                opened.send("hello")
                found.append(opened.recv())

        thread = threading.Thread(target=talk)
        thread.start()
        until(lambda: space.held == 1)
        space.publish(chat(models["blue"]))
        thread.join(20)
        assert found == ["hello"]


def test_no_request_fails_while_the_last_instance_goes_and_the_first_comes(
    models: dict[str, Model],
):
    with calling(chat(models["blue"])) as (space, _):
        until(lambda: not space.holds())
        with constant_load(space.served) as found:
            for _ in range(5):
                space.publish(chat())
                assert space.holds()
                until(lambda: space.held == 3)
                before = models["blue"].hits
                time.sleep(0.2)
                assert models["blue"].hits == before
                space.publish(chat(models["blue"]))
                until(lambda: not space.holds())
        assert {*found} == {200}
        assert found[200] >= 15


def test_no_request_fails_while_the_last_instance_of_an_unknown_table_goes(
    models: dict[str, Model],
):
    with calling(chat(models["blue"])) as (space, _):
        until(lambda: not space.holds())
        with constant_load(space.served) as found:
            for _ in range(5):
                (space.served.folder / "table.json").unlink()
                space.publish(chat())
                until(lambda: space.held == 3)
                space.publish(chat(models["blue"]))
                until(lambda: not space.holds())
        assert {*found} == {200}


def test_a_long_request_elsewhere_goes_on_when_the_first_deployment_may_have_no_instance(
    models: dict[str, Model],
):
    other = endpoint("other", {"green": 100}, deployment("green", models["green"]))
    with calling(chat(models["blue"], patience_s=0), other) as (space, callers):
        until(lambda: space.served.ask("other/score").status_code == 200)
        before = space.served.versions()["listener_manager.lds.version_text"]
        answers = callers.ask(1, "other/sleep/2")
        space.publish(chat(), other)
        assert space.holds()
        assert space.served.versions()["listener_manager.lds.version_text"] == before
        assert statuses(answers) == {200: 1}


def _without_holding(folder: Path) -> None:
    """Make a folder what a release leaves that knows nothing of waiting."""
    versions = {}
    for name in (CDS, LDS):
        found = json.loads((folder / name).read_text())
        kept = _without(found, {HOLDING, CLUSTER}) | {"version_info": "before"}
        (folder / name).write_text(json.dumps(kept))
        versions[name] = "before"
    known = json.loads((folder / "table.json").read_text())
    known |= {"form": "before", "versions": known["versions"] | versions}
    (folder / "table.json").write_text(json.dumps(known))


def _without(found: Any, names: set[str]) -> Any:
    if isinstance(found, list):
        named = [one for one in found if isinstance(one, dict) and one.get("name") in names]
        return [_without(one, names) for one in found if one not in named]
    if isinstance(found, dict):
        return {key: _without(value, names) for key, value in found.items()}
    return found


def test_requests_wait_in_a_router_whose_files_an_older_release_wrote(models: dict[str, Model]):
    with serving(chat(models["blue"])) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        _without_holding(served.folder)
        served.restart()
        held = endpoint("chat", {"blue": 100}, blue(held=True))
        served.router.publish(served.table(held), must_be_healthy=False)
        assert HOLDING in (served.folder / LDS).read_text()
        assert served.ask("chat/score").headers["retry-after"] == "1"


def test_thousands_of_deployments_may_wait_for_their_first_instance(models: dict[str, Model]):
    weights = {"blue": 100}
    more = (endpoint(f"team-{n:020}", weights, blue(models["blue"])) for n in range(2000))
    with serving(chat()) as served:
        room = WaitingRoom(served.folder, served.router.admin, lambda: None)
        room.start()
        one, *_ = room.with_held((chat(models["blue"]), *more))
        served.router.publish(served.table(one), must_be_healthy=False)
        assert served.ask("chat/score").status_code == 200
        assert room.lives()


def test_what_the_router_refuses_to_tell_is_a_sentence():
    with serving(chat()) as served, pytest.raises(TargetUnreachable) as fault:
        served.router.admin.stats("x" * 70_000)
    assert "its admin socket answers 431, and no JSON" in str(fault.value)


def test_a_refused_publication_leaves_no_request_waiting(models: dict[str, Model]):
    dead = deployment("blue").model_copy(
        update={"backends": (Backend(host="127.0.0.1", port=own_port()),)}
    )
    with serving(chat(models["blue"])) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        files = {name: (served.folder / name).read_text() for name in FILES}
        waits = chat(held=True)
        with pytest.raises(NotReady):
            served.router.publish(served.table(waits, endpoint("bad", {"blue": 100}, dead)), 2)
        assert {name: (served.folder / name).read_text() for name in FILES} == files
        assert served.router.in_force() == served.table(chat(models["blue"]))
        until(lambda: served.ask("chat/score").status_code == 200)


def test_what_is_asked_about_a_request_has_nothing_that_its_caller_sent_but_how_long_it_is():
    seen = b""
    with serving(chat()) as served, socket.socket(socket.AF_UNIX) as asked:
        asked.bind(str(served.folder / SOCKET))
        asked.listen()
        held = endpoint("chat", {"blue": 100}, blue(held=True))
        served.router.publish(served.table(held), must_be_healthy=False)
        with pytest.raises(httpx.ReadTimeout):
            headers = {"cookie": "a=b", "x-mine": "c", "x-api-key": "d"}
            served.ask("chat/score", method="POST", headers=headers, content=b"body", timeout=0.5)
        opened, _ = asked.accept()
        with opened:
            seen = opened.recv(65536)
    lines = seen.decode().split("\r\n")
    assert lines[0] == "POST /hold/chat/blue/endpoints/chat/score HTTP/1.1"
    found = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert found.keys() == {
        *("host", "content-length", "x-envoy-expected-rq-timeout-ms", "x-envoy-internal"),
        "x-body-length",
    }
    assert found["x-body-length"] == "4"
    assert PRIMARY not in seen.decode()


def test_without_what_is_asked_a_request_is_told_to_come_again():
    with serving(chat()) as served:
        held = endpoint("chat", {"blue": 100}, blue(held=True))
        served.router.publish(served.table(held), must_be_healthy=False)
        refused = served.ask("chat/score")
        assert code_of(refused) == (503, "ServiceUnavailable")
        assert refused.headers["retry-after"] == "1"
