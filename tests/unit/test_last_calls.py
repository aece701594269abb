"""A router pod that ends waits for who fetches its calls, and for nobody else."""

import threading
import time

from inference_provider.targets.kubernetes.last_calls import LastCalls


class Log:
    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def __call__(self, _asked: object) -> dict:
        found, self.lines = self.lines, []
        return {"lines": found, "left": 0}


def fetching(log: Log) -> LastCalls:
    return LastCalls({"new_calls": log})


def test_a_pod_of_which_nobody_asks_for_calls_ends_at_once():
    began_s = time.monotonic()
    assert not fetching(Log("one")).wait(5)
    assert time.monotonic() - began_s < 1


def test_it_ends_when_the_calls_after_its_end_were_fetched_and_taken():
    log = Log("one")
    calls = fetching(log)
    ask = calls.answers()["new_calls"]
    assert ask({})["lines"] == ["one"]
    ask({})
    log.lines.append("last")
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(calls.wait(10)))
    waiting.start()
    time.sleep(0.1)
    assert ask({})["lines"] == ["last"]
    assert ended == []
    ask({})
    waiting.join(5)
    assert ended == [True]


def test_it_waits_no_longer_than_it_may():
    calls = fetching(Log())
    calls.answers()["new_calls"]({})
    assert not calls.wait(0.05)
