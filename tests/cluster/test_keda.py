"""Rules that KEDA keeps in a real cluster: a time of day, and requests in the routers' pods."""

import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from inference_provider.drift import drift
from inference_provider.plan import plan
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    DEPLOYMENT,
    SCALED_OBJECT,
    name_of,
)
from tests.cluster.edited import EDITOR, edit, name
from tests.cluster.loaded import MANY, loaded
from tests.cluster.test_rights import Deployer
from tests.conformance.labs import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

REACTS_S = 90.0
"""Some looks of the autoscaler, 15 s apart, and a slow node."""
LONG = {**MANY, "request_timeout_ms": 60_000}
ZONE = "Asia/Kathmandu"  # 5:45 h from UTC


@pytest.fixture(scope="module")
def ruled(keda):
    """A workspace with a deployment of one instance, shared by this module."""
    del keda
    with loaded("keda") as lab:
        lab.apply(blue(lab))
        yield lab


def blue(lab):
    declared = lab.blue(request_settings=LONG)
    return declared.model_copy(update={"owned": frozenset({"instance_count"})})


def rule(lab, **fields):
    fast = {"scale_in": {"stabilization_s": 0}}
    return lab.rule(**{"max_instances": 3, "targets": [], **fast, **fields})


def at_night(**fields) -> dict:
    base = {"cron": "0 3 1 1 *", "duration_s": 60, "min_instances": 3, "max_instances": 3}
    return {"schedules": [{**base, **fields}]}


REQUESTS = {"targets": [{"metric": "RequestsInFlight", "target": 4}]}


def wanted(lab, asked):
    return [*lab.desired[:-2], blue(lab), lab.desired[-1], asked]


def up(lab, asked) -> list[str]:
    """Do what `inferctl up` would; return what it was about."""
    observed = lab.target.observe([lab.workspace])
    planned = plan(wanted(lab, asked), observed, "demo").pending
    lab.apply(*[action.desired for action in planned if action.desired])
    return [str(action.id.kind) for action in planned]


def reasons(lab, asked) -> dict[str, str]:
    found = drift(wanted(lab, asked), lab.target.observe([lab.workspace]), "demo").resources
    return {str(one.id.kind): one.reason for one in found if one.verdict != "clean"}


def count(lab) -> int:
    [instance] = lab.ports.compute.instances("iris/blue")["iris/blue"]
    return instance.stands_for


def waited(found, limit_s: float = REACTS_S) -> float:
    began_s = time.monotonic()
    wait_until(found, limit_s)
    return time.monotonic() - began_s


def test_a_schedule_changes_the_count_for_its_time(ruled):
    now = datetime.now(UTC)
    begins = (now + timedelta(seconds=75)).replace(second=0, microsecond=0)  # in 15 to 75 s
    local = begins.astimezone(ZoneInfo(ZONE))
    asked = rule(ruled, **at_night(cron=f"{local:%M %H} * * *", time_zone=ZONE, duration_s=120))
    ruled.apply(asked)
    assert count(ruled) == 1
    waited(lambda: count(ruled) == 3, 75 + REACTS_S)
    out = datetime.now(UTC)
    assert begins <= out < begins + timedelta(seconds=120)
    waited(lambda: len(ruled.admitted()) == 3)
    assert up(ruled, asked) == []
    assert reasons(ruled, asked) == {}
    waited(lambda: count(ruled) == 1, 120 + REACTS_S)
    over = datetime.now(UTC) - begins
    assert over >= timedelta(seconds=120)
    print(f"three {(out - begins).seconds} s after its start, one {over.seconds} s after it")
    assert reasons(ruled, asked) == {}


