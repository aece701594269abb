"""Alerts that the service of a workspace watches in a real cluster, with a real webhook."""

import json
from pathlib import Path

import pytest

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import CONFIG_MAP, DEPLOYMENT
from tests import cluster_host
from tests.cluster.failing import FailingLab
from tests.cluster.loaded import MANY, loaded
from tests.cluster.places import LINK_HERE, ours
from tests.conformance.labs import wait_until
from tests.docker.load import Load
from tests.hook import TOKEN, Hook
from tests.ports import own_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

STATES = "inference-alerts"


@pytest.fixture
def hook():
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("pods of another cluster may not reach this machine")
    made = Hook(own_port(), LINK_HERE)
    made.begin()
    yield made
    made.end()


@pytest.fixture
def lab():
    with loaded("alerts", kind=FailingLab) as made:
        yield made


def blue(lab, **variables: str):
    return lab.deployment("blue", request_settings=MANY, environment_variables=variables)


def told(lab) -> list[str]:
    """Return the events of alerts, by name."""
    found = (one.name for one in lab.target.events(lab.workspace))
    return [name for name in found if name.startswith("Alert")]


def test_a_webhook_hears_once_that_an_alert_fired_though_who_watches_is_killed(lab, api, hook):
    rule = {"metric": "ErrorRate", "threshold": 5, "window_s": 15, "resolve_after_s": 0}
    rules = {"errors": rule | {"webhook": "ops"}}
    space = f"/api/v1/namespaces/{lab.workspace}"
    lab.apply(lab.endpoint(alerts=rules, alert_webhooks={"ops": hook.url}), blue(lab, BAD="1"))
    wait_until(lab.service, 60)
    with Load(lab, 100, limit_s=240) as load:
        wait_until(lambda: hook.told == ["Fired"], 90)
        [pod] = lab.service()
        api.delete(f"{space}/pods/{pod}")
        wait_until(lambda: lab.service() not in ([], [pod]), 60)
        lab.apply(blue(lab, GOOD="1"))
        wait_until(lambda: hook.told == ["Fired", "Resolved"], 90)
    assert {*load.answers} == {200, 424}
    assert hook.got[0]["data"]["essentials"]["alertRule"] == "errors"
    assert told(lab) == ["AlertFired", "AlertResolved"]
    kept = lab.platform.client.get(CONFIG_MAP, lab.workspace, STATES)
    assert TOKEN not in json.dumps(kept)
    lab.apply(lab.endpoint())
    assert lab.platform.client.get(CONFIG_MAP, lab.workspace, STATES) is None
    assert lab.platform.client.get(DEPLOYMENT, lab.workspace, names.SERVICE_NAME) is None


def test_an_alert_by_what_instances_use_fires_where_the_cluster_tells_that(lab, metrics):
    busy = {"metric": "CpuUtilizationPercentage", "threshold": 0, "window_s": 30}
    lab.apply(lab.endpoint(alerts={"busy": busy}), lab.blue(request_settings=MANY))
    wait_until(lab.service, 60)
    with Load(lab, 100, limit_s=240):
        wait_until(lambda: told(lab) == ["AlertFired"], 200)
    states = lab.platform.router(lab.workspace).service.alerts.states()["iris"]["busy"]
    assert states.said.startswith("CpuUtilizationPercentage ")
    lab.apply(lab.endpoint())
