"""What the agent of a router says to clients of another release."""

import json
import tempfile
import threading
from pathlib import Path

import pytest

from inference_provider.targets.envoy.agent import Agent
from inference_provider.targets.envoy.edge import edged

TABLE = {"folder": "", "host": "127.0.0.1", "port": 0, "metrics_port": 0}
IRIS = {"name": "iris", "keys": []}


@pytest.mark.parametrize(
    "asked",
    [
        {"ask": "something new"},
        {"ask": "publish", "table": {"host": "127.0.0.1", "shape": "new"}},
        {"ask": "publish", "table": {**TABLE, "shape": "new"}},
        {"ask": "publish", "table": {**TABLE, "endpoints": [{**IRIS, "allowed": ["ann"]}]}},
        {"ask": "is_drained"},
    ],
)
def test_a_question_of_another_release_is_answered_with_what_to_do(tmp_path, asked):
    agent = Agent(tmp_path, workers=1)
    found = json.loads(agent.answer(json.dumps(asked).encode()))
    assert found["error"] == {
        "type": "TargetError",
        "operation": "ask",
        "resource": "the router",
        "reason": "its image is of another release, which does not know what is asked",
        "remedy": "apply the workspace; where it names a runtime_image, name one of this release",
    }


@pytest.mark.parametrize(
    ("table", "asked"),
    [
        (None, "publish"),
        ({"tls": None, "sources": [], "endpoints": [{"limits": None, "sources": []}]}, "publish"),
        ({"tls": {"certificate": "a"}}, "publish_edge"),
        ({"sources": ["10.0.0.0/8"]}, "publish_edge"),
        ({"traces": {"url": "http://a:1"}}, "publish_edge"),
        ({"endpoints": [{}, {"limits": {"per_minute": 1}}]}, "publish_edge"),
        ({"endpoints": [{"sources": ["10.0.0.0/8"]}]}, "publish_edge"),
        ({"endpoints": [{"deployments": [{"name": "a"}, {"patience_s": 60}]}]}, "publish_waiting"),
        (
            {"tls": {"certificate": "a"}, "endpoints": [{"deployments": [{"patience_s": 60}]}]},
            "publish_waiting",
        ),
    ],
)
def test_what_an_older_agent_would_overlook_is_asked_so_that_it_refuses(tmp_path, table, asked):
    assert edged("publish", table) == asked
    assert asked in Agent(tmp_path, workers=1)._answers


class Failing(Agent):
    """Cannot publish at first, as nobody foresaw."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, workers=1, again_s=0.01)
        self.tried, self.done = 0, threading.Event()

    def _publish_again(self) -> None:
        self.tried += 1
        if self.tried == 1:
            raise OSError("a folder is gone")
        self.done.set()


def test_a_fault_that_nobody_foresaw_ends_no_publication_for_who_waits(capsys):
    # not tmp_path: a Unix socket's path has a limit of 107 bytes
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:
        agent = Failing(Path(folder))
        agent.open()
        agent._woken.set()
        assert agent.done.wait(60)
    assert "OSError: a folder is gone" in capsys.readouterr().err
