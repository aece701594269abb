"""What happened to containers, read off what the Engine says of them."""

import pytest

from inference_provider.targets.docker import names
from inference_provider.targets.docker.happened import happened

STARTED, NEVER = "2026-11-27T12:00:05.123456789Z", "0001-01-01T00:00:00Z"


def container(restarts: int = 0, **state) -> dict:
    own = {"Status": "running", "StartedAt": STARTED, "FinishedAt": NEVER, "ExitCode": 0}
    return {
        "Name": "/inference.lab.iris.blue.5efd.0",
        "Created": "2026-11-27T12:00:00Z",
        "RestartCount": restarts,
        "Config": {"Labels": {names.DEPLOYMENT: "iris/blue"}},
        "State": {**own, **state},
    }


def told(seen: dict, log: str = "") -> list[tuple[str, str, int]]:
    found = list(happened(seen, log))
    assert {(one.deployment, one.instance) for one in found} == {
        ("iris/blue", "inference.lab.iris.blue.5efd.0")
    }
    return [(one.name, one.message, one.count) for one in found]


USUAL = [("Created", "Created container", 1), ("Started", "Started container", 1)]


def test_a_container_that_runs_was_created_and_started():
    assert told(container()) == USUAL


def test_restarts_are_one_event_with_their_number():
    assert told(container(restarts=4))[2:] == [
        ("BackOff", "Back-off restarting failed container", 4)
    ]


def test_an_end_says_its_status_and_whether_memory_was_short():
    ended = container(Status="restarting", FinishedAt=STARTED, ExitCode=137, OOMKilled=True)
    assert told(ended)[2:] == [
        ("ContainerCrash", "Its container ended with status 137: it used more memory than its"
         " limit", 1)
    ]  # fmt: skip


def test_answers_of_its_healthcheck_that_failed_are_events():
    log = [
        {"ExitCode": 0, "Output": "", "End": STARTED},
        {"ExitCode": 1, "Output": "Traceback\nTimeoutError: timed out\n", "End": STARTED},
        {"ExitCode": -1, "Output": "", "End": STARTED},
    ]
    assert told(container(Health={"Log": log}))[2:] == [
        ("ReadinessProbeFailed", "Readiness probe failed: Traceback TimeoutError: timed out", 1),
        ("ReadinessProbeFailed", "Readiness probe failed", 1),
    ]


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_line_that_a_server_prints_ends_at_a_line_feed_alone(end):
    said = "2026-11-27T12:00:00 inference: Killing: no time zone"
    assert told(container(), f"{STARTED} served{end}{said}\n{said}\n") == USUAL


def test_an_end_of_one_that_hung_is_in_its_log():
    log = f"{STARTED} serving\n{STARTED} inference: Killing: Instance failed, will be restarted\n"
    assert told(container(), log)[2:] == [("Killing", "Instance failed, will be restarted", 1)]
