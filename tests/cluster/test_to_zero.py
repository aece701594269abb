"""A rule that leaves a deployment no instance, in a real cluster with KEDA, and who wakes it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest

from inference_provider.drift import drift
from inference_provider.plan import plan
from tests.cluster.loaded import MANY, loaded
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

REACTS_S = 120.0
"""Some looks of KEDA, the time without a request, the end of a pod, and a slow node."""
IDLE_S = 5


@pytest.fixture(scope="module")
def ruled(keda):
    """A workspace with a deployment that may have no instance, shared by this module."""
    del keda
    with loaded("tozero") as lab:
        lab.apply(blue(lab), rule(lab))
        yield lab


def blue(lab, **fields):
    declared = lab.blue(request_settings=MANY, **fields)
    return declared.model_copy(update={"owned": frozenset({"instance_count"})})


def rule(lab, **fields):
    base = {"min_instances": 0, "max_instances": 2, "scale_in": {"stabilization_s": IDLE_S}}
    targets = [{"metric": "RequestsInFlight", "target": 50}]
    return lab.rule(**{**base, "targets": targets, **fields})


def wanted(lab):
    return [*lab.desired[:-2], blue(lab), lab.desired[-1], rule(lab)]


def pods(lab) -> int:
    return len(lab.instances())


def idle(lab) -> float:
    """Wait until it has no instance; return how long that took."""
    began_s = time.monotonic()
    wait_until(lambda: pods(lab) == 0, REACTS_S)
    return time.monotonic() - began_s


def score(lab, **headers: str) -> int:
    url, key = f"{lab.router_url}/endpoints/iris/score", lab.keys()[0]
    asked = {"authorization": f"Bearer {key}", **headers}
    return httpx.post(url, headers=asked, timeout=180, trust_env=False).status_code


def reasons(lab) -> dict[str, str]:
    found = drift(wanted(lab), lab.target.observe([lab.workspace]), "demo").resources
    return {str(one.id.kind): one.reason for one in found if one.verdict != "clean"}


def test_a_hundred_requests_wake_it_and_all_are_answered(ruled):
    print(f"none {idle(ruled):.0f} s after the rule")
    assert reasons(ruled) == {}
    planned = plan(wanted(ruled), ruled.target.observe([ruled.workspace]), "demo").pending
    assert [*planned] == []
    began_s = time.monotonic()
    with ThreadPoolExecutor(100) as pool:
        found = Counter(pool.map(lambda _: score(ruled), range(100)))
    print(f"answered {time.monotonic() - began_s:.1f} s after they were sent")
    assert found == {200: 100}
    print(f"none {idle(ruled):.0f} s after the last")


def test_who_may_not_call_wakes_nothing_and_a_pinned_request_does(ruled):
    idle(ruled)
    assert score(ruled, authorization="Bearer wrong") == 401
    time.sleep(6)  # three looks of KEDA
    assert pods(ruled) == 0
    assert score(ruled, **{"azureml-model-deployment": "blue"}) == 200


def test_no_request_fails_while_it_comes_and_goes(ruled):
    found, over = Counter(), threading.Event()

    def ask(pause_s: float) -> None:
        while not over.is_set():
            found[score(ruled)] += 1
            over.wait(pause_s)

    threads = [threading.Thread(target=ask, args=(pause_s,)) for pause_s in (19.0, 23.0)]
    for thread in threads:
        thread.start()
    counts, until_s = [], time.monotonic() + 100
    while time.monotonic() < until_s:
        counts.append(pods(ruled))
        time.sleep(0.5)
    over.set()
    for thread in threads:
        thread.join()
    changes = [b for a, b in pairwise(counts) if a != b]
    print(f"{found[200]} answered; instances {changes}")
    assert {*found} == {200}
    assert changes.count(0) >= 1


def test_another_generation_starts_once_before_it_is_admitted(ruled):
    idle(ruled)
    changed = blue(ruled, environment_variables={"GREETING": "hello"})
    ruled.apply(changed)
    assert score(ruled) == 200
    idle(ruled)
    assert score(ruled) == 200
