"""What a stop leaves, what is changed meanwhile, and what a start brings back."""

import httpx
import pytest

from inference_provider.observed import Kind, Presence, ResourceId
from tests.local.conftest import ACTOR

pytestmark = pytest.mark.local


def test_after_a_stop_start_brings_everything_back_at_the_same_url(lab):
    lab.up()
    uri, key = lab.uri, lab.key()
    lab.target.stop("lab", ACTOR)
    assert lab.process_ids() == set()
    assert lab.observe(Kind.DEPLOYMENT, "iris/blue").degraded == "1 instance not running"
    lab.target.start("lab", ACTOR)
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).json()["answer"] == "blue"
    assert lab.up() == []


def test_what_is_deleted_while_nothing_runs_starts_nothing(lab):
    lab.up()
    lab.target.stop("lab", ACTOR)
    for kind, name in ((Kind.TRAFFIC, "iris"), (Kind.DEPLOYMENT, "iris/green")):
        lab.target.delete(ResourceId(kind=kind, workspace="lab", name=name), "lab", ACTOR)
        assert lab.observe(kind, name).presence == Presence.ABSENT
    assert lab.process_ids() == set()
    assert lab.observe(Kind.DEPLOYMENT, "iris/blue").degraded == "1 instance not running"
    lab.target.start("lab", ACTOR)
    assert lab.score().json()["error"]["code"] == "NoTraffic"
    assert lab.score(deployment="green").json()["error"]["code"] == "DeploymentNotFound"
    assert lab.score(deployment="blue").json()["answer"] == "blue"


def test_start_ends_when_the_router_sees_its_instances(lab):
    """Envoy asks first when they do not listen yet, and again only a second later."""
    lab.document["deployments"][0]["environment_variables"] = {"START_S": "1.3"}
    lab.up()
    lab.target.stop("lab", ACTOR)
    lab.target.start("lab", ACTOR)
    assert lab.score().status_code == 200


@pytest.mark.parametrize(("remembered", "status"), [(True, 200), (False, 401)])
def test_keys_that_are_gone_at_a_restart_stay_as_far_as_the_router_remembers_them(
    lab, remembered, status
):
    lab.up()
    old, uri, folder = lab.key(), lab.uri, lab.state / "workspaces" / "lab"
    (folder / "keys" / "iris.json").unlink()
    lab.target.stop("lab", ACTOR)
    if not remembered:
        (folder / "router" / "table.json").unlink()
    lab.target.start("lab", ACTOR)
    answer = httpx.post(uri, json={}, headers={"authorization": f"Bearer {old}"}, timeout=10)
    assert answer.status_code == status
    assert lab.up() == ["update Endpoint 'lab/iris'"]
    assert lab.score().status_code == 200
