"""`inferctl alerts`: which alerts there are, which have fired, and who was told."""

import json
from datetime import UTC, datetime

import pytest
import yaml

from inference_provider.alerts import Standing
from inference_provider.targets.memory import MemoryTarget
from inference_provider.workspace.alert_states import AlertState, Message

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, 12, tzinfo=UTC)
URL = "https://hooks.example.org/T0KEN"
WHY = "ErrorRate 52 % above 5 %, of 64 requests in 60 s"


def declared(cli, **fields):
    """Write a stack file whose one endpoint has these fields too."""
    iris = {"name": "iris", **fields}
    document = {
        "name": "demo",
        "workspaces": [{"name": "default", "target": "memory"}],
        "endpoints": [iris],
    }
    cli.file.write_text(yaml.safe_dump(document))
    return cli


class Watched(MemoryTarget):
    """A target whose alerts somebody watches."""

    states: dict[str, dict[str, AlertState]] = {}

    def alert_states(self, workspace):
        assert workspace == "default"
        return self.states


@pytest.fixture
def watched(cli):
    cli.target = Watched()
    errors = {"metric": "ErrorRate", "threshold": 5, "severity": 1, "webhook": "ops"}
    off = {"metric": "RequestLatency", "threshold": 500, "enabled": False}
    declared(cli, alerts={"errors": errors, "off": off}, alert_webhooks={"ops": URL})
    assert cli("up").exit_code == 0
    return cli


def fired(**fields):
    standing = Standing(condition="Fired", since=AT, fired_at=AT, why=WHY)
    looked = {"looked": datetime.now(UTC), **fields}
    return AlertState(standing=standing, id="1", value=52.0, said=WHY, **looked)


def test_what_nobody_has_looked_at_yet_is_listed(watched):
    assert watched("alerts").stdout == (
        "quiet    Sev1  iris/errors\n"
        "  now: nobody has looked yet\n"
        "  webhook 'ops': last told never\n"
        "off      Sev3  iris/off\n"
        "  now: nobody has looked yet\n"
    )


def test_what_has_fired_is_told_with_its_reason_and_who_was_told(watched):
    watched.target.states = {"iris": {"errors": fired(told=AT)}}
    assert watched("alerts", "iris").stdout.startswith(
        f"fired    Sev1  iris/errors  since 2026-11-27T12:00:00Z: {WHY}\n"
        f"  now: {WHY}\n"
        "  webhook 'ops': last told 2026-11-27T12:00:00Z\n"
    )


def test_a_look_that_is_old_is_none_of_now(watched):
    watched.target.states = {"iris": {"errors": fired(looked=LONG_AGO)}}
    assert watched("alerts", "iris").stdout.startswith(
        f"fired    Sev1  iris/errors  since 2026-11-27T12:00:00Z: {WHY}\n"
        "  now: nobody has looked since 2020-01-01T12:00:00Z\n"
    )
    [found] = [o for o in json.loads(watched("alerts", "--json").stdout) if o["name"] == "errors"]
    assert (found["now"], found["value"], found["looked"]) == (
        "nobody has looked since 2020-01-01T12:00:00Z",
        None,
        "2020-01-01T12:00:00+00:00",
    )


def test_what_could_not_be_told_says_why(watched):
    message = Message(id="1", condition="Fired", time=AT, fired_at=AT, tries=1)
    fault = "webhook 'ops' was not told Fired: it answered 503; it is tried again"
    watched.target.states = {"iris": {"errors": fired(pending=(message,), fault=fault)}}
    assert f"  webhook 'ops': last told never; 1 to be told\n  {fault}\n" in (
        watched("alerts").stdout
    )


def test_a_program_reads_all_of_it_and_no_webhook(watched):
    watched.target.states = {"iris": {"errors": fired(told=AT)}}
    printed = watched("alerts", "--json").stdout
    found = {one["name"]: one for one in json.loads(printed)}
    assert (found["errors"]["state"], found["errors"]["value"], found["errors"]["unit"]) == (
        "fired",
        52.0,
        "%",
    )
    assert found["errors"]["told"] == "2026-11-27T12:00:00+00:00"
    assert found["off"]["state"] == "off"
    assert found["off"]["since"] is None
    assert "T0KEN" not in printed


def test_no_alert_is_said(cli):
    cli.target = Watched()
    assert cli("up").exit_code == 0
    assert cli("alerts").stdout == "no alert of default\n"
    assert cli("alerts", "iris").stdout == "no alert of iris\n"


def test_an_endpoint_that_is_not_there_is_refused(watched):
    found = watched("alerts", "rose")
    assert (found.exit_code, "rose" in found.stderr) == (1, True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"alerts": {"errors": {"metric": "ErrorRate", "threshold": 5, "webhook": "ops"}}},
            "alerts.errors.webhook is 'ops', and alert_webhooks has none; add it there, or correct",
        ),
        ({"alert_webhooks": {"ops": URL}}, "alert_webhooks.ops is named by no alert"),
        ({"alert_webhooks": {"ops": "ftp://h/T0KEN"}}, "expected a URL like 'https://hooks.exam"),
        ({"alert_webhooks": {"ops": "https://a:T0KEN@h/"}}, "expected a URL like 'https://hooks."),
        ({"alert_webhooks": {"ops": "https://h:99999/T0KEN"}}, "expected a URL like 'https://hook"),
        ({"alert_webhooks": {"ops": "https:///T0KEN"}}, "expected a URL like 'https://hooks."),
        ({"alert_webhooks": {"ops": "https://[::1/T0KEN"}}, "expected a URL like 'https://hooks."),
        ({"alert_webhooks": {"ops": "https://h/T0KEN\nx"}}, "expected a URL like 'https://hooks."),
        ({"alerts": {"errors": {"metric": "ErrorRat", "threshold": 5}}}, "alerts.errors.metric"),
    ],
)
def test_what_could_not_be_told_is_refused_without_a_word_of_the_webhook(cli, fields, said):
    found = declared(cli, **fields)("plan")
    printed = " ".join((found.stdout + found.stderr).split())
    assert found.exit_code == 1
    assert said in printed
    assert "T0KEN" not in printed
