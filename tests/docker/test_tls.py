"""A Docker host by TCP with TLS: an Engine of its own, without a network, and real certificates."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker.host import DockerHost

pytestmark = pytest.mark.docker
MISSING = [program for program in ("docker", "dockerd", "openssl") if not shutil.which(program)]


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> None:
    """Make a CA, and a certificate of it for the Engine and for a client."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca = ("-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=lab", "-days", "1")
    openssl(folder, "req", "-x509", *key, *ca)
    for name in ("server", "client"):
        asked = ("-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(folder, "req", *key, *asked)
        (folder / "more").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "1")
        files = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "more")
        openssl(folder, "x509", "-req", *signed, *files)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Return the folder of the certificates, and the port of an Engine that asks for them."""
    if MISSING or os.geteuid():
        pytest.skip(f"needs root, dockerd and openssl; there is no {' and no '.join(MISSING)}")
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["dockerd", "--bridge=none", "--iptables=false", "--ip-forward=false"]
    command += [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"-p={folder}/pid"]
    command += ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={folder}/ca.pem"]
    command += [f"--tlscert={folder}/server.pem", f"--tlskey={folder}/server-key.pem"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as daemon:
        wait_for(port, daemon, folder / "log")
        yield folder, port
        daemon.terminate()


def wait_for(port: int, daemon: subprocess.Popen, log: Path) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert daemon.poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def client(engine, tmp_path, monkeypatch):
    """Return the address, and a folder with a client's certificates, named in the environment."""
    folder, port = engine
    for source, name in (("ca", "ca"), ("client", "cert"), ("client-key", "key")):
        shutil.copy(folder / f"{source}.pem", tmp_path / f"{name}.pem")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    return f"tcp://127.0.0.1:{port}", tmp_path


def refused(url: str) -> str:
    host = DockerHost(DockerPlace(kind="docker", host=url))
    with pytest.raises(TargetUnreachable) as told:
        host.containers({})
    host.close()
    return str(told.value)


def test_a_host_that_a_stack_names_is_asked_with_the_certificates_of_the_environment(client):
    url, _folder = client
    host = DockerHost(DockerPlace(kind="docker", host=url))
    assert host.containers({}) == []
    host.close()


def test_docker_host_is_asked_with_them_too(client, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", client[0])
    host = DockerHost("docker")
    assert host.containers({}) == []
    assert str(host) == f"Docker host {client[0]}"
    host.close()


def test_an_engine_of_another_ca_is_refused(client, tmp_path):
    url, folder = client
    (tmp_path / "other").mkdir()
    certificates(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "ca.pem", folder / "ca.pem")
    said = refused(url)
    assert said.startswith(f"open Docker host {url}: ")
    assert "certificate verify failed" in said


def test_a_client_of_another_ca_is_refused(client, tmp_path):
    url, folder = client
    (tmp_path / "other").mkdir()
    certificates(tmp_path / "other")
    for source, name in (("client", "cert"), ("client-key", "key")):
        shutil.copy(tmp_path / "other" / f"{source}.pem", folder / f"{name}.pem")
    assert refused(url).startswith(f"open Docker host {url}: ")


def test_an_engine_that_wants_tls_refuses_a_client_without_it(client, monkeypatch):
    monkeypatch.delenv("DOCKER_TLS_VERIFY")
    monkeypatch.delenv("DOCKER_CERT_PATH")
    assert refused(client[0]) == (
        f"open Docker host {client[0]}: Client sent an HTTP request to an HTTPS server.;"
        " set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the certificates' folder"
    )


def test_a_context_brings_its_own_certificates(client, tmp_path, monkeypatch):
    url, folder = client
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text("{}")
    paths = ",".join(f"{name}={folder}/{name}.pem" for name in ("ca", "cert", "key"))
    create = ["docker", "context", "create", "gpu", "--docker", f"host={url},{paths}"]
    subprocess.run(create, check=True, capture_output=True)
    host = DockerHost(DockerPlace(kind="docker", context="gpu"))
    assert host.containers({}) == []
    host.close()
