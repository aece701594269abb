"""What was read from a cluster is kept for a while."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_provider.targets.kubernetes.fresh import Fresh


def test_what_many_ask_for_at_a_time_is_read_once():
    reads, all_here = [], threading.Barrier(4)

    def read() -> str:
        reads.append("read")
        time.sleep(0.05)
        return "found"

    known = Fresh(read)

    def ask(_i: int) -> str:
        all_here.wait(5)
        return known.within(60)

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(ask, range(4))] == ["found"] * 4
    assert reads == ["read"]


def test_what_is_too_old_is_read_again():
    known = Fresh(iter(["before", "now"]).__next__)
    assert [known.within(60), known.within(60), known.within(0)] == ["before", "before", "now"]


def test_a_failure_is_not_kept():
    answers: list[OSError | str] = ["found", OSError("away")]

    def read() -> str:
        answer = answers.pop()
        if isinstance(answer, OSError):
            raise answer
        return answer

    known = Fresh(read)
    with pytest.raises(OSError, match="away"):
        known.within(60)
    assert known.within(60) == "found"
