"""Documents of a workspace that are gone or spoiled: what serves goes on, an up repairs."""

import shutil

import pytest

from inference_provider.observed import Kind, Presence
from tests.local.conftest import ACTOR

pytestmark = pytest.mark.local


@pytest.mark.parametrize("content", [None, "", "{", '{"primary": "x"}'])
def test_keys_that_are_gone_or_spoiled_lock_nobody_out_and_an_up_makes_new_ones(lab, content):
    lab.up()
    old = lab.key()
    keys = lab.state / "workspaces" / "lab" / "keys" / "iris.json"
    keys.unlink()
    if content is not None:
        keys.write_text(content)
    lab.document["deployments"][0]["request_settings"] = {"request_timeout_ms": 4000}
    blue = next(r for r in lab.resources() if r.id.name == "iris/blue")
    lab.target.apply(blue, ACTOR)
    assert lab.score(key=old).status_code == 200
    assert lab.observe(Kind.ENDPOINT, "iris").degraded == "its keys are gone"
    assert lab.up() == ["update Endpoint 'lab/iris'"]
    assert (lab.key() != old, lab.score().status_code) == (True, 200)


@pytest.mark.parametrize("content", [None, "{"])
def test_a_blueprint_that_is_gone_or_spoiled_stops_only_a_start_of_its_deployment(lab, content):
    lab.up()
    blueprint = lab.state / "workspaces" / "lab" / "blueprints" / "iris%2Fblue.json"
    blueprint.unlink()
    if content is not None:
        blueprint.write_text(content)
    lab.target.stop("lab", ACTOR)
    said = []
    lab.target.start("lab", ACTOR, lambda id_, told: said.append((id_.name, told)))
    assert ("iris/blue", "not started: its blueprint is gone; apply the stack again") in said
    assert ("iris/green", "1 instance admitted by the router") in said
    lab.write_code("blue", "new")
    assert lab.up() == ["update Deployment 'lab/iris/blue'"]
    assert lab.score().json()["answer"] == "new"


def test_instances_whose_documents_were_lost_are_replaced(lab):
    lab.up()
    shutil.rmtree(lab.state / "workspaces" / "lab" / "instances")
    lab.up()
    assert lab.score().json()["answer"] == "blue"
    running = [line for line in lab.processes() if "serve.py" in line]
    assert len(running) == 2


def test_a_deployment_whose_instances_document_was_lost_goes_with_its_processes(lab):
    lab.up()
    shutil.rmtree(lab.state / "workspaces" / "lab" / "instances")
    lab.down()
    assert lab.processes() == []


def test_a_workspace_whose_address_a_power_cut_emptied_comes_back_and_goes(lab):
    lab.up()
    (lab.state / "workspaces" / "lab" / "workspace.json").write_text("")
    assert lab.observe(Kind.WORKSPACE, "lab").presence == Presence.ABSENT
    lab.up()
    assert lab.score().json()["answer"] == "blue"
