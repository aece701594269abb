"""Whom the service tells of an alert, how often, and what a message says."""

import json
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from tests.local.server.model import until
from tests.unit.alerting.watched import FIRED, RESOLVED, URL, counted, rule

from inference_provider.service.alerting import PAUSES_S


def test_a_webhook_hears_of_each_turn_once(service):
    service.look(95, 20)
    service.look(5, 20)
    assert service.got == [FIRED, RESOLVED]
    assert [name for _, name, _ in service.events] == ["AlertFired", "AlertResolved"]
    assert service.events[0] == (
        "iris",
        "AlertFired",
        "alert 'busy': CpuUtilizationPercentage 95 % above 80 % in 15 s",
    )


def test_a_message_that_does_not_arrive_is_sent_again_a_bounded_number_of_times(service):
    service.answer = "it answered 503"
    service.look(95, 4)
    assert service.sent == 1
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it answered 503; it is tried again"
    )
    service.look(95, (sum(PAUSES_S) + 60) // 5)
    assert service.sent == len(PAUSES_S) + 1 == 10
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it answered 503; given up after 10 times"
    )
    assert [name for _, name, _ in service.events] == [
        "AlertFired",
        "AlertNotDelivered",
        "AlertNotDelivered",
    ]
    service.answer = ""
    service.look(5)
    assert service.got == [RESOLVED]
    assert service.state.fault == ""


def test_a_webhook_that_was_away_hears_all_in_its_order(service):
    service.answer = "nothing listens there"
    service.look(95)
    service.look(5)
    service.answer = ""
    service.look(5, 10)
    assert service.got == [FIRED, RESOLVED]


def test_a_webhook_that_hangs_holds_up_no_look_and_no_other_alert(service):
    service.rules = {"iris": {"busy": rule(), "other": rule(threshold=70, webhook="free")}}
    hung = service.post

    def post(url: SecretStr, body: Any) -> str:
        if url.get_secret_value() == URL:
            return hung(url, body)
        service.got.append((url.get_secret_value(), body["data"]["essentials"]["alertRule"]))
        return ""

    service.webhooks["free"] = SecretStr("https://free.example.org/a")
    service.post = post
    service.start()
    service.held.clear()
    service.look(95)
    until(lambda: service.got == [("https://free.example.org/a", "other")])
    service.look(95, 5)
    assert service.sent == 1
    assert service.state.standing.has_fired
    service.held.set()


def test_a_message_tells_of_the_rule_that_fired(service):
    service.answer = "it answered 503"
    service.look(95)
    service.rules = {"iris": {"busy": rule(threshold=90)}}
    service.answer = ""
    service.look(95)
    [condition] = service.bodies[0]["data"]["alertContext"]["condition"]["allOf"]
    assert condition["threshold"] == "80"


def test_a_message_has_every_digit_of_a_threshold(service):
    service.rules = {
        "iris": {"busy": rule(metric="NetworkBytes", operator="less_than", threshold=123456789)}
    }
    service.router = counted()
    service.look(5)
    [condition] = service.bodies[0]["data"]["alertContext"]["condition"]["allOf"]
    assert condition["threshold"] == "123456789"
    assert "below 123456789 B/s in 15 s" in service.bodies[0]["text"]


def test_an_alert_without_a_webhook_is_shown_all_the_same(service):
    service.rules = {"iris": {"busy": rule(webhook=None)}}
    service.look(95)
    assert service.sent == 0
    fired = "alert 'busy' fired at 2026-11-27T00:00:20Z: CpuUtilizationPercentage 95 % above 80 %"
    now = service.clock.now()
    assert [*service.state.notes("busy", now)] == [f"{fired} in 15 s"]
    later = now + timedelta(seconds=31)
    assert [*service.state.notes("busy", later)] == [
        f"{fired} in 15 s; nobody has looked since 2026-11-27T00:00:25Z"
    ]
    service.look(5)
    assert [*service.state.notes("busy", later)] == []
    assert [*service.state.notes("busy", service.clock.now() + timedelta(seconds=31))] == [
        "alert 'busy': nobody has looked since 2026-11-27T00:00:50Z"
    ]


def test_a_webhook_that_is_gone_is_told(service):
    service.webhooks = {}
    service.look(95)
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it is gone; apply the endpoint again; it is tried again"
    )


def test_what_a_webhook_did_not_take_is_said_no_more_once_it_is_removed_or_corrected(service):
    service.answer = "it answered 404"
    service.look(95, (sum(PAUSES_S) + 60) // 5)
    assert "given up after 10 times" in service.state.fault
    service.start()
    service.look(95, 1)
    assert "given up after 10 times" in service.state.fault
    service.webhooks = {"ops": SecretStr("https://hooks.example.org/corrected")}
    service.look(95, 1)
    assert service.state.fault == ""
    service.look(5)
    assert "was not told Resolved" in service.state.fault
    service.rules = {"iris": {"busy": rule(webhook=None)}}
    service.look(5, 1)
    assert (service.state.fault, service.state.pending) == ("", ())


def test_a_webhook_that_was_corrected_is_told_at_once(service):
    service.answer = "it answered 404"
    service.look(95, 60)
    assert service.state.pending[0].tries == 6  # the next after 300 s
    service.answer = ""
    service.webhooks = {"ops": SecretStr("https://hooks.example.org/corrected")}
    service.look(95, 1)
    assert service.got == [("https://hooks.example.org/corrected", "Fired")]


def test_a_sender_that_fails_as_nobody_foresaw_sends_again(service):
    def fails(_url: SecretStr, _body: Any) -> str:
        raise RuntimeError(URL)

    service.post, told = fails, service.post
    service.start()
    service.look(95)
    assert service.state.fault == (
        "webhook 'ops' was not told Fired: it cannot be told: RuntimeError; it is tried again"
    )
    service.post = told
    service.start()
    service.look(95)
    assert service.got == [FIRED]


def test_no_webhook_is_written_down(service):
    service.answer = "it answered 503"
    service.look(95)
    assert "T0KEN" not in service.file.read_text() + json.dumps(service.events)
