"""The alerts of an endpoint on its page."""

from datetime import UTC, datetime

import pytest
from tests.unit.conftest import ServedTarget
from tests.unit.console.conftest import OfStack

from inference_provider.alerts import Standing
from inference_provider.workspace.alert_states import AlertState

IRIS = "/endpoints/default/iris"
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
WHY = "ErrorRate 52 % above 5 %, of 64 requests in 60 s"
ALERTS = """endpoints:
  - name: iris
    alerts:
      errors:
        {metric: ErrorRate, threshold: 5, severity: 1, webhook: ops, description: "<b>call</b>"}
    alert_webhooks: {ops: "https://hooks.example.org/T0KEN"}
"""


class Fired(ServedTarget):
    looked = datetime(9999, 1, 1, tzinfo=UTC)

    def alert_states(self, workspace):
        standing = Standing(condition="Fired", since=AT, fired_at=AT, why=WHY)
        fault = "webhook 'ops' was not told Fired: it answered 503; it is tried again"
        state = AlertState(standing=standing, said="now so", fault=fault, looked=self.looked)
        return {"iris": {"errors": state}}


@pytest.fixture
def alerting(cli):
    cli.target = Fired()
    text = cli.file.read_text()
    assert "endpoints: [{name: iris}]\n" in text
    cli.file.write_text(text.replace("endpoints: [{name: iris}]\n", ALERTS))
    assert cli("up").exit_code == 0
    return OfStack(cli)


def test_an_alert_that_has_fired_is_shown_with_its_reason_and_who_was_not_told(alerting):
    assert (
        "errors <b>call</b> fired Sev1"
        f" since 2026-11-27T12:00:00Z: {WHY} now so ops: last told never"
        " webhook 'ops' was not told Fired: it answered 503; it is tried again"
    ) in alerting.text(IRIS)
    assert "T0KEN" not in alerting.get(IRIS).text
    assert "<b>call" not in alerting.get(IRIS).text


def test_a_look_that_is_old_is_none_of_now(alerting, monkeypatch):
    monkeypatch.setattr(Fired, "looked", AT.replace(year=2020))
    shown = alerting.text(IRIS)
    assert f"{WHY} nobody has looked since 2020-11-27T12:00:00Z ops: last told never" in shown
    assert "now so" not in shown


def test_an_endpoint_without_alerts_has_no_list_of_them(browser):
    assert "Alerts" not in browser.text(IRIS)
