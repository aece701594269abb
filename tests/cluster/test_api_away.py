"""The API server goes away under load, comes back, and has forgotten every watch.

Runs last: nothing else may use the cluster meanwhile.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from inference_provider.errors import InferenceError, TargetUnreachable
from tests import cluster_host
from tests.cluster import places
from tests.cluster.loaded import loaded
from tests.cluster.places import ours
from tests.conformance.labs import KubernetesLab, wait_until
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]

RUNS_LAST = True
AWAY_S = 10.0
LIMIT_S = 60.0
"""Longest wait after it is back: kubelet and controllers find that out by themselves."""


@pytest.fixture(scope="module")
def served() -> Iterator[KubernetesLab]:
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("only the API server of `make test-cluster` is ended")
    with loaded("away", "green") as lab:
        yield lab


def api_servers() -> list[int]:
    """Return the API servers of this cluster, by process id."""
    mark = f"--tls-cert-file={ours().run}/api.crt".encode()
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended
    return found


@contextmanager
def api_away(seconds: float) -> Iterator[None]:
    """Keep the API server away for so long: what looks after it starts it again each second."""
    until_s, gone = time.monotonic() + seconds, threading.Event()

    def keep() -> None:
        while time.monotonic() < until_s:
            for process in api_servers():
                os.kill(process, signal.SIGKILL)
                gone.set()
            time.sleep(0.1)

    keeping = threading.Thread(target=keep)
    keeping.start()
    assert gone.wait(5), "there is no API server to end"
    try:
        yield
    finally:
        keeping.join()


def is_back(api) -> bool:
    try:
        return api.http.get("/readyz").is_success
    except httpx.TransportError:
        return False


def applied(lab: KubernetesLab, green: int) -> float:
    """Apply a split until it is done; return how long that took."""
    began_s = time.monotonic()
    while True:
        try:
            lab.apply(lab.traffic(green=green))
        except InferenceError as fault:  # 403 for a moment, then pods that do not answer
            assert time.monotonic() < began_s + LIMIT_S, fault
            time.sleep(0.5)
        else:
            return time.monotonic() - began_s


def test_without_its_api_server_a_workspace_serves_and_says_what_is_wrong(served, api):
    weights = served.router.status().weights
    with Load(served, 2_000, limit_s=200) as load:
        with api_away(AWAY_S):
            began_s = time.monotonic()
            with pytest.raises(TargetUnreachable) as told:
                served.apply(served.traffic(green=100))
            print(f"told after {time.monotonic() - began_s:.1f} s: {told.value}")
            assert f"its API server {places.API} does not answer: " in str(told.value)
            assert "check that this machine reaches it, and run this again" in str(told.value)
            assert time.monotonic() - began_s < AWAY_S
        wait_until(lambda: is_back(api), LIMIT_S)
        assert weights == {"iris": {"blue": 100, "green": 0}}
        took_s = applied(served, green=100)
        print(f"in force {took_s:.1f} s after readyz")
    assert {*load.answers} == {200}
    assert served.router.status().weights == {"iris": {"blue": 0, "green": 100}}
    wait_until(lambda: not faults(served), LIMIT_S)


def faults(lab: KubernetesLab) -> list[str]:
    found = lab.target.observe([lab.workspace]).resources.values()
    return [one.degraded for one in found if one.degraded]
