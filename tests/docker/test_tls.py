"""A Docker host by TCP with TLS: an Engine of its own, without a network, and real certificates."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inference_provider.errors import TargetUnreachable
from inference_provider.spec.target import DockerPlace, Place
from inference_provider.targets.docker.conversation import Command
from inference_provider.targets.docker.host import DockerHost
from tests.conformance.labs import wait_until
from tests.docker.engine import OwnEngine
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker
URL = "tcp://127.0.0.1:2376"
PLACE = DockerPlace(kind="docker", host=URL)
MISSING = [
    program
    for program in ("docker", "dockerd", "openssl", "ip", "nsenter")
    if not shutil.which(program)
]


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
    """Return the folder of the certificates, and an Engine that asks for them."""
    if os.geteuid() or MISSING:
        pytest.skip(f"needs root and {', '.join(MISSING) or 'nothing else'}")
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder)
    options = ["-H", URL, "--tlsverify", f"--tlscacert={folder}/ca.pem"]
    options += [f"--tlscert={folder}/server.pem", f"--tlskey={folder}/server-key.pem"]
    started = OwnEngine(*options)
    yield folder, started
    started.close()


@pytest.fixture(scope="module")
def stocked(engine, host):
    """The same Engine, once it has an image with Python."""
    engine[1].take(host, [BASE_IMAGE])


@pytest.fixture
def client(engine, tmp_path, monkeypatch):
    """Return the Engine, and a folder with a client's certificates, named in the environment."""
    folder, started = engine
    for source, name in (("ca", "ca"), ("client", "cert"), ("client-key", "key")):
        shutil.copy(folder / f"{source}.pem", tmp_path / f"{name}.pem")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    return started, tmp_path


def containers(engine: OwnEngine, place: Place) -> list:
    host = DockerHost(place)
    try:
        return engine.within(lambda: host.containers({}))
    finally:
        host.close()


def refused(engine: OwnEngine) -> str:
    with pytest.raises(TargetUnreachable) as told:
        containers(engine, PLACE)
    return str(told.value)


def test_a_host_that_a_stack_names_is_asked_with_the_certificates_of_the_environment(client):
    assert containers(client[0], PLACE) == []


def test_docker_host_is_asked_with_them_too(client, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", URL)
    assert containers(client[0], "docker") == []


def asked_twice(engine: OwnEngine, code: str, limit_s: float, left: int) -> list[bytes]:
    """Ask a command; wait until so many of it run, and until none does once the host is closed."""
    near, far = DockerHost(engine.place), DockerHost(PLACE)

    def ran() -> list[bytes]:
        config = near.api.create_host_config(network_mode="none")
        made = near.api.create_container(BASE_IMAGE, ["sleep", "60"], host_config=config)["Id"]
        near.api.start(made)
        try:
            command = Command(made, ("python3", "-u", "-c", code))
            said = [far.ask(command, line, limit_s, again=True) for line in (b"one\n", b"two\n")]
            wait_until(lambda: len(near.api.top(made)["Processes"]) == 1 + left)
            far.close()
            wait_until(lambda: len(near.api.top(made)["Processes"]) == 1)
            return said
        finally:
            near.remove(made)
            near.close()
            far.close()

    return engine.within(ran)


def test_a_command_is_asked_again_and_whole_answers_come_back(stocked, client):
    code = "import sys\nfor line in sys.stdin: print(line.strip() * 200_000)"
    answers = [b"one" * 200_000 + b"\n", b"two" * 200_000 + b"\n"]
    assert asked_twice(client[0], code, 20, left=1) == answers


def test_a_command_that_waits_for_an_end_of_its_input_is_given_up_and_ends(stocked, client):
    code = "import sys; print(sys.stdin.read())"  # by TLS no end comes
    assert asked_twice(client[0], code, 1, left=0) == [b"nothing within 1 s"] * 2


def test_an_engine_of_another_ca_is_refused(client, tmp_path):
    started, folder = client
    (tmp_path / "other").mkdir()
    certificates(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "ca.pem", folder / "ca.pem")
    said = refused(started)
    assert said.startswith(f"open Docker host {URL}: ")
    assert "certificate verify failed" in said


def test_a_client_of_another_ca_is_refused(client, tmp_path):
    started, folder = client
    (tmp_path / "other").mkdir()
    certificates(tmp_path / "other")
    for source, name in (("client", "cert"), ("client-key", "key")):
        shutil.copy(tmp_path / "other" / f"{source}.pem", folder / f"{name}.pem")
    assert refused(started).startswith(f"open Docker host {URL}: ")


def test_an_engine_that_wants_tls_refuses_a_client_without_it(client, monkeypatch):
    monkeypatch.delenv("DOCKER_TLS_VERIFY")
    monkeypatch.delenv("DOCKER_CERT_PATH")
    assert refused(client[0]) == (
        f"open Docker host {URL}: Client sent an HTTP request to an HTTPS server.;"
        " set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the certificates' folder"
    )


def test_a_context_brings_its_own_certificates(client, tmp_path, monkeypatch):
    started, folder = client
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text("{}")
    paths = ",".join(f"{name}={folder}/{name}.pem" for name in ("ca", "cert", "key"))
    create = ["docker", "context", "create", "gpu", "--docker", f"host={URL},{paths}"]
    subprocess.run(create, check=True, capture_output=True)
    assert containers(started, DockerPlace(kind="docker", context="gpu")) == []
