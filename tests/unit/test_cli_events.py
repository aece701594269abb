"""`inferctl events`: what happened to instances, from whatever the target keeps of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from inference_provider.workspace.statuses import Event

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(instance: str, name: str, message: str, minutes: int = 0, count: int = 1) -> Event:
    return Event(
        time=NOON + timedelta(minutes=minutes),
        deployment="/".join(instance.split(".")[:2]) if "." in instance else "",
        instance=instance,
        name=name,
        message=message,
        count=count,
    )


@pytest.fixture
def told(served):
    served.target.memory.ports("default").compute.happened = [
        event("router", "Started", "Started instance"),
        event("iris.green.ab.0", "BackOff", "Back-off restarting", 2, count=3),
        event("iris.blue.ab.0", "Killing", "Stopping instance", 1),
        event("iris2.blue.ab.0", "Started", "Started instance", 3),
    ]
    return served


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), ["router", "iris.blue.ab.0", "iris.green.ab.0", "iris2.blue.ab.0"]),
        (("iris",), ["iris.blue.ab.0", "iris.green.ab.0"]),
        (("iris/blue",), ["iris.blue.ab.0"]),
        (("--last", "1"), ["iris2.blue.ab.0"]),
    ],
)
def test_events_are_of_what_is_named_and_in_the_order_of_time(told, args, expected):
    result = told("events", *args, "--json")
    assert [one["instance"] for one in json.loads(result.stdout)] == expected


def test_a_line_says_when_what_of_whom_and_how_often(told):
    result = told("events", "iris/green")
    assert (result.exit_code, result.stdout) == (
        0,
        "2026-11-27T12:02:00Z  BackOff              iris.green.ab.0  Back-off restarting"
        " (3 times)\n",
    )


def test_what_is_older_is_left_out_and_none_is_said(told):
    result = told("events", "iris", "--since", "1s")
    assert result.stdout == "no event of iris in default since 1s\n"
    refused = told("events", "--since", "soon")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "error: the command line has 1 fault:\n"
        "  --since: expected a number from 1 to 999999 and a unit: s, m, h or d;"
        " write 30m, 24h or 7d\n",
    )
