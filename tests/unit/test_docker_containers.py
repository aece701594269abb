"""What a container is limited to, what it is called, and how often it ended."""

import pytest

from inference_provider.errors import TargetError
from inference_provider.spec.deployment import Resources
from inference_provider.spec.target import DockerPlace
from inference_provider.targets.docker import names
from inference_provider.targets.docker.amounts import bytes_of, cores, limits
from inference_provider.targets.docker.containers import endings_of
from inference_provider.targets.docker.host import DockerHost


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("512Mi", 536_870_912),
        ("4Gi", 4_294_967_296),
        ("1G", 1_000_000_000),
        ("1.5K", 1500),
        ("7", 7),
    ],
)
def test_memory_is_bytes_by_its_unit(amount, expected):
    assert bytes_of(amount) == expected


def test_a_thousandth_of_a_core_is_written_with_an_m():
    assert (cores("500m"), cores("2"), cores("0.5")) == (0.5, 2.0, 0.5)


def test_limits_come_before_requests_and_memory_gets_no_swap():
    asked = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert limits(Resources.model_validate(asked)) == {
        "nano_cpus": 1_000_000_000,
        "mem_limit": 2_147_483_648,
        "memswap_limit": 2_147_483_648,
    }
    assert limits(Resources()) == {}


def test_names_keep_workspace_endpoint_and_deployment_apart():
    assert names.instance("a-b", "c/d", "5efd", 0) == "inference.a-b.c.d.5efd.0"
    assert names.instance("a", "b-c/d", "5efd", 0) == "inference.a.b-c.d.5efd.0"


def test_every_restart_counts_in_the_minute_of_the_last_one():
    state = {"StartedAt": "2026-11-26T02:10:34.123456789Z"}
    found = endings_of({"RestartCount": 4, "State": state})
    assert (found.total, found.minutes) == (4, {29_927_650: 4})
    assert endings_of({"RestartCount": 0, "State": state}).total == 0
    assert endings_of(None).total == 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("unix:///var/run/docker.sock", ""),
        ("tcp://gpu-1:2376", "gpu-1"),
        ("ssh://ana@gpu-1", "gpu-1"),
    ],
)
def test_a_router_on_all_addresses_is_reached_by_the_name_of_its_host(host, expected):
    assert DockerHost(DockerPlace(kind="docker", host=host)).hostname == expected


def test_a_password_in_docker_host_is_refused_and_not_printed(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://ana:hunter2@gpu-1")
    with pytest.raises(TargetError) as refused:
        DockerHost("docker").containers({})
    assert str(refused.value) == (
        "open the Docker host in $DOCKER_HOST: has a password in it;"
        " use a key, and write ssh://user@host"
    )


def test_tls_without_certificates_names_those_that_are_missing(monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://gpu-1:2376")
    with pytest.raises(TargetError) as refused:
        DockerHost("docker").containers({})
    assert str(refused.value) == (
        f"open Docker host tcp://gpu-1:2376: TLS needs cert.pem, key.pem in {tmp_path};"
        " put them there, or name their folder in DOCKER_CERT_PATH"
    )


@pytest.mark.parametrize("given", ["DOCKER_CONTEXT", "config.json"])
def test_a_context_that_does_not_exist_is_named(monkeypatch, tmp_path, given):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"currentContext": "gone"}')
    if given == "DOCKER_CONTEXT":
        (tmp_path / "config.json").write_text('{"currentContext": "default"}')
        monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(TargetError) as refused:
        DockerHost("docker").containers({})
    assert str(refused.value) == (
        "open Docker context 'gone': it does not exist;"
        " name another one: `docker context ls` lists them"
    )


def test_a_context_without_docker_s_configuration_says_what_to_write(monkeypatch, tmp_path):
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(TargetError) as refused:
        DockerHost(DockerPlace(kind="docker", context="gpu")).containers({})
    assert str(refused.value) == (
        "open Docker context 'gpu': it does not exist;"
        " write {} into ~/.docker/config.json: contexts are looked for beside it"
    )
