"""What is recorded beside what the ports answer: present, degraded or unknown, in which words."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from inference_provider.desired import properties_of, resolve
from inference_provider.errors import TargetUnreachable
from inference_provider.observed import Actor, Kind, Presence, Record, ResourceId, Restarts
from inference_provider.spec import AutoscaleRuleSpec, StackSpec
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.endings import Endings
from inference_provider.workspace.observe import Observer, Snapshot, take_snapshot
from inference_provider.workspace.observed_split import split_text
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import (
    ComputeStatus,
    InstanceStatus,
    RouterAddress,
    RouterStatus,
)

ANN = Actor(user="ann")
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MINUTE = int(NOW.timestamp() // 60)
STACK = {
    "name": "demo",
    "models": [{"name": "iris", "path": "m", "content_hash": "b" * 64}],
    "environments": [{"name": "plain", "dependencies": ["numpy"], "content_hash": "c" * 64}],
    "endpoints": [{"name": "iris"}],
    "deployments": [
        {
            "endpoint": "iris",
            "name": "blue",
            "environment": "plain:1",
            "instance_count": 2,
            "code_configuration": {"code": "src", "content_hash": "a" * 64},
        }
    ],
    "traffic": [
        {"endpoint": "iris", "traffic": {"blue": 100, "green": 0}, "mirror_traffic": {"red": 5}}
    ],
}
RECORDS = {
    wanted.id.kind: Record(
        id=wanted.id,
        owner="demo",
        properties=wanted.properties,
        generation="g2" if wanted.id.kind == Kind.DEPLOYMENT else "",
        admitted=("blue.0", "blue.1") if wanted.id.kind == Kind.DEPLOYMENT else None,
        actor=ANN,
        time=NOW,
    )
    for wanted in resolve(StackSpec.model_validate(STACK))
}
HEALTHY = RouterStatus(weights={}, mirrors={}, healthy={"iris/blue": 2})


def instance(number, **fields):
    given = {"name": f"blue.{number}", "generation": "g2", "runs": True}
    return InstanceStatus(**{**given, **fields})


TWO = (instance(0), instance(1))


def observed(kind, snapshot, *, fault=""):
    content = SimpleNamespace(fault=lambda _record: fault, note=lambda _record: "")
    address = RouterAddress(url="http://h:1", metrics_url="http://h:2")
    router = SimpleNamespace(address=lambda: address)
    ports: Any = SimpleNamespace(content=content, router=router)
    return Observer(ports, State(MemoryRecords("default")), snapshot).resource(RECORDS[kind])


def seen(*instances, router=HEALTHY, unsupervised=""):
    compute = ComputeStatus(instances={"iris/blue": instances}, unsupervised=unsupervised)
    return Snapshot(compute=compute, router=router, minute=MINUTE)


def under_a_rule(snapshot, least=1, kind=Kind.DEPLOYMENT):
    """Return deployment blue, or its rule, beside a rule of that many to 5 instances."""
    records = MemoryRecords("default")
    address = RouterAddress(url="http://h:1", metrics_url="http://h:2")
    ports: Any = SimpleNamespace(
        content=SimpleNamespace(fault=lambda _record: ""),
        router=SimpleNamespace(address=lambda: address),
    )
    rule = AutoscaleRuleSpec(
        endpoint="iris", deployment="blue", min_instances=least, max_instances=5
    )
    blue = RECORDS[Kind.DEPLOYMENT]
    id_ = blue.id.model_copy(update={"kind": Kind.AUTOSCALE_RULE})
    recorded = Record(id=id_, owner="demo", properties=properties_of(rule), actor=ANN, time=NOW)
    State(records).put_record(recorded)
    asked = recorded if kind == Kind.AUTOSCALE_RULE else blue
    return Observer(ports, State(records), snapshot).resource(asked)


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        ("one", (None, "1 of 1 instances ready", "", "")),
        ("three", (None, "2 of 3 instances ready", "", "")),
        ("none ready", (None, "0 of 3 instances ready", "", "0 of 3 instances ready")),
        ("one ended", (None, "2 of 3 instances ready", "1 instance not running", "")),
    ],
)
def test_the_count_under_a_rule_is_told_and_is_no_field(snapshot, expected):
    three = tuple(instance(n, name=f"blue.{n % 2}") for n in range(3))
    found = under_a_rule(
        {
            "one": seen(instance(0), router=RouterStatus(healthy={"iris/blue": 1})),
            "three": seen(*three),
            "none ready": seen(*three, router=RouterStatus(healthy={"iris/blue": 0})),
            "one ended": seen(*three[:2], instance(1, runs=False)),
        }[snapshot]
    )
    live = found.live.get("instance_count")
    assert (live, found.status, found.degraded, found.unready) == expected


def test_no_instance_is_healthy_where_a_rule_lets_there_be_none():
    found = under_a_rule(seen(router=RouterStatus(healthy={"iris/blue": 0})), least=0)
    assert (found.status, found.degraded, found.unready) == (
        *("no instance, until a request comes", "", ""),
    )
    assert found.live == {}


def told(found):
    return found.live.get("instance_count"), found.status, found.degraded


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(seen(*TWO), (2, "2 of 2 instances ready", ""), id="as recorded"),
        pytest.param(
            seen(instance(0), router=RouterStatus(healthy={"iris/blue": 1})),
            (1, "1 of 2 instances ready", ""),
            id="one is missing",
        ),
        pytest.param(
            seen(instance(0), instance(1, runs=False)),
            (1, "1 of 2 instances ready", "1 instance not running"),
            id="one ended",
        ),
        pytest.param(
            seen(*TWO, instance(2), instance(3, generation="g1")),
            (2, "2 of 2 instances ready", "2 leftover instances"),
            id="leftovers",
        ),
        pytest.param(
            seen(instance(0), instance(1, runs=False), instance(2)),
            (1, "1 of 2 instances ready", "1 instance not running; 1 leftover instance"),
            id="one ended and one is left",
        ),
        pytest.param(
            seen(*TWO, router=RouterStatus(healthy={"iris/blue": 0})),
            (2, "0 of 2 instances ready", ""),
            id="none is healthy",
        ),
        pytest.param(
            seen(instance(0), instance(1, answers=False, endings=Endings(total=1))),
            (2, "1 of 2 instances ready", ""),
            id="one was started again and does not listen yet",
        ),
        pytest.param(
            seen(*TWO, router=RouterStatus(healthy=None)),
            (2, "2 of 2 instances run; the router does not say which are ready", ""),
            id="the router is silent",
        ),
        pytest.param(seen(), (0, "0 of 2 instances ready", ""), id="nothing runs"),
        pytest.param(
            seen(unsupervised="unsupervised: nobody is there"),
            (
                0,
                "2 of 2 instances serve on, unsupervised: nobody is there",
                "2 of 2 instances serve on, unsupervised: nobody is there",
            ),
            id="they serve on unsupervised",
        ),
    ],
)
def test_a_deployment_says_how_many_of_its_instances_serve(snapshot, expected):
    assert told(observed(Kind.DEPLOYMENT, snapshot)) == expected


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(seen(*TWO), "", id="all ready"),
        pytest.param(
            seen(*TWO, router=RouterStatus(healthy={"iris/blue": 1})),
            "1 of 2 instances ready",
            id="one loads",
        ),
        pytest.param(
            seen(*TWO, router=RouterStatus(healthy=None)),
            "2 of 2 instances run; the router does not say which are ready",
            id="the router is silent",
        ),
        pytest.param(
            seen(instance(0), instance(1, runs=False)), "", id="what has ended is not waited for"
        ),
        pytest.param(seen(instance(0)), "", id="what is not there is started"),
    ],
)
def test_what_runs_as_recorded_and_does_not_serve_yet_is_unready_and_no_drift(snapshot, expected):
    found = observed(Kind.DEPLOYMENT, snapshot)
    assert found.unready == expected
    if expected:
        assert found.degraded == ""


def test_an_instance_that_keeps_dying_is_named_and_not_counted():
    dying = Endings(total=9, minutes={MINUTE: 2, MINUTE - 3: 1})
    found = observed(Kind.DEPLOYMENT, seen(instance(0), instance(1, endings=dying)))
    assert told(found) == (
        1,
        "1 of 2 instances ready; blue.1 ended 3 times in the last 10 minutes",
        "blue.1 ended 3 times in the last 10 minutes",
    )
    assert found.restarts == {"blue.1": Restarts(since_start=9, lately=3, minutes=10)}


@pytest.mark.parametrize("kind", [Kind.WORKSPACE, Kind.DEPLOYMENT, Kind.TRAFFIC])
def test_what_could_not_be_asked_is_unknown_and_never_absent(kind):
    found = observed(kind, Snapshot(unreachable="supervisord does not answer"))
    assert found.presence == Presence.UNKNOWN
    assert found.reason == "supervisord does not answer"
    assert found.record == RECORDS[kind]
    assert found.live == {}


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.ENVIRONMENT, Kind.ENDPOINT])
def test_what_is_only_written_down_is_present_though_nothing_answers(kind):
    found = observed(kind, Snapshot(unreachable="supervisord does not answer"))
    assert found.presence == Presence.PRESENT


@pytest.mark.parametrize("port", ["compute", "router"])
def test_a_port_that_does_not_answer_makes_an_unreachable_snapshot(port):
    def silent(*_one):
        raise TargetUnreachable("ask", port, "it does not answer")

    answers = {"compute": lambda _all: ComputeStatus(), "router": RouterStatus, port: silent}
    ports: Any = SimpleNamespace(**{n: SimpleNamespace(status=answers[n]) for n in answers})
    found = take_snapshot(ports, SimpleNamespace(now=lambda: NOW))
    assert found == Snapshot(unreachable=f"ask {port}: it does not answer")


@pytest.mark.parametrize(
    ("one", "asked"),
    [
        pytest.param(None, ["compute of all", "router"], id="all"),
        pytest.param((Kind.WORKSPACE, "demo"), ["compute of all", "router"], id="the workspace"),
        pytest.param(
            (Kind.DEPLOYMENT, "iris/blue"), ["compute of iris/blue", "router"], id="a deployment"
        ),
        pytest.param((Kind.TRAFFIC, "iris"), ["router"], id="a split"),
    ],
)
def test_a_snapshot_is_one_question_to_each_port_that_matters(one, asked):
    told = []
    ports: Any = SimpleNamespace(
        compute=SimpleNamespace(
            status=lambda name: told.append(f"compute of {name or 'all'}") or ComputeStatus()
        ),
        router=SimpleNamespace(status=lambda: told.append("router") or RouterStatus()),
        identities=None,
        registry_users=None,
        bucket_user=None,
    )
    resource = one and ResourceId(kind=one[0], workspace="demo", name=one[1])
    found = take_snapshot(ports, SimpleNamespace(now=lambda: NOW), resource)
    assert (told, found.minute) == (asked, MINUTE)


@pytest.mark.parametrize(
    ("router", "live", "status", "degraded"),
    [
        pytest.param(
            RouterStatus(weights={"iris": {"blue": 100}}, mirrors={"iris": {"red": 5}}),
            {"traffic": {"blue": 100, "green": 0}, "mirror_traffic": {"red": 5}},
            "blue 100 %, green 0 %, mirror red 5 %",
            "",
            id="as recorded: a 0 that the router leaves out stays",
        ),
        pytest.param(
            RouterStatus(weights={"iris": {"blue": 40, "green": 60, "x": 0}}, mirrors={}),
            {"traffic": {"blue": 40, "green": 60}, "mirror_traffic": {"red": 0}},
            "blue 40 %, green 60 %",
            "",
            id="somebody moved it",
        ),
        pytest.param(
            RouterStatus(runs=False), {}, "not served", "the router does not run", id="it is down"
        ),
    ],
)
def test_traffic_is_what_the_router_splits_by(router, live, status, degraded):
    found = observed(Kind.TRAFFIC, seen(router=router))
    assert (found.live, found.status, found.degraded) == (live, status, degraded)


def test_traffic_of_a_router_that_runs_and_is_silent_is_unknown():
    found = observed(Kind.TRAFFIC, seen(router=RouterStatus(weights=None)))
    assert (found.presence, found.reason) == (Presence.UNKNOWN, "the router does not answer")


def test_a_workspace_says_where_it_is_and_what_is_wrong_with_its_router():
    fine = observed(Kind.WORKSPACE, seen())
    assert fine.outputs == {"router_url": "http://h:1", "metrics_url": "http://h:2"}
    assert (fine.status, fine.degraded, fine.restarts) == ("router ready", "", {})
    ended = Endings(total=1, minutes={MINUTE: 1})
    down = observed(Kind.WORKSPACE, seen(router=RouterStatus(fault="it is down", endings=ended)))
    assert (down.status, down.degraded) == ("it is down", "it is down")
    assert down.restarts == {"router": Restarts(since_start=1, lately=1, minutes=10)}


def test_a_workspace_says_what_runs_beside_its_router_and_what_should():
    beside = observed(Kind.WORKSPACE, seen(router=RouterStatus(beside="autoscaler runs")))
    assert (beside.status, beside.degraded) == ("router ready; autoscaler runs", "")
    missing = observed(Kind.WORKSPACE, seen(router=RouterStatus(missing="no autoscaler runs")))
    assert (missing.status, missing.degraded) == ("no autoscaler runs", "no autoscaler runs")


def test_what_keeps_rules_from_being_kept_is_told_and_no_drift():
    why = "not kept since 2026-01-02T12:00:00Z: no disk"
    all_ = observed(Kind.WORKSPACE, seen(router=RouterStatus(unkept={"": why})))
    told = f"autoscale rules are {why}"
    assert (all_.status, all_.degraded) == (f"router ready; {told}", "")
    assert all_.note == told
    snapshot = seen(router=RouterStatus(unkept={"iris/blue": why}))
    one = under_a_rule(snapshot, kind=Kind.AUTOSCALE_RULE)
    assert (one.status, one.degraded, one.note) == (f"1 to 5 instances; {why}", "", why)


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.ENVIRONMENT])
def test_content_that_was_changed_is_degraded(kind):
    fine, spoiled = (observed(kind, seen(), fault=text) for text in ("", "1 file was changed"))
    assert (fine.status, fine.degraded) == ("kept", "")
    assert (spoiled.status, spoiled.degraded) == ("1 file was changed", "1 file was changed")


def test_the_code_of_a_deployment_that_was_changed_is_degraded_unless_worse_is_known():
    changed = observed(Kind.DEPLOYMENT, seen(*TWO), fault="its code was changed")
    assert told(changed) == (2, "2 of 2 instances ready", "its code was changed")
    worse = observed(Kind.DEPLOYMENT, seen(instance(0, runs=False)), fault="its code was changed")
    assert worse.degraded == "1 instance not running"


@pytest.mark.parametrize("kind", [Kind.WORKSPACE, Kind.DEPLOYMENT, Kind.TRAFFIC])
def test_without_a_snapshot_what_runs_is_taken_to_be_as_it_is_recorded(kind):
    found = observed(kind, None, fault="nobody asks")
    assert (found.presence, found.live, found.degraded) == (Presence.PRESENT, {}, "")


@pytest.mark.parametrize(
    ("traffic", "mirror", "expected"),
    [
        ({}, {}, "no traffic"),
        ({"blue": 100}, {}, "blue 100 %"),
        (
            {"green": 10, "blue": 90},
            {"red": 20, "old": 0},
            "blue 90 %, green 10 %, mirror red 20 %",
        ),
        ({}, {"red": 20}, "no traffic, mirror red 20 %"),
    ],
)
def test_a_split_is_written_for_a_person(traffic, mirror, expected):
    assert split_text(traffic, mirror) == expected
