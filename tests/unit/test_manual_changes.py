"""What a person does beside the stack file is reported once, with who did it and when."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from tests.unit.conftest import Cli

from inference_provider.actor import _CI_JOBS

STACK = """\
name: demo
workspaces:
  - {name: default, target: memory, quota: {max_instances: 9}}
environments:
  - name: plain
    command: [python, -m, http.server]
    inference_config: &routes
      liveness_route: {path: /, port: 80}
      readiness_route: {path: /, port: 80}
      scoring_route: {path: /, port: 80}
  - {name: other, command: [python, -m, http.server], inference_config: *routes}
identities: [{name: robot}]
endpoints:
  - {name: iris, tags: {team: ml}}
  - {name: rose}
role_assignments:
  - {name: robot-reads, principal: robot, role: Reader}
deployments:
  - {endpoint: iris, name: blue, environment: "plain:1", instance_count: 2,
     environment_variables: {PASSWORD: hunter2}}
  - {endpoint: iris, name: green, environment: "plain:1"}
  - {endpoint: rose, name: red, environment: "other:1"}
traffic:
  - {endpoint: iris, traffic: {blue: 100}}
  - {endpoint: rose, traffic: {red: 100}}
"""
BLUE, GREEN = "Deployment/default/iris/blue", "Deployment/default/iris/green"
NOT_APPLIED = "not yet applied"


class Found(NamedTuple):
    """One finding: of a field, or of a resource with an empty field."""

    address: str
    field: str
    why: str
    """Origin of a field; verdict of a resource."""


class Change(NamedTuple):
    """What somebody does, and all that a review should find then."""

    was: str
    """Part of the stack file, of which somebody applies another version."""
    now: str
    found: tuple[Found, ...]
    action: str
    """As the journal calls it."""


def up_of(cli: Cli, text: str) -> None:
    """Somebody applies another version of the file."""
    cli.file.write_text(text)
    result = cli("up", "-y")
    assert result.exit_code == 0, result.output
    cli.file.write_text(STACK)


CHANGES = {
    "a weight": Change(
        "traffic: {red: 100}}", "traffic: {red: 0}}",
        (Found("Traffic/default/rose", "traffic.red", NOT_APPLIED),),
        "update",
    ),
    "a tag": Change(
        "{team: ml}", "{team: ops}",
        (Found("Endpoint/default/iris", "tags.team", NOT_APPLIED),),
        "update",
    ),
    "who may call": Change(
        "{name: rose}", "{name: rose, allowed_source_ranges: [10.0.0.0/8]}",
        (Found("Endpoint/default/rose", "allowed_source_ranges", NOT_APPLIED),),
        "update",
    ),
    "a count": Change(
        "instance_count: 2", "instance_count: 3",
        (Found(BLUE, "instance_count", NOT_APPLIED),),
        "update",
    ),
    "a secret variable": Change(
        "hunter2", "hunter3",
        (Found(BLUE, "environment_variables.PASSWORD", NOT_APPLIED),),
        "update",
    ),
    "a setting of requests": Change(
        'environment: "other:1"}',
        'environment: "other:1", request_settings: {request_timeout_ms: 1}}',
        (Found("Deployment/default/rose/red", "request_settings.request_timeout_ms", NOT_APPLIED),),
        "update",
    ),
    "a deployment less": Change(
        '  - {endpoint: iris, name: green, environment: "plain:1"}\n', "",
        (Found(GREEN, "", "missing"),),
        "delete",
    ),
    "an endpoint more": Change(
        "endpoints:\n", "endpoints:\n  - {name: lily}\n",
        (Found("Endpoint/default/lily", "", "unmanaged"),),
        "create",
    ),
    "a role": Change(
        "role_assignments:\n",
        "role_assignments:\n  - {name: robot-owns, principal: robot, role: Owner}\n",
        (Found("RoleAssignment/default/robot-owns", "", "unmanaged"),),
        "create",
    ),
    "a role less": Change(
        "  - {name: robot-reads, principal: robot, role: Reader}\n", "",
        (Found("RoleAssignment/default/robot-reads", "", "missing"),),
        "delete",
    ),
    "a quota": Change(
        "{max_instances: 9}", "{max_instances: 99}",
        (Found("Workspace/default/default", "quota.max_instances", NOT_APPLIED),),
        "update",
    ),
}  # fmt: skip


@contextmanager
def as_user(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("LOGNAME", name)
        for variable, _ in _CI_JOBS:
            patched.delenv(variable, raising=False)
        yield


def findings(cli: Cli) -> list[tuple[Found, str, datetime | None]]:
    """Return each finding of a review, with who and when."""
    found = []
    for one in json.loads(cli("drift", "--json").stdout)["resources"]:
        if one["verdict"] in ("missing", "unmanaged"):
            found.append((Found(one["address"], "", one["verdict"]), *_who(one)))
        for field in one["fields"]:
            found.append((Found(one["address"], field["path"], field["origin"]), *_who(field)))
    return found


def _who(one: dict[str, Any]) -> tuple[str, datetime | None]:
    return one["actor"], datetime.fromisoformat(one["time"]) if one["time"] else None


@pytest.fixture
def applied(cli, monkeypatch):
    cli.file.write_text(STACK)
    with as_user(monkeypatch, "ann"):
        result = cli("up")
        assert result.exit_code == 0, result.output
        assert findings(cli) == []
    return cli


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_once_with_who_and_when_and_is_gone_after_up(applied, name, monkeypatch):
    change, clock = CHANGES[name], applied.target.memory.clock
    clock.sleep(3600)
    began = clock.now()
    with as_user(monkeypatch, "ben"):
        assert change.was in STACK
        up_of(applied, STACK.replace(change.was, change.now))
    found = findings(applied)
    assert tuple(one for one, _, _ in found) == change.found
    for one, who, when in found:
        assert who.startswith("ben (inferctl "), one
        assert when is not None
        assert began <= when <= clock.now()
        entry = applied.target.journal("default")[-1]
        assert (entry.action, entry.id.address) == (change.action, one.address)
    with as_user(monkeypatch, "ann"):
        assert applied("up", "-y").exit_code == 0
    assert findings(applied) == []


def test_all_of_them_at_once_are_each_found_once(applied, monkeypatch):
    text = STACK
    for change in CHANGES.values():
        text = text.replace(change.was, change.now)
    with as_user(monkeypatch, "ben"):
        up_of(applied, text)
    found = [one for one, _, _ in findings(applied)]
    assert sorted(found) == sorted(one for change in CHANGES.values() for one in change.found)
    assert len(found) == len(CHANGES) == 11
    assert {who for _, who, _ in findings(applied)} == {"ben (inferctl up)"}


def test_a_split_by_hand_is_found_once_a_share_with_who_did_it(applied, monkeypatch):
    with as_user(monkeypatch, "ben"):
        assert applied("split", "iris", "blue=90", "green=10").exit_code == 0
    assert [(one, who) for one, who, _ in findings(applied)] == [
        (Found("Traffic/default/iris", f"traffic.{name}", NOT_APPLIED), "ben (inferctl split)")
        for name in ("blue", "green")
    ]


def test_what_no_journal_saw_is_found_once_and_says_so(applied, monkeypatch):
    ports = applied.target.memory.ports("default")
    one = next(iter(ports.compute.instances("iris/blue")["iris/blue"])).name
    ports.compute.ended.add(one)
    found = findings(applied)
    assert [(finding, who) for finding, who, _ in found] == [
        (Found(BLUE, "instance_count", "not running as recorded; nobody recorded stopping it"),
         "unknown"),
    ]  # fmt: skip


def test_shares_changed_by_hand_and_declared_since_are_recorded_and_stay(applied, monkeypatch):
    router = applied.target.memory.ports("default").router
    router.endpoints = tuple(
        one.model_copy(update={"weights": {"blue": 60, "green": 40}}) if one.name == "iris" else one
        for one in router.endpoints
    )
    text = STACK.replace("{blue: 100}", "{blue: 60, green: 40}", 1)
    applied.file.write_text(text)
    told = "recorded otherwise: traffic.blue 100, traffic.green 0"
    assert findings(applied) == []
    assert f"note: Traffic 'default/iris' ({told}; the next apply" in applied("drift").stdout
    assert told in applied("plan").stdout
    with as_user(monkeypatch, "ann"):
        assert applied("up", "-y").exit_code == 0
        assert applied("plan").exit_code == 0
        assert "recorded otherwise" not in applied("drift").stdout
        up_of(applied, text.replace("team: ml", "team: ai"))
    assert router.status().weights["iris"] == {"blue": 60, "green": 40}
