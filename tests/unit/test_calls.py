"""A router's access log, over its files, from the newest call on."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference_provider.targets.envoy.calls import calls
from inference_provider.workspace.logged import CallQuery


def call(second: int, **fields) -> dict:
    given = {"endpoint": "iris", "deployment": "blue", "request_id": f"r-{second}"}
    return {"ts": f"2026-11-27T12:00:{second:02}.000Z", **given, **fields}


def write(path: Path, *found: dict | str) -> None:
    lines = (one if isinstance(one, str) else json.dumps(one) for one in found)
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "access.log"
    write(tmp_path / "access.log.2", call(1), call(2, endpoint="other"))
    write(tmp_path / "access.log.1", call(3, deployment="green"), "no json", call(4))
    write(log, call(5), call(6), '{"ts": "2026-11-27T12:00:07.000Z"')
    return log


def ids(log: Path, **asked) -> list[str]:
    return [one["request_id"] for one in calls(log, CallQuery(**asked))]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"]),
        ({"last": 3}, ["r-4", "r-5", "r-6"]),
        ({"endpoint": "iris"}, ["r-1", "r-3", "r-4", "r-5", "r-6"]),
        ({"endpoint": "iris", "deployment": "green"}, ["r-3"]),
        ({"request_id": "r-2"}, ["r-2"]),
        ({"since": datetime(2026, 11, 27, 12, 0, 4, tzinfo=UTC)}, ["r-4", "r-5", "r-6"]),
    ],
)
def test_the_newest_calls_that_are_asked_for_come_oldest_first(log, asked, expected):
    assert ids(log, **asked) == expected


def test_a_long_request_that_ended_last_hides_none_that_began_after_it(tmp_path: Path):
    log, since = tmp_path / "access.log", datetime(2026, 11, 27, 12, 0, 4, tzinfo=UTC)
    ended_before = call(2, ms=100)
    write(log, call(1, ms=500), ended_before, call(4, ms=10), call(5, ms=900), call(3, ms=40_000))
    assert ids(log, since=since) == ["r-4", "r-5"]


def test_a_log_is_read_no_further_than_to_what_ended_before(tmp_path: Path):
    log, since = tmp_path / "access.log", datetime(2026, 11, 27, 12, 0, 4, tzinfo=UTC)
    write(log, call(9, ms=1), call(1, ms=1900), call(5, ms=10))
    assert ids(log, since=since) == ["r-5"]


def test_a_log_longer_than_what_is_read_at_once_is_whole(tmp_path: Path):
    log = tmp_path / "access.log"
    write(log, *(call(n % 60, request_id=f"n-{n}", path="x" * 5000) for n in range(600)))
    found = {one["request_id"] for one in calls(log, CallQuery(last=1000))}
    assert found == {f"n-{n}" for n in range(600)}


def test_no_log_is_no_call(tmp_path: Path):
    assert calls(tmp_path / "access.log", CallQuery()) == []
