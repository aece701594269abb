"""The first process of a router's container, with a real Envoy: requests wait in it."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference_provider.router.table import KEYS_IN_CLEAR, EndpointEntry, RouterTable
from inference_provider.targets.envoy.agent import Agent
from inference_provider.targets.envoy.edge import edged
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, deployment, endpoint
from tests.ports import own_port

pytestmark = pytest.mark.envoy
PORTS = own_port(), own_port()


class Router:
    """An agent, and what a client asks it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agent = Agent(folder, workers=1)
        self.agent.open()

    def ask(self, question: str, *endpoints: EndpointEntry, **given: Any) -> Any:
        if endpoints:
            table = RouterTable(
                folder="", host="127.0.0.1", port=PORTS[0], metrics_port=PORTS[1],
                endpoints=endpoints,
            )  # fmt: skip
            given["table"] = table.model_dump(
                mode="json", context=KEYS_IN_CLEAR, exclude_defaults=True
            )
        asked = {"ask": edged(question, given.get("table")), **given}
        return json.loads(self.agent.answer(json.dumps(asked).encode()))["answer"]

    def waiting(self) -> dict[str, int]:
        return self.ask("waits", after=-1, wait_s=0)["waiting"]

    def score(self) -> int:
        url = f"http://127.0.0.1:{PORTS[0]}/endpoints/chat/score"
        return httpx.post(url, headers=KEY, timeout=60, trust_env=False).status_code

    def holds(self) -> bool:
        found = json.loads((self.folder / "table.json").read_text())
        return found["table"]["endpoints"][0]["deployments"][0]["held"]


@pytest.fixture
def router() -> Iterator[Router]:
    # not tmp_path: a Unix socket's path has a limit of 107 bytes
    folder = Path(tempfile.mkdtemp(prefix="agent-"))
    made = Router(folder)
    yield made
    made.agent.envoy.end()
    shutil.rmtree(folder)


def chat(*models: Model) -> EndpointEntry:
    return endpoint("chat", {"blue": 100}, deployment("blue", *models, patience_s=60))


def test_requests_wait_from_the_start_and_again_after_the_last_instance(
    router: Router, models: dict[str, Model]
):
    router.ask("start", chat())
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(router.score) for _ in range(5)]
        until(lambda: router.waiting() == {"chat/blue": 5})
        router.ask("publish", chat(models["blue"]))
        assert [answer.result(60) for answer in answers] == [200] * 5
        until(lambda: not router.holds())
        router.ask("publish", chat())
        assert router.holds()
        late = pool.submit(router.score)
        until(lambda: router.waiting() == {"chat/blue": 1})
        router.ask("publish", chat(models["blue"]))
        assert late.result(60) == 200


def test_who_looks_for_news_is_told_when_a_request_begins_to_wait(router: Router):
    router.ask("start", chat())
    before = router.ask("waits", after=-1, wait_s=0)["news"]
    assert router.ask("waits", after=before, wait_s=0.05)["news"] == before
    with ThreadPoolExecutor(1) as pool:
        pool.submit(router.score)
        assert router.ask("waits", after=before, wait_s=10)["news"] != before
        until(lambda: router.waiting() == {"chat/blue": 1})
        router.agent.envoy.end()


def test_a_container_that_is_started_again_lets_requests_wait_as_before(
    router: Router, models: dict[str, Model]
):
    router.ask("start", chat())
    router.agent.envoy.end()
    again = Router(router.folder)
    assert again.agent.envoy.start_again()
    again.agent.envoy.wait_ready()
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(again.score)
            until(lambda: again.waiting() == {"chat/blue": 1})
            again.ask("publish", chat(models["blue"]))
            assert answer.result(60) == 200
    finally:
        again.agent.envoy.end()
