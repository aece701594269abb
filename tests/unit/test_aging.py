"""Logs that are too old go where a router's own process, or a workspace's service, keeps them."""

import json
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.memory import state_of, with_workspace, write_record

from inference_provider.observed import ResourceId
from inference_provider.router.table import RouterTable
from inference_provider.service.event_age import EventAge
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.envoy.child import EnvoyChild
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.edge import edged
from inference_provider.targets.envoy.reported import reported, said_of_calls
from inference_provider.targets.listening import ListenAddress
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.service_needs import days_of
from inference_provider.workspace.statuses import Event

DAY_S = 86_400
LOGS = {"retention_days": 10, "retention_of": ["traffic", "events"]}


def declaring(logs):
    target = with_workspace(MemoryTarget())
    there = target.record(ResourceId.of_workspace("default"))
    properties = {**there.properties, "logs": logs}
    write_record(target, there.model_copy(update={"properties": properties}))
    return target


def write_call(log, age_days):
    at_s = time.time() - age_days * DAY_S
    log.write_text(json.dumps({"ts": datetime.fromtimestamp(at_s, UTC).isoformat()}) + "\n")
    os.utime(log, (at_s, at_s))


@pytest.mark.parametrize(
    ("days", "left"),
    [
        (10, {"access.log.1": 6}),
        (0, {"access.log": 6, "access.log.1": 11}),
        (30, {"access.log": 6, "access.log.1": 11}),
    ],
)
def test_a_router_s_process_ends_calls_that_are_older_than_its_table_says(tmp_path, days, left):
    delivery = Delivery(tmp_path)
    delivery.write_all(
        RouterTable(folder=str(tmp_path), host="127.0.0.1", port=1, metrics_port=2, calls_days=days)
    )
    for name, age in {"access.log": 6, "access.log.1": 11}.items():
        write_call(tmp_path / name, age)
    EnvoyChild(delivery).end_old_calls()
    now = time.time()
    found = {
        one.name: round((now - one.stat().st_mtime) / DAY_S) for one in tmp_path.glob("access.log*")
    }
    assert found == left


@pytest.mark.parametrize(
    ("logs", "days"),
    [
        (LOGS, 10),
        ({**LOGS, "retention_of": ["events"]}, 0),
        (None, 0),
        ({"of": "a newer release"}, 0),
    ],
)
def test_a_router_s_table_says_for_how_long_calls_stay(logs, days):
    assert reported(state_of(declaring(logs)), "default") == {"traces": None, "calls_days": days}


def test_the_table_of_a_router_that_listens_somewhere_has_what_is_declared():
    where = ListenAddress(host="127.0.0.1", port=1, metrics_port=2)
    declared = reported(state_of(declaring(LOGS)), "default")
    assert where.table("/router", **declared).calls_days == 10


def test_an_older_router_does_not_know_the_question_with_such_a_table():
    assert edged("publish", {"calls_days": 10}) == "publish_edge"
    assert edged("publish", {}) == "publish"


@pytest.mark.parametrize(
    ("days", "said"), [(0, ""), (1, "calls stay for 1 day"), (30, "calls stay for 30 days")]
)
def test_a_pod_says_for_how_long_calls_stay(days, said):
    assert said_of_calls(days) == said


def test_events_older_than_a_workspace_says_are_told_nobody():
    target = declaring(LOGS)
    now = datetime.now(UTC)
    events = [
        Event(
            time=now - timedelta(days=age),
            deployment="iris/blue",
            instance="one",
            name="Started",
            message=str(age),
        )
        for age in (30, 11, 9, 0)
    ]
    target.platform.ports("default").compute.happened = events
    assert [one.message for one in target.events("default")] == ["9", "0"]


@pytest.mark.parametrize(
    ("logs", "ended"),
    [
        (LogSettings(**LOGS), [10]),
        (LogSettings(retention_days=3, retention_of=("traffic",)), []),
        (None, []),
    ],
)
def test_a_service_ends_events_after_the_days_that_are_declared(logs, ended):
    found = []
    EventAge(lambda: logs, found.append).look()
    assert found == ended


def test_days_are_of_the_tables_that_are_named():
    state = state_of(declaring({**LOGS, "retention_of": ["events"]}))
    assert [days_of(state, table) for table in ("traffic", "events", "console")] == [0, 10, 0]
