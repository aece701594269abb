"""A rule in a real cluster: it follows the load, fails no request, and what people do is mended."""

import re
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from inference_provider.drift import drift
from inference_provider.plan import plan
from inference_provider.targets.kubernetes.objects import AUTOSCALER, DEPLOYMENT
from tests.cluster.edited import EDITOR, edit, name
from tests.cluster.loaded import MANY, loaded
from tests.conformance.labs import wait_until
from tests.docker.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

REACTS_S = 150.0
"""Two looks of the autoscaler, 15 s apart, at what metrics-server has measured, and a slow node."""
LONG = {**MANY, "request_timeout_ms": 60_000}
OWNED = frozenset({"instance_count"})


@pytest.fixture(scope="module")
def ruled(metrics):
    """A workspace whose deployment has a rule of 1 to 3 instances, shared by this module."""
    del metrics
    with loaded("scale") as lab:
        lab.apply(blue(lab), rule(lab))
        yield lab


def blue(lab, **fields):
    declared = lab.blue(request_settings=LONG, **fields)
    return declared.model_copy(update={"owned": OWNED})


def rule(lab):
    target = {"metric": "CpuUtilizationPercentage", "target": 50}
    return lab.rule(max_instances=3, targets=[target], scale_in={"stabilization_s": 0})


def up(lab) -> list[str]:
    """Do what `inferctl up` would; return what it was about."""
    wanted = [*lab.desired[:-2], blue(lab), lab.desired[-1], rule(lab)]
    planned = plan(wanted, lab.target.observe([lab.workspace]), "demo").pending
    lab.apply(*[action.desired for action in planned if action.desired])
    return [str(action.id.kind) for action in planned]


def reasons(lab) -> dict[str, str]:
    wanted = [*lab.desired[:-2], blue(lab), lab.desired[-1], rule(lab)]
    found = drift(wanted, lab.target.observe([lab.workspace]), "demo").resources
    return {str(one.id.kind): one.reason for one in found if one.verdict != "clean"}


def count(lab) -> int:
    [instance] = lab.ports.compute.instances("iris/blue")["iris/blue"]
    return instance.stands_for


@contextmanager
def trickle(lab):
    """Send a few requests at a time, too few for more than one instance; yield the answers."""
    answers, over = Counter(), threading.Event()
    url, key = f"{lab.router_url}/endpoints/iris/score", lab.keys()[0]

    def send() -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not over.wait(0.1):
                answer = client.post(url, headers={"authorization": f"Bearer {key}"})
                answers[answer.status_code] += 1

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_the_count_follows_the_load_and_nobody_takes_it_back(ruled):
    assert count(ruled) == 1
    with Load(ruled, 1000, limit_s=REACTS_S) as load:
        began_s = time.monotonic()
        wait_until(lambda: count(ruled) > 1, REACTS_S)
        print(f"out after {time.monotonic() - began_s:.0f} s")
        wait_until(lambda: len(ruled.admitted()) > 1, REACTS_S)
        grown = count(ruled)
        assert up(ruled) == []
        assert count(ruled) >= grown
    assert reasons(ruled) == {}
    with trickle(ruled) as answers:
        began_s = time.monotonic()
        wait_until(lambda: count(ruled) == 1 and len(ruled.instances()) == 1, REACTS_S)
        print(f"in after {time.monotonic() - began_s:.0f} s")
    assert {*load.answers} == {200}
    assert {*answers} == {200}
    assert reasons(ruled) == {}


DONE = {
    "edit it": (
        lambda lab, api: edit(lab, api, AUTOSCALER, {"spec": {"maxReplicas": 9}}),
        f"HorizontalPodAutoscaler .*: spec.maxReplicas set by {EDITOR}",
    ),
    "delete it": (
        lambda lab, _api: lab.platform.client.delete(AUTOSCALER, lab.workspace, name(lab)),
        "HorizontalPodAutoscaler .* is gone",
    ),
    "scale to 0": (
        lambda lab, api: edit(lab, api, DEPLOYMENT, {"spec": {"replicas": 0}}),
        "Deployment .* was scaled to 0, which turns its HorizontalPodAutoscaler off.*",
    ),
    "edit the deployment": (
        lambda lab, api: edit(lab, api, DEPLOYMENT, {"spec": {"minReadySeconds": 1}}),
        f"Deployment .*: spec.minReadySeconds set by {EDITOR}",
    ),
}


@pytest.mark.parametrize("done", DONE)
def test_what_a_person_does_is_named_and_mended(ruled, api, done):
    act, told = DONE[done]
    act(ruled, api)
    found = reasons(ruled)
    assert [*found] == ["Deployment"]
    assert re.fullmatch(told, found["Deployment"])
    assert up(ruled) == ["Deployment"]
    wait_until(lambda: reasons(ruled) == {}, 60)
    assert count(ruled) >= 1
    assert ruled.ask() == 200


def test_a_scale_of_a_person_is_left_to_the_rule(ruled, api):
    edit(ruled, api, DEPLOYMENT, {"spec": {"replicas": 2}})
    assert reasons(ruled) == {}
    assert up(ruled) == []


def test_an_instance_that_the_autoscaler_ends_has_its_last_requests(ruled, api):
    edit(ruled, api, DEPLOYMENT, {"spec": {"replicas": 2}})
    wait_until(lambda: len(ruled.admitted()) == 2, 60)
    time.sleep(1)  # for the routers to know both
    with ExitStack() as stack:
        flights = [stack.enter_context(ruled.in_flight()) for _ in range(6)]
        edit(ruled, api, AUTOSCALER, {"spec": {"maxReplicas": 1}})
        wait_until(lambda: count(ruled) == len(ruled.instances()) == 1, 50)
    assert [flight.status for flight in flights] == [200] * 6
    assert up(ruled) == ["Deployment"]


def test_a_rule_that_goes_leaves_one_owner_of_the_count(ruled):
    ruled.delete(rule(ruled).id)
    client = ruled.platform.client
    assert client.get(AUTOSCALER, ruled.workspace, name(ruled)) is None
    wait_until(lambda: count(ruled) == len(ruled.instances()) == 1, 60)
    wanted = [*ruled.desired[:-2], ruled.blue(request_settings=LONG), ruled.desired[-1]]
    observed = ruled.target.observe([ruled.workspace])
    assert drift(wanted, observed, "demo").exit_code == 0
    assert plan(wanted, observed, "demo").pending == ()
