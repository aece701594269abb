"""TLS of a whole workspace on this machine: made, scored, changed, lost and found."""

import ssl
import stat
import subprocess

import httpx
import pytest

from inference_provider.drift import drift
from inference_provider.observed import Kind, ResourceId
from tests.local.conftest import ACTOR
from tests.local.server.certificates import caller_of, generated

pytestmark = pytest.mark.local
WORKSPACE = ResourceId(kind=Kind.WORKSPACE, workspace="lab", name="lab")


def ca(lab) -> str:
    return lab.observe(Kind.WORKSPACE, "lab").outputs["ca_certificate"]


def answers(lab, trusted: str) -> int:
    context = ssl.create_default_context(cadata=trusted)
    headers = {"authorization": f"Bearer {lab.key()}"}
    return httpx.post(lab.uri, json={}, headers=headers, verify=context, timeout=10).status_code


def with_tls(lab, **tls: object) -> None:
    lab.document["deployments"] = lab.document["deployments"][:1]
    lab.document["traffic"] = [{"endpoint": "iris", "traffic": {"blue": 100}}]
    lab.document["workspaces"][0]["tls"] = tls


def test_a_workspace_with_a_generated_certificate_is_scored_by_curl_and_by_inferctl(lab):
    with_tls(lab, generate=True)
    lab.up()
    assert lab.uri.startswith("https://127.0.0.1:")
    path = lab.folder / "ca.pem"
    path.write_text(ca(lab))
    curl = ["curl", "-sS", "--cacert", str(path), "-H", f"Authorization: Bearer {lab.key()}"]
    done = subprocess.run(
        [*curl, lab.uri, "-d", "{}"], capture_output=True, text=True, timeout=20, check=True
    )
    assert '"answer"' in done.stdout
    (lab.folder / "body.json").write_text("{}")
    status, said = lab.said("score", "iris", "--data", "body.json")
    assert (status, '"answer"' in said) == (0, True), said
    assert lab.up() == []
    assert drift(lab.resources(), lab.target.observe(["lab"]), "lab").exit_code == 0
    keys = [one for one in (lab.state / "workspaces").rglob("*") if _has_a_key(one)]
    assert {(one.name, stat.S_IMODE(one.stat().st_mode)) for one in keys} == {
        ("router.json", 0o600),
        ("sds.json", 0o600),
        ("table.json", 0o600),
    }


def _has_a_key(path) -> bool:
    return path.is_file() and "PRIVATE KEY" in path.read_text(errors="replace")


def test_other_names_and_a_restart_keep_the_authority_and_tls_goes_as_it_came(lab):
    with_tls(lab, generate=True)
    lab.up()
    first = ca(lab)
    lab.document["workspaces"][0]["tls"] = {"generate": True, "names": ["gpu-1.example.org"]}
    assert lab.up() == ["update Workspace 'lab'"]
    assert ca(lab) == first
    assert answers(lab, first) == 200
    lab.target.stop("lab", ACTOR)
    lab.target.start("lab", ACTOR)
    assert answers(lab, first) == 200
    del lab.document["workspaces"][0]["tls"]
    assert lab.up() == ["update Workspace 'lab'"]
    assert lab.uri.startswith("http://")
    assert lab.score().status_code == 200
    assert not (lab.state / "workspaces" / "lab" / "tls" / "router.json").exists()


def test_a_certificate_of_one_s_own_comes_from_files_and_the_environment(lab, monkeypatch):
    own = generated()
    (lab.folder / "server.pem").write_text(own.tls.certificate)
    monkeypatch.setenv("ROUTER_KEY", own.tls.private_key.get_secret_value())
    with_tls(lab, certificate="${file:server.pem}", private_key="${env:ROUTER_KEY}")
    lab.up()
    assert answers(lab, own.trusted) == 200
    assert "ca_certificate" not in lab.observe(Kind.WORKSPACE, "lab").outputs
    secret = own.tls.private_key.get_secret_value().splitlines()[1]
    observed = lab.target.observe(["lab"]).model_dump_json()
    assert secret not in observed
    assert secret not in str(lab.plan())
    assert secret not in lab.log()
    other = generated(own, names=["b.example.org"])
    (lab.folder / "server.pem").write_text(other.tls.certificate)
    monkeypatch.setenv("ROUTER_KEY", other.tls.private_key.get_secret_value())
    assert lab.up() == ["update Workspace 'lab'"]
    assert answers(lab, own.trusted) == 200


def test_a_lost_certificate_is_told_and_written_again_and_never_means_plain_http(lab):
    with_tls(lab, generate=True)
    lab.up()
    (lab.state / "workspaces" / "lab" / "tls" / "router.json").unlink()
    lab.use_state(lab.state)
    assert "its certificate is gone" in lab.observe(Kind.WORKSPACE, "lab").degraded
    assert lab.uri.startswith("https://")
    assert lab.up() == ["update Workspace 'lab'"]
    assert answers(lab, ca(lab)) == 200


def test_a_caller_shows_a_certificate_where_an_authority_of_callers_is_named(lab):
    known, other = generated(), generated()
    with_tls(lab, generate=True, client_ca=known.trusted)
    lab.up()
    for name, kept in (("known", known), ("other", other)):
        whole = caller_of(kept, lab.folder / f"{name}.pem").read_text()
        certificate, _, key = whole.partition("-----BEGIN PRIVATE")
        (lab.folder / f"{name}.crt").write_text(certificate)
        (lab.folder / f"{name}.key").write_text(f"-----BEGIN PRIVATE{key}")
    (lab.folder / "body.json").write_text("{}")
    asked = ("score", "iris", "--data", "body.json")

    status, said = lab.said(*asked, "--client-certificate", "known.pem")
    assert (status, '"answer"' in said) == (0, True), said
    both = ("--client-certificate", "known.crt", "--client-key", "known.key")
    assert lab.said(*asked, *both)[0] == 0
    status, said = lab.said(*asked, "--client-certificate", "other.pem")
    assert status == 1
    assert "as it does with a certificate that no authority of tls.client_ca signed" in said
    refused = {
        (): "missing; the workspace asks callers for one",
        ("--client-certificate", "known.crt"): "'known.crt' holds no certificate with its private",
        ("--client-certificate", "gone.pem"): "cannot read 'gone.pem': No such file or directory",
    }
    for arguments, expected in refused.items():
        status, said = lab.said(*asked, *arguments)
        assert (status, expected in said) == (1, True), said
