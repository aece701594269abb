"""The rules of alerts, and their webhooks: declared, kept as secrets, changed and gone."""

import json

import pytest
from pydantic import SecretStr

from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.plan import plan

URL = "https://hooks.example.org/services/T0KEN-of-ops"
OTHER = "https://hooks.example.org/services/T0KEN-of-dev"
ERRORS = {"metric": "ErrorRate", "threshold": 5, "webhook": "ops"}
WEBHOOKS = "webhooks"


@pytest.fixture(autouse=True)
def _watches(lab):
    if not lab.target.capabilities.alerts:
        pytest.skip("this target watches no alerts")


@pytest.fixture
def alerting(lab):
    lab.allow_alerts()
    lab.up()
    lab.apply(of(lab))
    return lab


def of(lab, url=URL, **rule):
    return lab.endpoint(alerts={"errors": ERRORS | rule}, alert_webhooks={"ops": url})


def webhooks(lab):
    return lab.target.alert_webhooks(lab.id(Kind.ENDPOINT, "iris"))


def changes(lab, desired):
    others = [one for one in lab.desired if one.id != desired.id]
    planned = plan([*others, desired], lab.target.observe([lab.workspace]), "demo")
    return [(str(one.kind), change.path) for one in planned.pending for change in one.changes]


def test_rules_are_kept_with_the_endpoint_and_webhooks_as_secrets(alerting):
    [(name, rule)] = alerting.target.alert_rules(alerting.workspace)["iris"].items()
    assert (name, rule.metric, rule.threshold, rule.webhook) == ("errors", "ErrorRate", 5, "ops")
    assert webhooks(alerting) == {"ops": SecretStr(URL)}
    record = alerting.target.record(alerting.id(Kind.ENDPOINT, "iris"))
    journal = [one.model_dump_json() for one in alerting.target.journal(alerting.workspace)]
    kept = b"".join(alerting.ports.records.section("records").values()).decode()
    assert "T0KEN" not in record.model_dump_json() + "".join(journal) + kept


def test_what_is_applied_is_no_change_and_no_drift(alerting):
    there = of(alerting)
    assert changes(alerting, there) == []
    others = [one for one in alerting.desired if one.id != there.id]
    found = drift([*others, there], alerting.target.observe([alerting.workspace]), "demo")
    assert {str(one.verdict) for one in found.resources} == {"clean"}


def test_another_threshold_and_another_webhook_are_live_changes_of_their_own(alerting):
    assert changes(alerting, of(alerting, threshold=9)) == [("update", "alerts.errors.threshold")]
    assert changes(alerting, of(alerting, OTHER)) == [("update", "alert_webhooks.ops")]
    alerting.apply(of(alerting, OTHER, threshold=9))
    assert webhooks(alerting) == {"ops": SecretStr(OTHER)}
    assert alerting.target.alert_rules(alerting.workspace)["iris"]["errors"].threshold == 9


def test_a_webhook_that_is_another_one_is_known_by_what_does_not_tell_it(alerting):
    iris = alerting.id(Kind.ENDPOINT, "iris")
    before = alerting.target.alert_webhook_digest(iris, "ops")
    assert before
    assert "T0KEN" not in before
    alerting.apply(of(alerting, OTHER))
    assert alerting.target.alert_webhook_digest(iris, "ops") not in (before, "")
    assert alerting.target.alert_webhook_digest(iris, "none") == ""
    rose = alerting.id(Kind.ENDPOINT, "rose")
    assert alerting.target.alert_webhook_digest(rose, "ops") == ""


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_webhooks_that_are_gone_or_spoiled_are_told_and_mended(alerting, text):
    records = alerting.ports.records
    if text is None:
        records.drop(WEBHOOKS, "iris")
    else:
        records.put(WEBHOOKS, "iris", text)
    iris = alerting.id(Kind.ENDPOINT, "iris")
    assert alerting.target.observe_one(iris).degraded == "the webhooks of its alerts are gone"
    assert webhooks(alerting) == {}
    alerting.apply(of(alerting))
    assert webhooks(alerting) == {"ops": SecretStr(URL)}
    assert alerting.target.observe_one(iris).degraded == ""


def test_nothing_is_left_of_alerts_that_are_removed(alerting):
    alerting.apply(alerting.endpoint())
    assert alerting.target.alert_rules(alerting.workspace) == {}
    assert [*alerting.ports.records.section(WEBHOOKS)] == []


def test_nothing_is_left_of_the_alerts_of_an_endpoint_that_is_deleted(alerting):
    lone = alerting.endpoint("rose", alerts={"errors": ERRORS}, alert_webhooks={"ops": OTHER})
    alerting.apply(lone)
    assert [*alerting.ports.records.section(WEBHOOKS)] == ["iris", "rose"]
    alerting.delete(lone.id)
    assert [*alerting.ports.records.section(WEBHOOKS)] == ["iris"]


def test_rules_of_a_newer_release_are_left_out_and_others_kept(alerting):
    records = alerting.ports.records
    document = json.loads(records.read("records", "Endpoint.iris"))
    rules = document["properties"]["alerts"]
    rules["newer"] = {**rules["errors"], "metric": "TokensPerSecond"}
    rules["errors"]["snooze"] = True
    records.put("records", "Endpoint.iris", json.dumps(document))
    found = alerting.target.alert_rules(alerting.workspace)["iris"]
    assert [*found] == ["errors"]


def test_an_endpoint_that_cannot_be_read_is_named(alerting):
    assert alerting.target.unreadable_alerts(alerting.workspace) == set()
    alerting.ports.records.put("records", "Endpoint.iris", '{"id": ')
    assert alerting.target.unreadable_alerts(alerting.workspace) == {"iris"}
    assert alerting.target.alert_rules(alerting.workspace) == {}
