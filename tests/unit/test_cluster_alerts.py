"""How alerts of a workspace in a cluster stand: a ConfigMap that its service writes."""

import pytest
from tests.cluster_api import ClusterApi, client_of

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
