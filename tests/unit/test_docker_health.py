"""What Docker asks an instance, and when one that hangs would be ended; it never is here."""

import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inference_provider.spec.deployment import Probe
from inference_provider.targets.docker.health import Health, Told, healthcheck, told


def asked(port: int = 5001, path: str = "/ready", live: str = "", **other) -> Health:
    given = {"readiness": Probe(), "liveness": Probe(), "start_limit": 130, "stop_wait": 10}
    both = {"readiness_path": path, "liveness_path": live or path}
    return Health(port=port, **{**both, **given, **other})


def test_docker_asks_a_readiness_route_as_patiently_as_the_router():
    usual = healthcheck("/opt/environment/bin/python", asked(live="/live"))
    said = usual.pop("test")
    assert said[:5] == ["CMD", "/opt/environment/bin/python", "-I", "-S", "-c"]
    assert said[6:] == [
        *("5001", "/ready", "2", "/live", "2", "10", "290", "130", "10", "117"),
        "/tmp/.inference-health",
    ]
    assert usual == {
        "retries": 10,
        "interval": 30_000_000_000,
        "timeout": 19_000_000_000,
        "start_period": 130_000_000_000,
    }
    slow = Probe(period=1, timeout=20, failure_threshold=2)
    assert healthcheck("python", asked(readiness=slow))["retries"] == 3


def test_a_liveness_probe_that_is_over_soon_is_asked_as_often_as_it_says():
    quick = healthcheck("python", asked(liveness=Probe(period=5, failure_threshold=3)))
    assert (quick["interval"], quick["retries"]) == (5_000_000_000, 60)
    assert quick["test"][11:13] == ["10", "10"]


def answered(answer: bytes, state: Path, **other) -> tuple[bytes, int, str, str]:
    """Return what one question asks, how it ends, what it says and what it remembers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        about = asked(port, "/ready?full=1", readiness=Probe(timeout=5), **other)
        command = healthcheck(sys.executable, about, str(state))["test"][1:]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asks:
            connection, _ = server.accept()
            with connection:
                heard = connection.recv(1000)
                connection.sendall(answer)
            said, _ = asks.communicate(timeout=20)
    return heard, asks.returncode, said.strip(), state.read_text()


ONE_PROBE: dict[str, Any] = {
    "liveness": Probe(timeout=5, initial_delay=0, failure_threshold=1),
    "start_limit": 0,
}


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 0, ""),
        (b"HTTP/1.1 302 Found\r\n\r\n", 0, ""),
        (b"HTTP/1.1 503 Busy\r\n\r\n", 1, "GET /ready?full=1: status 503"),
        (b"", 1, "GET /ready?full=1: list index out of range"),
    ],
)
def test_a_readiness_route_is_healthy_when_it_answers_200_to_399(tmp_path: Path, answer, code, why):
    heard, status, said, _ = answered(answer, tmp_path / "s", **ONE_PROBE)
    assert heard == b"GET /ready?full=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert (status, said) == (code, why)


def test_since_when_an_instance_hangs_is_remembered_until_it_answers(tmp_path: Path):
    state, fine, busy = tmp_path / "s", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n"
    slow = {**ONE_PROBE, "start_limit": 10**9}
    for answer, expected in ((busy, "0.0"), (fine, "0.0")):  # it is still starting, and has started
        assert answered(answer, state, **slow)[3].split()[0] == expected
    first = answered(busy, state, **slow)[3].split()
    assert float(first[0]) == float(first[1]) > 0
    second = answered(busy, state, **slow)[3].split()
    assert second[0] == first[0]
    assert float(second[1]) > float(first[1])
    since, _, has_answered = second
    state.write_text(f"{since} {float(since) - 1000} {has_answered}")  # it was paused
    assert float(answered(busy, state, **slow)[3].split()[0]) > float(since)
    assert answered(fine, state, **slow)[3].split()[::2] == ["0.0", "1.0"]


def test_a_disk_that_is_full_takes_nothing_of_what_is_remembered(tmp_path: Path):
    state = tmp_path / "s"
    state.write_text(f"{7.0:<24} {8.0:<24} 1.0")
    command = healthcheck(sys.executable, asked(1, **ONE_PROBE), str(state))["test"][1:]
    full = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command]
    done = subprocess.run(full, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("GET /ready: ")
    assert state.read_text().split() == ["7.0", "8.0", "1.0"]


def test_what_is_remembered_is_as_wide_each_time(tmp_path: Path):
    state, busy = tmp_path / "s", b"HTTP/1.1 503 No\r\n\r\n"
    wide = len(answered(busy, state, **ONE_PROBE)[3])
    assert [len(answered(busy, state, **ONE_PROBE)[3]) for _ in range(3)] == [wide] * 3


def test_an_event_in_a_container_s_log_is_told_from_what_a_server_prints():
    time = "2026-11-27T12:00:05.123456789Z"
    said = "LivenessProbeFailed: Liveness probe failed: GET /: no answer within 2 s"
    assert told(f"{time} inference: {said}") == Told(
        datetime(2026, 11, 27, 12, 0, 5, 123456, UTC),
        "LivenessProbeFailed",
        "Liveness probe failed: GET /: no answer within 2 s",
    )
    for line in ("", time, f"{time} LivenessProbeFailed: x", f"{time} inference: Hello: x",
                 "soon inference: Killing: x"):  # fmt: skip
        assert told(line) is None