@contextmanager
def requests(lab, at_once: int):
    """Keep so many requests of half a second in flight; yield the answers."""
    answers, over = Counter(), threading.Event()
    url, key = f"{lab.router_url}/endpoints/iris/score", lab.keys()[0]
    headers = {"authorization": f"Bearer {key}", "x-takes": "0.5"}

    def send() -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not over.is_set():
                answers[client.post(url, headers=headers).status_code] += 1

    threads = [threading.Thread(target=send) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def in_flight(lab, api, path: str = "in-flight") -> list:
    """Return what each pod of the router answers."""
    pods = api.items(
        f"/api/v1/namespaces/{lab.workspace}/pods", labelSelector="pulumi-inference/role=router"
    )
    place = f"/api/v1/namespaces/{lab.workspace}/pods"
    return [api.get(f"{place}/{name_of(one)}:8081/proxy/{path}")["requests"] for one in pods]


def test_the_count_follows_the_requests_in_the_pods_of_the_router(ruled, api):
    asked = rule(ruled, **REQUESTS)
    ruled.apply(asked)
    with requests(ruled, 12) as answers:
        took_s = waited(lambda: count(ruled) == 3)
        waited(lambda: len(ruled.admitted()) == 3)
        each, both = in_flight(ruled, api), in_flight(ruled, api, "in-flight/iris/blue")
        print(f"three after {took_s:.0f} s; {each} in flight, together {both}")
        assert len(each) == 2
        assert all(one["iris/blue"] for one in each)
        assert all(8 <= found <= 12 for found in both)
        assert up(ruled, asked) == []
        assert reasons(ruled, asked) == {}
    with requests(ruled, 2) as fewer:
        took_s = waited(lambda: count(ruled) == 1 and len(ruled.instances()) == 1, 2 * REACTS_S)
        print(f"one after {took_s:.0f} s")
    assert {*answers} == {*fewer} == {200}


def autoscalers(lab) -> set[str]:
    """Return what decides the count, by name."""
    found = lab.platform.client.items(AUTOSCALER, lab.workspace)
    return {name_of(one).replace(name(lab), "NAME") for one in found}


NEVER = [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "1"}}]
PAUSED = {"autoscaling.keda.sh/paused": "true"}
DONE = {
    "edit it": (
        lambda lab, api: edit(lab, api, SCALED_OBJECT, {"spec": {"maxReplicaCount": 9}}),
        f"ScaledObject .*: spec.maxReplicaCount set by {EDITOR}",
    ),
    "edit a trigger": (
        lambda lab, api: edit(lab, api, SCALED_OBJECT, {"spec": {"triggers": NEVER}}),
        f"ScaledObject .*: spec.triggers set by {EDITOR}",
    ),
    "pause it": (
        lambda lab, api: edit(lab, api, SCALED_OBJECT, {"metadata": {"annotations": PAUSED}}),
        "ScaledObject .* is paused by the annotation autoscaling.keda.sh/paused",
    ),
    "delete it": (
        lambda lab, api: lab.platform.client.delete(SCALED_OBJECT, lab.workspace, name(lab)),
        "ScaledObject .* is gone",
    ),
}


@pytest.mark.parametrize("done", DONE)
def test_what_a_person_does_is_named_and_mended(ruled, api, done):
    asked = rule(ruled, **REQUESTS)
    ruled.apply(asked)
    assert reasons(ruled, asked) == {}
    act, told = DONE[done]
    act(ruled, api)
    wait_until(lambda: "Deployment" in reasons(ruled, asked), 20)
    wait_until(lambda: "being deleted" not in reasons(ruled, asked)["Deployment"], 20)
    found = reasons(ruled, asked)
    assert [*found] == ["Deployment"]
    assert re.fullmatch(told, found["Deployment"])
    assert up(ruled, asked) == ["Deployment"]
    wait_until(lambda: reasons(ruled, asked) == {}, 60)
    wait_until(lambda: autoscalers(ruled) == {"keda-hpa-NAME"}, 60)
    assert ruled.ask() == 200


def test_what_is_scaled_to_zero_is_started_by_keda(ruled, api):
    asked = rule(ruled, **REQUESTS)
    ruled.apply(asked)
    edit(ruled, api, DEPLOYMENT, {"spec": {"replicas": 0}})
    assert reasons(ruled, asked) == {}
    print(f"one again after {waited(lambda: count(ruled) == 1):.0f} s")


def test_a_rule_that_moves_has_one_autoscaler_at_a_time_and_leaves_none(ruled, metrics):
    del metrics
    share = {"targets": [{"metric": "CpuUtilizationPercentage", "target": 90}]}
    seen, over = set(), threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            seen.add(frozenset(autoscalers(ruled)))

    thread = threading.Thread(target=look)
    ruled.apply(rule(ruled, **REQUESTS))
    wait_until(lambda: autoscalers(ruled) == {"keda-hpa-NAME"}, 60)
    thread.start()
    ruled.apply(rule(ruled, **share))
    wait_until(lambda: autoscalers(ruled) == {"NAME"}, 60)
    assert reasons(ruled, rule(ruled, **share)) == {}
    ruled.apply(rule(ruled, **share, **at_night()))
    wait_until(lambda: autoscalers(ruled) == {"keda-hpa-NAME"}, 60)
    assert reasons(ruled, rule(ruled, **share, **at_night())) == {}
    ruled.delete(rule(ruled).id)
    assert autoscalers(ruled) == set()
    over.set()
    thread.join()
    assert max(map(len, seen)) == 1
    assert ruled.platform.client.items(SCALED_OBJECT, ruled.workspace) == []
    wait_until(lambda: count(ruled) == len(ruled.instances()) == 1, 60)
    alone = [*ruled.desired[:-2], ruled.blue(request_settings=LONG), ruled.desired[-1]]
    observed = ruled.target.observe([ruled.workspace])
    assert drift(alone, observed, "demo").exit_code == 0


def test_the_documented_role_is_enough_for_a_rule_that_keda_keeps(
    keda, api, namespace, tmp_path, monkeypatch
):
    del keda
    deployer = Deployer(api, namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(deployer.kubeconfig))
    lab = deployer.lab()
    lab.up()
    asked = lab.rule(max_instances=3, targets=[], **at_night())
    lab.apply(lab.blue(), asked)
    [one] = lab.platform.client.items(SCALED_OBJECT, namespace)
    lab.delete(asked.id)
    assert lab.platform.client.get(SCALED_OBJECT, namespace, name_of(one)) is None
    for resource in reversed(lab.desired):
        lab.delete(resource.id)
    assert lab.target.workspaces() == ()
    lab.platform.close()
