"""How alerts of a workspace in a cluster stand: a ConfigMap that its service writes."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.errors import OwnedByAnother
from inference_provider.targets.kubernetes.kept_alerts import KeptAlerts
from inference_provider.workspace.alert_states import AlertState, written

PATH = "/api/v1/namespaces/lab/configmaps/inference-alerts"
STATES = {"iris": {"errors": AlertState(said="ErrorRate 100 % above 5 %")}}


@pytest.fixture
def api():
    return ClusterApi()


def kept(api) -> KeptAlerts:
    return KeptAlerts(client_of(api), "lab", "demo")


def test_what_one_service_writes_the_next_one_and_every_client_read(api):
    assert (kept(api).states(), [*kept(api).events()], kept(api).is_there) == ({}, [], False)
    service = kept(api)
    assert service.begin() == ""
    service.tell("iris", "AlertFired", "alert 'errors': ErrorRate 100 % above 5 %")
    service.write(written(STATES))
    assert kept(api).states() == STATES
    assert kept(api).begin() == written(STATES)
    [event] = kept(api).events()
    assert (event.deployment, event.instance, event.name) == ("iris", "", "AlertFired")
    assert event.message == "alert 'errors': ErrorRate 100 % above 5 %"


def test_events_of_a_service_before_stay_and_the_oldest_go(api):
    first = kept(api)
    first.begin()
    for number in range(150):
        first.tell("iris", "AlertFired", f"{number}")
    first.write("{}")
    second = kept(api)
    second.begin()
    for number in range(150, 250):
        second.tell("iris", "AlertFired", f"{number}")
    second.write("{}")
    assert [one.message for one in kept(api).events()] == [f"{n}" for n in range(50, 250)]


def test_events_of_before_a_time_go_and_the_others_stay(api):
    first = kept(api)
    first.begin()
    first.tell("iris", "AlertFired", "old")
    first.write(written(STATES))
    later = datetime.now(UTC)
    service = kept(api)  # one that has told nothing itself
    service.expire(later - timedelta(days=1))
    assert [one.message for one in kept(api).events()] == ["old"]
    time.sleep(0.01)
    service.tell("iris", "AlertFired", "new")
    service.write(written(STATES))
    service.expire(later)
    assert [one.message for one in kept(api).events()] == ["new"]
    assert kept(api).states() == STATES


def test_where_nothing_was_written_down_nothing_is_made_to_end_old_events(api):
    kept(api).expire(datetime.now(UTC))
    assert PATH not in api.objects


def test_what_somebody_deletes_is_written_again_whole(api):
    service = kept(api)
    service.begin()
    service.tell("iris", "AlertFired", "fired")
    service.write("{}")
    api.drop(PATH)
    service.write(written(STATES))
    assert kept(api).states() == STATES
    assert [one.name for one in kept(api).events()] == ["AlertFired"]


def test_what_is_forgotten_is_gone(api):
    kept(api).begin()
    kept(api).forget()
    assert PATH not in api.objects
    kept(api).forget()


def of_others(data: dict[str, str]) -> dict:
    about = {"name": "inference-alerts", "namespace": "lab", "labels": {"app": "theirs"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def test_one_of_its_name_that_somebody_else_has_made_stays_as_it_is(api):
    api.put(PATH, of_others({"states.json": "theirs"}))
    with pytest.raises(OwnedByAnother, match="ConfigMap 'inference-alerts' in namespace 'lab'"):
        kept(api).begin()
    kept(api).forget()
    kept(api).tell_now("iris", "RolloutUnreadable", "it cannot be read")
    assert api.objects[PATH]["data"] == {"states.json": "theirs"}


def test_one_that_somebody_puts_in_place_of_ours_stays_as_it_is(api):
    service = kept(api)
    service.begin()
    service.write("{}")
    api.drop(PATH)
    api.put(PATH, of_others({"theirs": "yes"}))
    with pytest.raises(OwnedByAnother):
        service.write(written(STATES))
    assert api.objects[PATH]["data"] == {"theirs": "yes"}


def test_labels_that_somebody_takes_off_come_back_with_what_is_written_next(api):
    service = kept(api)
    service.begin()
    api.put(
        PATH, {**api.objects[PATH], "metadata": {**api.objects[PATH]["metadata"], "labels": {}}}
    )
    assert not kept(api).is_there
    service.write(written(STATES))
    assert kept(api).states() == STATES


def test_an_event_is_written_at_once_also_where_nobody_watches_alerts(api):
    first = kept(api)
    first.tell_now("iris", "RolloutUnreadable", "it cannot be read")
    kept(api).tell_now("rose", "RolloutUnreadable", "nor can this")
    assert [one.deployment for one in kept(api).events()] == ["iris", "rose"]
    assert kept(api).states() == {}


def test_an_event_that_cannot_be_written_is_written_with_the_next(api):
    service = kept(api)
    api.refuse = lambda asked: failure(403, "forbidden") if asked.method != "GET" else None
    service.tell_now("iris", "RolloutUnreadable", "it cannot be read")
    assert [*kept(api).events()] == []
    api.refuse = lambda _asked: None
    service.begin()
    service.write(written(STATES))
    assert [one.deployment for one in kept(api).events()] == ["iris"]


def test_it_is_written_once_states_are(api):
    service = kept(api)
    service.begin()
    service.tell_now("iris", "RolloutUnreadable", "it cannot be read")
    assert not service.is_written
    service.write("{}")
    assert service.is_written
