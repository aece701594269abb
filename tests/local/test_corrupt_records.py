"""A half-written record: it alone is unknown, and is set aside only with consent."""

import json

import httpx
import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Presence
from tests.local.conftest import ACTOR, Load

pytestmark = pytest.mark.local

RECORDS = {
    "Workspace.lab": "Workspace 'lab'",
    "Environment.plain:1": "Environment 'lab/plain:1'",
    "Endpoint.iris": "Endpoint 'lab/iris'",
    "Deployment.iris/blue": "Deployment 'lab/iris/blue'",
    "Traffic.iris": "Traffic 'lab/iris'",
}


def spoil(lab, name: str):
    file = name.replace("/", "%2F").replace(":", "%3A")
    path = lab.state / "workspaces" / "lab" / "records" / f"{file}.json"
    path.write_text(path.read_text()[:40])
    return path


def reason(path) -> str:
    return (
        f"read {path}: file is corrupt; restore it, or move it away and apply the stack again to"
        " recreate it"
    )


@pytest.mark.parametrize("name", RECORDS)
def test_only_what_has_a_corrupt_record_is_unknown_and_an_up_recreates_it(lab, name):
    lab.up()
    load = Load(lab, sleep_s=0)
    path = spoil(lab, name)
    code, text = lab.said("drift", "--json")
    report = json.loads(text)
    found = {one["verdict"] for one in report["resources"]}
    assert (code, found) == (1, {"clean", "unreadable"})
    [bad] = [one for one in report["resources"] if one["verdict"] == "unreadable"]
    assert bad["reason"] == reason(path)
    with load:
        load.wait_for(20)
        code, text = lab.said("up")
        assert (code, text.endswith("; pass -y to delete\n")) == (1, True), text
        code, text = lab.said("up", "-y")
        load.wait_for(sum(load.results.values()) + 50)
    assert code == 0, text
    assert f"-/+ {RECORDS[name]}\n      {reason(path)}\n" in text
    assert load.failed == {}
    assert lab.said("drift")[0] == 0
    assert lab.up() == []
    assert len([line for line in lab.processes() if "serve.py" in line]) == 2


@pytest.mark.parametrize("name", RECORDS)
def test_a_down_deletes_what_has_a_corrupt_record_with_the_rest(lab, name):
    lab.up()
    spoil(lab, name)
    code, text = lab.said("down")
    assert (code, "nothing was changed" in text) == (1, True), text
    code, text = lab.said("down", "-y")
    assert code == 0, text
    assert lab.processes() == []
    assert lab.target.workspaces() == ()


def test_where_two_stacks_are_a_corrupt_record_stays_until_a_person_moves_it(lab):
    lab.up()
    mine = dict(lab.document)
    lab.document = {"name": "other", "workspaces": mine["workspaces"]}
    lab.document["endpoints"] = [{"name": "theirs"}]
    lab.resources()
    assert lab.said("up", "-y")[0] == 0
    uri, key = lab.uri, lab.key()
    path = spoil(lab, "Endpoint.iris")
    text = path.read_text()
    refused = (
        "error: change workspace 'lab': the owner of these records is unknown, and stack 'lab'"
        f" uses the workspace too:\n  {reason(path)}\n"
    )
    assert lab.said("drift")[0] == 1
    assert lab.said("up", "-y")[0] == 0  # with nothing to change
    assert lab.said("down", "-y") == (1, refused)
    assert path.read_text() == text
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).json()["answer"] == "blue"


def test_a_corrupt_record_that_is_declared_nowhere_is_deleted_with_consent(lab):
    lab.up()
    lab.document["endpoints"].append({"name": "old"})
    lab.up()
    lab.document["endpoints"].pop()
    lab.resources()
    path = spoil(lab, "Endpoint.old")
    code, text = lab.said("up", "-y")
    assert (code, f"  - Endpoint 'lab/old'\n      {reason(path)}\n" in text) == (0, True), text
    assert lab.said("drift")[0] == 0


def test_a_corrupt_instances_document_is_replaced_by_an_up_and_no_request_fails(lab):
    lab.up()
    path = lab.state / "workspaces" / "lab" / "instances" / "iris%2Fblue.json"
    path.write_text(path.read_text()[:20])
    seen = lab.observe(Kind.DEPLOYMENT, "iris/blue")
    assert (seen.presence, seen.degraded) == (Presence.PRESENT, reason(path))
    lab.document["endpoints"].append({"name": "another"})  # a change of something else works
    with Load(lab, sleep_s=0.01) as load:
        load.wait_for(20)
        assert lab.up() == ["create Endpoint 'lab/another'", "update Deployment 'lab/iris/blue'"]
        load.wait_for(sum(load.results.values()) + 50)
    assert load.failed == {}
    assert lab.up() == []
    assert len([line for line in lab.processes() if "serve.py" in line]) == 2


def test_a_start_brings_back_a_deployment_whose_instances_document_is_corrupt(lab):
    lab.up()
    uri, key = lab.uri, lab.key()
    lab.target.stop("lab", ACTOR)
    path = lab.state / "workspaces" / "lab" / "instances" / "iris%2Fblue.json"
    path.write_text("{")
    lab.target.start("lab", ACTOR)
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(uri, json={}, headers=headers).json()["answer"] == "blue"
    lab.down()
    assert lab.processes() == []


def test_a_corrupt_record_of_the_workspace_opens_its_router_to_nobody_else(lab):
    allowed = {"public_network_access": "disabled", "allowed_source_ranges": ["192.0.2.7"]}
    lab.document["workspaces"][0].update(allowed)
    lab.up()
    assert lab.score().status_code == 403
    path = spoil(lab, "Workspace.lab")
    lab.document["endpoints"].append({"name": "another"})
    lab.resources()
    another = next(one for one in lab.plan().pending if one.id.name == "another").desired
    with pytest.raises(TargetError, match="file is corrupt"):
        lab.target.apply(another, ACTOR)
    assert lab.score().status_code == 403
    assert path.exists()
