"""Where keys and values of variables never are."""

import hashlib

import psutil
import pytest

from inference_provider.observed import Kind
from inference_provider.secret_stores.opened import open_store
from tests.local.server.model import until

pytestmark = pytest.mark.local


def test_keys_are_in_no_log_and_no_command_line_and_files_are_private(lab):
    lab.document["deployments"][0]["environment_variables"] = {"GREETING": "a-hidden-word"}
    lab.up()
    assert lab.score().json()["greeting"] == "a-hidden-word"
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in lab.process_ids()]
    shown = "\n".join([lab.log(), *lines, lab.target.observe(["lab"]).model_dump_json()])
    assert "a-hidden-word" not in shown
    assert lab.key() not in shown
    for path in (lab.state / "workspaces").rglob("*.json"):
        assert path.stat().st_mode & 0o077 == 0, path


FIRST, SECOND = "first-hidden-word-4711", "second-hidden-word-4712"


def connect(lab, monkeypatch, secret):
    """Declare a connection whose credential a variable of this process has, and what asks it."""
    monkeypatch.setenv("HUB_KEY", secret)
    lab.document["connections"] = [
        {"name": "hub", "category": "api_key", "credentials": {"key": "${env:HUB_KEY}"}}
    ]
    lab.document["role_assignments"] = [
        {"name": "reads", "principal": "endpoints/iris", "role": "Connection Secrets Reader"}
    ]
    reference = "${{azureml://connections/hub/credentials/key}}"
    lab.document["deployments"][0]["environment_variables"] = {"GREETING": reference}


def shown(lab):
    """Return every text that a person or a program may come upon, by where it is."""
    folder = lab.state
    found = {
        str(path.relative_to(folder)): path.read_bytes().decode(errors="replace")
        for path in folder.rglob("*")
        if path.is_file()
    }
    lines = (one.info["cmdline"] or () for one in psutil.process_iter(["cmdline"]))
    found["command lines"] = "\n".join(" ".join(line) for line in lines)
    for command in ("plan", "drift", "status", "logs", "up", "drift --json", "status --json"):
        words = [*command.split(), *(["iris/blue"] if command == "logs" else [])]
        found[f"inferctl {command}"] = lab.said(*words, *(["-y"] if command == "up" else []))[1]
    admin = lab.target.local.router("lab").envoy.admin
    found["config dump"] = admin.get("/config_dump?include_eds").text
    return found


def holding(texts, secret):
    digest = hashlib.sha256(secret.encode()).hexdigest()[:16]
    return [name for name, text in texts.items() if secret in text or digest in text]


def test_the_secret_of_a_connection_is_in_nothing_but_the_instance(lab, monkeypatch):
    connect(lab, monkeypatch, FIRST)
    lab.up()
    texts = shown(lab)
    assert lab.score().json()["greeting"] == FIRST
    assert {"workspaces/lab/credentials/hub.json", "workspaces/lab/store_key/key.json"} <= set(
        texts
    )
    assert holding(texts, FIRST) == []
    assert FIRST not in lab.target.observe(["lab"]).model_dump_json()
    connect(lab, monkeypatch, SECOND)
    before = lab.score().json()["pid"]
    assert lab.up() == ["update Connection 'lab/hub'"]
    after = lab.score().json()
    assert (after["greeting"], after["pid"] != before) == (SECOND, True)
    texts = shown(lab)
    assert [holding(texts, secret) for secret in (FIRST, SECOND)] == [[], []]
    lab.down()
    left = [path for path in lab.state.rglob("*") if "credentials" in str(path)]
    assert [path for path in left if path.is_file()] == []


def test_a_changed_secret_is_told_as_drift_without_its_value(lab, monkeypatch):
    connect(lab, monkeypatch, FIRST)
    lab.up()
    monkeypatch.setenv("HUB_KEY", SECOND)
    code, said = lab.said("drift")
    assert (code, "credentials.key" in said) == (2, True)
    assert holding({"drift": said, "plan": lab.said("plan")[1]}, FIRST) == []
    assert holding({"drift": said, "plan": lab.said("plan")[1]}, SECOND) == []


def test_a_server_that_prints_its_secret_and_ends_is_quoted_without_it(lab, monkeypatch):
    connect(lab, monkeypatch, FIRST)
    serve = lab.folder / "code" / "blue" / "serve.py"
    serve.write_text("import os\nraise SystemExit('no ' + os.environ['GREETING'] + ' taken')\n")
    code, said = lab.said("up", "-y") if lab.resources() else (0, "")
    assert code == 1
    assert "no [secret] taken" in said
    assert holding({"said": said}, FIRST) == []


def test_an_instance_starts_again_after_its_workspace_moved_to_another_store(lab, monkeypatch):
    lab.target.open_store = open_store
    connect(lab, monkeypatch, FIRST)
    lab.up()
    before = lab.score().json()["pid"]
    lab.document["workspaces"][0]["secret_store"] = {"kind": "environment"}
    moved = {"name": "hub", "category": "api_key", "stored_credentials": {"key": "HUB_KEY"}}
    lab.document["connections"] = [moved]
    lab.up()
    assert lab.score().json()["pid"] == before
    psutil.Process(before).kill()
    until(lambda: lab.score().status_code == 200 and lab.score().json()["pid"] != before)
    assert lab.score().json()["greeting"] == FIRST
    assert holding(shown(lab), FIRST) == []


def test_what_another_store_has_is_in_no_file_and_an_instance_starts_again_with_it(
    lab, monkeypatch
):
    lab.target.open_store = open_store
    connect(lab, monkeypatch, FIRST)
    lab.document["workspaces"][0]["secret_store"] = {"kind": "environment"}
    stored = {"name": "hub", "category": "api_key", "stored_credentials": {"key": "HUB_KEY"}}
    lab.document["connections"] = [stored]
    lab.up()
    before = lab.score().json()
    assert before["greeting"] == FIRST
    monkeypatch.delenv("HUB_KEY")
    psutil.Process(before["pid"]).kill()
    until(lambda: lab.score().status_code == 200 and lab.score().json()["pid"] != before["pid"])
    assert lab.score().json()["greeting"] == FIRST
    monkeypatch.setenv("HUB_KEY", FIRST)
    assert holding(shown(lab), FIRST) == []


def test_an_instance_whose_connection_is_lost_does_not_start_and_its_log_names_it(lab, monkeypatch):
    connect(lab, monkeypatch, FIRST)
    lab.up()
    (lab.state / "workspaces" / "lab" / "store_key" / "key.json").unlink()
    psutil.Process(lab.score().json()["pid"]).kill()
    said = "SecretsInjectionError: set GREETING: the secrets of connection 'hub' cannot be read"
    until(lambda: said in lab.log())
    assert lab.observe(Kind.CONNECTION, "hub").degraded == "its credentials are gone"
    assert "update Connection 'lab/hub'" in lab.up()
    until(lambda: lab.score().status_code == 200)
    assert lab.score().json()["greeting"] == FIRST
