"""What webhooks that take nothing are still to be told, where there is little room for it."""

from datetime import UTC, datetime

from tests.unit.alerting.watched import FIRED, RESOLVED

from inference_provider.service.alert_room import given_up, text_of, with_message
from inference_provider.spec.alert import AlertRule
from inference_provider.targets.kubernetes.kept_alerts import STATES_BYTES
from inference_provider.workspace.alert_states import AlertState, Message

NOW = datetime(2026, 11, 28, tzinfo=UTC)
RULE = AlertRule(metric="ErrorRate", threshold=5, webhook="ops")


def message(number: int) -> Message:
    return Message(id=str(number), condition="Fired", time=NOW, fired_at=NOW, rule=RULE, why="w")


def waiting(count: int) -> AlertState:
    state = AlertState(rule=RULE)
    for number in range(count):
        state = with_message(state, message(number))
    return state


def ids(state: AlertState) -> list[str]:
    return [one.id for one in state.pending]


def test_of_more_than_twenty_messages_the_oldest_are_given_up_and_counted():
    state = waiting(23)
    assert (ids(state)[0], len(state.pending), state.given_up) == ("3", 20, 3)


def test_nothing_is_given_up_where_all_has_room():
    assert given_up({("iris", "a"): waiting(20)}, 1_000_000) == {}


def test_a_thousand_alerts_with_dead_webhooks_have_room_in_a_config_map():
    states = {("iris", f"alert-{number}"): waiting(20) for number in range(600)}
    assert len(text_of(states)) > 1024 * 1024
    fewer = {**states, **given_up(states, STATES_BYTES)}
    assert len(text_of(fewer)) <= STATES_BYTES
    one = fewer["iris", "alert-7"]
    assert one.pending[-1].id == "19"
    assert one.given_up == 20 - len(one.pending)
    [note] = [said for said in one.notes("alert-7", NOW) if "given up" in said]
    assert note == (
        f"alert 'alert-7': {one.given_up} older messages were given up: no room is left for what"
        " its webhook does not take"
    )


def test_who_is_told_nothing_costs_no_other_alert_its_messages():
    states = {("iris", "dead"): waiting(20), ("iris", "well"): waiting(1)}
    most = len(text_of(states)) - 1
    assert [*given_up(states, most)] == [("iris", "dead")]


def test_an_alert_says_once_that_its_messages_find_no_room_until_its_webhook_takes_one(service):
    service.most_bytes = 4000
    service.start()
    service.answer = "it answered 503"
    for _ in range(6):
        service.look(95)
        service.look(5)
    assert 0 < service.state.given_up < 12
    told = [said for _, _, said in service.events if "given up: no room" in said]
    assert len(told) == 1
    assert len(service.file.read_bytes().strip()) <= 4000
    service.answer = ""
    service.look(5, 400)
    assert service.state.given_up == 0
    assert service.got[-1] in (FIRED, RESOLVED)
