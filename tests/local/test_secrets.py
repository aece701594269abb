"""Where keys and values of variables never are."""

import hashlib
import re

import httpx
import psutil
import pytest

from inference_provider.observed import Kind
from inference_provider.secret_stores.opened import open_store
from tests.local.conftest import ACTOR
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


OWN, GIVEN, WRONG = (f"{n}-hidden-word-4713" for n in ("own", "given", "wrong"))


def with_every_secret(lab, monkeypatch):
    """Declare one of each kind of secret: keys, a connection's, a variable, TLS, signing keys."""
    connect(lab, monkeypatch, FIRST)
    for name, value in (("OWN_KEY", OWN), ("GIVEN_VALUE", GIVEN)):
        monkeypatch.setenv(name, value)
    lab.document["workspaces"][0]["tls"] = {"generate": True}
    keys = {"primary": "${env:OWN_KEY}"}
    lab.document["endpoints"] = [
        {"name": "iris", "keys": keys},
        {"name": "talk", "auth_mode": "aml_token"},
    ]
    lab.document["deployments"][0]["environment_variables"]["GIVEN"] = "${env:GIVEN_VALUE}"


def lines_of_private_keys(path):
    """Return one line of each private key of a document, which stands in no certificate."""
    return re.findall(r"PRIVATE KEY-----\\\\?n([\w+/=]{20,})", path.read_text())


def call(lab, credential, endpoint="iris"):
    uri = lab.uri.replace("/iris/", f"/{endpoint}/")
    sent = {"authorization": f"Bearer {credential}"}
    return httpx.post(uri, json={}, headers=sent, verify=False, timeout=10).status_code


def test_no_secret_of_any_kind_is_anywhere_but_where_it_is_kept(lab, monkeypatch):
    with_every_secret(lab, monkeypatch)
    lab.up()
    tokens = [lab.said("token", "talk")[1].strip() for _ in range(2)]
    generated = lab.key("secondary")
    sent = [(OWN, "iris"), (generated, "iris"), (WRONG, "iris"), (tokens[0], "talk")]
    assert [call(lab, *one) for one in sent] == [200, 200, 401, 404]  # nothing is behind talk
    lab.target.rotate_key(lab.observe(Kind.ENDPOINT, "iris").id, "secondary", ACTOR)
    rotated = lab.key("secondary")
    lab.target.local.router("lab").envoy.admin.post("/reopen_logs")
    folder = lab.state / "workspaces" / "lab"
    [signing] = lines_of_private_keys(folder / "signing" / "talk.json")
    of_router, of_authority = lines_of_private_keys(folder / "tls" / "router.json")
    texts = shown(lab)
    for command in ("journal --json", "outputs"):
        texts[f"inferctl {command}"] = lab.said(*command.split())[1]
    for process in map(psutil.Process, lab.process_ids()):
        if "serve.py" not in " ".join(process.cmdline()):  # an instance has its own variables
            texts[f"environment of {process.name()}"] = str(process.environ())
    keys = {"keys/iris.json", "router/rds/rds.json", "router/table.json"}
    kept = {
        OWN: keys,
        rotated: keys,
        generated: set(),
        WRONG: set(),
        FIRST: set(),
        GIVEN: {"blueprints/iris%2Fblue.json", *started(folder)},
        **{token: set() for token in tokens},
        signing: {"signing/talk.json"},
        of_router: {"tls/router.json", "router/sds/sds.json", "router/table.json"},
        of_authority: {"tls/router.json"},
    }
    found = {
        secret: {name.removeprefix("workspaces/lab/") for name in texts if secret in texts[name]}
        for secret in kept
    }
    assert found == kept


def started(folder):
    """Return the orders of blue's instances, which hold its variables."""
    found = (folder / "supervisor" / "launch").glob("iris.blue.*")
    return {str(path.relative_to(folder)) for path in found}
