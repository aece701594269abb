"""A kubeconfig, or a pod's service account -> how a cluster is entered."""

import base64
import json
import ssl
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from inference_provider.errors import TargetError
from inference_provider.targets.kubernetes import kubeconfig
from inference_provider.targets.kubernetes.kubeconfig import access


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return what writes the kubeconfig of this test."""
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path / "none")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))

    def written(user=None, cluster=None, context=None, name="config", **more):
        document = {
            "current-context": "prod",
            "contexts": [
                {"name": "prod", "context": {"cluster": "c", "user": "u", **(context or {})}}
            ],
            "clusters": [
                {"name": "c", "cluster": {"server": "https://c:6443/", **(cluster or {})}}
            ],
            "users": [{"name": "u", "user": {"token": "secret-1", **(user or {})}}],
            **more,
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document))
        return path

    return written


def test_the_current_context_is_used_when_none_is_named(write):
    write(context={"namespace": "team"})
    found = access(None)
    assert (found.name, found.server, found.namespace) == ("prod", "https://c:6443", "team")
    assert found.token() == "secret-1"


def test_all_contexts_are_known_those_of_several_files_once(write, monkeypatch):
    files = [write(), write(contexts=[{"name": n} for n in ("prod", "dev")], name="more")]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    assert access("prod").contexts == ("prod", "dev")


def test_an_unknown_context_is_refused_with_those_that_there_are(write):
    write(contexts=[{"name": "test"}, {"name": "prod"}])
    with pytest.raises(TargetError) as refused:
        access("pord")
    assert str(refused.value) == (
        "use Kubernetes context 'pord': the kubeconfig has no such context; name one of those"
        " that there are: test, prod"
    )


def test_a_context_whose_cluster_is_missing_is_refused(write):
    write(clusters=[])
    with pytest.raises(TargetError, match="has no cluster 'c', which it names"):
        access(None)


def test_without_a_kubeconfig_the_place_that_was_looked_at_is_named(tmp_path, write):
    with pytest.raises(TargetError, match=f"there is no kubeconfig at {tmp_path}/config"):
        access(None)


def test_several_files_are_one_and_the_first_wins(tmp_path, write, monkeypatch):
    first = write(name="first", clusters=[], users=[])
    second = write({"token": "secret-2"}, name="second", **{"current-context": "other"})
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path}/missing:{second}")
    found = access(None)
    assert (found.name, found.token()) == ("prod", "secret-2")


def test_a_broken_kubeconfig_is_never_quoted(write):
    write().write_text("users: [token: secret-1")
    with pytest.raises(TargetError) as refused:
        access(None)
    assert "secret-1" not in str(refused.value)
    assert "cannot be read: ParserError; mend or remove it" in str(refused.value)


def test_a_token_file_is_beside_the_kubeconfig(tmp_path, write):
    (tmp_path / "token").write_text("secret-3\n")
    write({"token": None, "tokenFile": "token"})
    assert access(None).token() == "secret-3"


def test_inside_a_pod_its_service_account_is_used(tmp_path, monkeypatch):
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("secret-4")
    (account / "namespace").write_text("demo")
    (account / "ca.crt").write_text(_CERTIFICATE)
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", account)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    found = access(None)
    assert (found.server, found.namespace) == ("https://[fd00::1]:6443", "demo")
    assert found.token() == "secret-4"


@pytest.fixture
def program(tmp_path):
    """Return a login program that says what it is told, and counts how often it ran."""

    def made(status: dict, code: int = 0, said: str = ""):
        path = tmp_path / "login"
        answer = json.dumps({"kind": "ExecCredential", "status": status})
        path.write_text(
            f'#!/bin/sh\necho ran >> {tmp_path}/runs\necho "$KUBERNETES_EXEC_INFO $REGION" >'
            f" {tmp_path}/told\necho '{said}' >&2\n[ {code} = 0 ] && echo '{answer}'\nexit {code}\n"
        )
        path.chmod(0o755)
        return path

    return made


def _exec(command, version="v1"):
    return {
        "token": None,
        "exec": {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": str(command),
            "env": [{"name": "REGION", "value": "north"}],
        },
    }


def test_a_login_program_is_asked_once_until_its_token_ends(tmp_path, write, program):
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    write(_exec(program({"token": "secret-5", "expirationTimestamp": ends})))
    found = access(None)
    assert [found.token(), found.token()] == ["secret-5", "secret-5"]
    assert (tmp_path / "runs").read_text() == "ran\n"
    told, _, region = (tmp_path / "told").read_text().strip().rpartition(" ")
    assert region == "north"
    assert json.loads(told)["spec"] == {"interactive": False}


def test_a_token_that_has_ended_is_fetched_again(tmp_path, write, program):
    ended = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    write(_exec(program({"token": "secret-5", "expirationTimestamp": ended})))
    found = access(None)
    before = (tmp_path / "runs").read_text().count("ran")
    found.token()
    assert (tmp_path / "runs").read_text().count("ran") == before + 1


@pytest.mark.parametrize("ends", ["soon", "2026-13-45T00:00:00Z", 7])
def test_an_end_of_a_token_that_is_not_a_time_is_refused(write, program, ends):
    write(_exec(program({"token": "secret-5", "expirationTimestamp": ends})))
    said = "the expirationTimestamp of its login program is not a time; mend the program"
    with pytest.raises(TargetError, match=said) as refused:
        access(None)
    assert "secret-5" not in str(refused.value)


def test_a_login_that_fails_is_told_in_its_own_words(write, program):
    write(_exec(program({}, code=3, said="session has ended")))
    with pytest.raises(TargetError, match=r"failed: session has ended; log in again"):
        access(None)


def test_a_login_program_that_is_not_installed_is_named(write):
    write(_exec("/nowhere/kubelogin"))
    with pytest.raises(
        TargetError, match="its login program '/nowhere/kubelogin' is not there; install it"
    ):
        access(None)


def test_what_a_login_program_prints_is_never_quoted(tmp_path, write):
    path = tmp_path / "login"
    path.write_text("#!/bin/sh\necho secret-6\n")
    path.chmod(0o755)
    write(_exec(path))
    with pytest.raises(TargetError) as refused:
        access(None)
    assert "gave no credentials" in str(refused.value)
    assert "secret-6" not in str(refused.value)


@pytest.mark.parametrize("token", ["secret\n6", "secret\0", "s\u00e9cret-6"])
def test_a_token_that_can_be_in_no_header_is_refused_and_never_quoted(write, token):
    write({"token": token})
    with pytest.raises(TargetError) as refused:
        access(None).token()
    assert "its token has characters that no header may have; log in again" in str(refused.value)
    assert "cret" not in str(refused.value)


def test_space_around_a_token_is_none_of_it(write):
    write({"token": " secret-6\n"})
    assert access(None).token() == "secret-6"


def test_an_exec_version_that_is_not_known_is_refused(write, program):
    write(_exec(program({"token": "x"}), version="v1alpha1"))
    with pytest.raises(TargetError, match="v1alpha1' is not supported"):
        access(None)


def test_an_older_auth_provider_is_refused(write):
    write({"auth-provider": {"name": "gcp"}})
    with pytest.raises(TargetError, match="use a login by `exec`"):
        access(None)


def test_the_authority_of_the_cluster_is_trusted_alone(write):
    encoded = base64.b64encode(_CERTIFICATE.encode()).decode()
    write(cluster={"certificate-authority-data": encoded})
    made = access(None).tls
    assert len(made.get_ca_certs()) == 1
    assert made.verify_mode == ssl.CERT_REQUIRED


def test_a_client_certificate_leaves_no_file(tmp_path, write, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    encoded = base64.b64encode(b"no certificate").decode()
    write({"token": None, "client-certificate-data": encoded, "client-key-data": encoded})
    with pytest.raises(TargetError, match="its certificates cannot be read: SSLError"):
        access(None)
    assert list((tmp_path / "temporary").iterdir()) == []


_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUGmWfHeUibdj6jpyQ6LKa0MpUMOEwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDbGFiMCAXDTI2MTEyNjA3MzYyOVoYDzIxMjYxMTAyMDczNjI5
WjAOMQwwCgYDVQQDDANsYWIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASK33OD
MN/EfYcOGVkAlLKIAbpVQn+TmJ+blVIuENtTnpusraIHehttyHgKr+oBWN3NrPXy
DgCCLkcfxepeHw/oo1MwUTAdBgNVHQ4EFgQUaQ8+joulZn5P5Q+ucQGVymJlcMsw
HwYDVR0jBBgwFoAUaQ8+joulZn5P5Q+ucQGVymJlcMswDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiBttxueH5npEbRtroEsaZGmzD6N4rEJHGWSJ0sc
6LI8kwIhALhQK6M/0qCUXfQjptKBnFJusF6XuvZSsgIq1tpLGgZa
-----END CERTIFICATE-----
"""
