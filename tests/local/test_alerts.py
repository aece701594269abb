"""Alerts of a real workspace: real requests, a real webhook, and a service that is killed."""

import json
import os
import signal

import pytest

from inference_provider.drift import drift
from inference_provider.targets.local.service_process import SERVICE
from tests.hook import TOKEN, Hook
from tests.local.conftest import Lab, Load
from tests.local.server.model import until
from tests.ports import own_port

pytestmark = pytest.mark.local

RULE = {
    "metric": "ErrorRate",
    "threshold": 5,
    "window_s": 15,
    "resolve_after_s": 0,
    "severity": 1,
    "description": "see the runbook",
    "webhook": "ops",
}


@pytest.fixture
def hook():
    found = Hook(own_port())
    yield found
    found.end()


def listed(lab: Lab) -> dict:
    code, said = lab.said("alerts", "iris", "--json")
    assert code == 0, said
    [found] = json.loads(said)
    return found


def service(lab: Lab) -> int:
    process = lab.supervisor.processes().get(SERVICE)
    return process.pid if process and process.runs else 0


def kill_the_service(lab: Lab) -> None:
    before = service(lab)
    os.kill(before, signal.SIGKILL)
    until(lambda: service(lab) not in (0, before), 30)


def everything_written(lab: Lab) -> str:
    kept = lab.state / "workspaces" / "lab" / "webhooks"
    files = (one for one in lab.state.rglob("*") if one.is_file() and kept not in one.parents)
    return "\n".join(one.read_text(errors="replace") for one in files)


def test_a_webhook_hears_once_that_an_alert_fired_and_once_that_it_is_resolved(lab: Lab, hook):
    hook.begin()
    endpoint = lab.document["endpoints"][0]
    endpoint |= {"alerts": {"errors": RULE}, "alert_webhooks": {"ops": hook.url}}
    lab.write_code("blue", "fail")
    lab.up()
    with Load(lab, sleep_s=0.01, pause_s=0.05, seconds=300) as load:
        until(lambda: listed(lab)["told"], 60)
        kill_the_service(lab)
        assert "fired" in lab.said("alerts")[1]
        assert "alert 'errors' fired at" in lab.said("status")[1]
        found = drift(lab.resources(), lab.target.observe(["lab"]), "lab").resources
        assert {str(one.verdict) for one in found} == {"clean"}
        lab.write_code("blue", "blue")
        lab.up()
        until(lambda: (listed(lab)["state"], listed(lab)["pending"]) == ("resolved", 0), 90)
        kill_the_service(lab)
        load.wait_for(sum(load.results.values()) + 300)
        until(lambda: listed(lab)["state"] == "resolved", 30)
    assert hook.told == ["Fired", "Resolved"]
    [fired, resolved] = hook.got
    assert fired["schemaId"] == "azureMonitorCommonAlertSchema"
    essentials = fired["data"]["essentials"]
    assert (essentials["alertRule"], essentials["severity"]) == ("errors", "Sev1")
    assert essentials["alertId"] == resolved["data"]["essentials"]["alertId"]
    assert fired["text"].startswith(
        "Fired: alert 'errors' (Sev1) of endpoint 'lab/iris': ErrorRate "
    )
    events = lab.said("events", "iris")[1]
    assert ("AlertFired" in events, "AlertResolved" in events) == (True, True)
    assert TOKEN not in everything_written(lab)


def test_a_webhook_that_was_away_hears_of_it_from_the_next_service_too(lab: Lab, hook):
    rule = {"metric": "RequestsPerMinute", "operator": "less_than", "threshold": 1}
    rule |= {"window_s": 15, "webhook": "ops"}
    endpoint = lab.document["endpoints"][0]
    endpoint |= {"alerts": {"idle": rule}, "alert_webhooks": {"ops": hook.url}}
    lab.up()
    until(lambda: listed(lab)["fault"], 60)
    fault = "webhook 'ops' was not told Fired: it is not reached: nothing listens there"
    assert listed(lab)["fault"] == f"{fault}; it is tried again"
    assert f"alert 'idle': {fault}" in " ".join(lab.said("status")[1].split())
    assert "AlertNotDelivered" in lab.said("events", "iris")[1]
    hook.hangs.set()
    hook.begin()
    kill_the_service(lab)
    until(lambda: hook.asked, 60)
    kill_the_service(lab)
    hook.hangs.clear()
    until(lambda: (hook.told, listed(lab)["pending"]) == (["Fired"], 0), 60)
    assert listed(lab)["fault"] == ""
    del endpoint["alerts"], endpoint["alert_webhooks"]
    assert lab.up() == ["update Endpoint 'lab/iris'"]
    assert service(lab) == 0
    assert TOKEN not in everything_written(lab)
