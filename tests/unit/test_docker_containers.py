"""What a container is limited to, what it is called, and how often it ended."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.spec.amounts import bytes_of, cores
from inference_provider.spec.resources import Resources
from inference_provider.spec.target import DockerPlace, Place
from inference_provider.targets.docker import names
from inference_provider.targets.docker.amounts import limits, refused
from inference_provider.targets.docker.containers import altered, endings_of
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.network import free_addresses


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
    assert limits(Resources.model_validate(asked), 2) == {
        "nano_cpus": 1_000_000_000,
        "mem_limit": 2_147_483_648,
        "memswap_limit": 2_147_483_648,
    }
    assert limits(Resources(), 2) == {}
    more = {"shm_size": "0.5", "ulimits": {"nofile": 65536, "core": {"soft": 0, "hard": -1}}}
    assert limits(Resources.model_validate(more), 2) == {
        "shm_size": 1,  # the Engine reads 0 as 64 MiB
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": -1},
            {"Name": "nofile", "Soft": 65536, "Hard": 65536},
        ],
    }
    many = Resources.model_validate({"limits": {"cpu": "64"}})
    assert limits(many, 2) == {"nano_cpus": 2_000_000_000}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"limits": {"cpu": "10m", "memory": "6Mi"}}, []),
        ({"limits": {"cpu": "1"}, "requests": {"cpu": "5m"}}, []),
        (
            {"limits": {"cpu": "5m"}, "requests": {"memory": "5Mi"}},
            [
                "resources.limits.cpu: 5m, and a Docker Engine limits to 10m or more;"
                " ask for at least 10m",
                "resources.requests.memory: 5Mi, and a Docker Engine limits to 6Mi or more;"
                " ask for at least 6Mi",
            ],
        ),
        ({"limits": {"memory": "2Gi"}, "shm_size": "2g"}, []),
        (
            {"requests": {"memory": "1Gi"}, "shm_size": "2g"},
            [
                "resources.shm_size: 2Gi, which is counted as memory, and resources.requests.memory"
                " is 1Gi: an instance would be killed before it has filled it; ask for less, or for"
                " more memory"
            ],
        ),
    ],
)
def test_what_an_engine_does_not_take_or_keep_is_told_where_it_is_asked(asked, told):
    assert [str(fault) for fault in refused(Resources.model_validate(asked))] == told


@pytest.mark.parametrize(
    "amounts",
    [
        {"cpu": "0"},
        {"cpu": "0.0"},
        {"cpu": "0m"},
        {"memory": "0"},
        {"memory": "0Mi"},
        {"memory": "-1Gi"},
        {"memory": 0},
        {"cpu": 0.0},
    ],
)
def test_nothing_is_no_amount(amounts):
    with pytest.raises(ValidationError) as caught:
        Resources.model_validate({"limits": amounts})
    assert "expected more than 0; leave it out for no limit" in str(caught.value)


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
        ("tcp://[fe80::1]:2376", "fe80::1"),
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


def contexts(folder, *names):
    """Write contexts as `docker context create` does."""
    for name in names:
        about = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        about.mkdir(parents=True)
        host = {"docker": {"Host": f"ssh://{name}", "SkipTLSVerify": False}}
        meta = {"Name": name, "Metadata": {}, "Endpoints": host}
        (about / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("target", "of `target`"),
        ("DOCKER_CONTEXT", "in $DOCKER_CONTEXT"),
        ("config.json", "that Docker's configuration calls current"),
    ],
)
def test_a_context_that_does_not_exist_is_told_which_there_are(
    monkeypatch, tmp_path, given, called
):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    current = "gone" if given == "config.json" else "default"
    (tmp_path / "config.json").write_text(f'{{"currentContext": "{current}"}}')
    if given == "DOCKER_CONTEXT":
        monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    contexts(tmp_path, "gpu-2", "gpu-1")
    place: Place = DockerPlace(kind="docker", context="gone") if given == "target" else "docker"
    with pytest.raises(TargetError) as refused:
        DockerHost(place).containers({})
    assert str(refused.value) == (
        f"open Docker context 'gone' {called}: it does not exist;"
        " name one of those that there are: default, gpu-1, gpu-2"
    )


@pytest.mark.parametrize("there", [True, False])
def test_contexts_without_docker_s_configuration_say_what_to_write(monkeypatch, tmp_path, there):
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # where the library looks for contexts then
    if there:
        contexts(tmp_path / ".docker", "gpu")
    with pytest.raises(TargetError) as refused:
        DockerHost(DockerPlace(kind="docker", context="gpu")).containers({})
    written = f"write {{}} into {tmp_path}/.docker/config.json: contexts are looked for beside it"
    other = "name one of those that there are: default"
    assert str(refused.value) == (
        f"open Docker context 'gpu' of `target`: it does not exist; {written if there else other}"
    )


def test_a_corrupt_context_does_not_hide_which_one_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    contexts(tmp_path, "gpu")
    for number, text in enumerate(("{", "{}", "[]")):
        (tmp_path / "contexts" / "meta" / str(number)).mkdir()
        (tmp_path / "contexts" / "meta" / str(number) / "meta.json").write_text(text)
    with pytest.raises(TargetError) as refused:
        DockerHost(DockerPlace(kind="docker", context="gone")).containers({})
    assert str(refused.value) == (
        "open Docker context 'gone' of `target`: it does not exist;"
        " name one of those that there are: default, gpu"
    )


def inspected(**host_config):
    """What the Engine says of an instance as it was made."""
    made = {
        names.NAME: "inference.lab.iris.blue.5efd.0",
        names.ADDRESS: "172.18.0.2",
        names.LIMITS: '{"mem_limit": 1073741824, "memswap_limit": 1073741824}',
    }
    limits = {"Memory": 2**30, "MemorySwap": 2**30, "NanoCpus": 0, "PidsLimit": None}
    return {
        "Name": "/inference.lab.iris.blue.5efd.0",
        "Config": {"Labels": made},
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped"},
            "NetworkMode": "inference.lab",
            **limits,
            **host_config,
        },
        "NetworkSettings": {
            "Networks": {"inference.lab": {"IPAMConfig": {"IPv4Address": "172.18.0.2"}}}
        },
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param({"PidsLimit": -1}, "", id="-1 means unlimited"),
        pytest.param(
            {"RestartPolicy": {"Name": "no"}},
            "restart policy 'no', made with 'unless-stopped'",
            id="restart policy",
        ),
        pytest.param(
            {"Memory": 2**29, "MemorySwap": 2**29},
            "memory limit 512 MiB, made with 1024 MiB",
            id="memory, told once",
        ),
        pytest.param({"NanoCpus": 5 * 10**8}, "cpu limit 0.5, made with none", id="cpu"),
        pytest.param({"CpusetCpus": "0-1"}, "cpus 0-1, made with none", id="cpus"),
    ],
)
def test_what_docker_update_changed_is_told_with_what_it_was(change, told):
    assert altered(inspected(**change)) == told


def test_a_limit_of_0_is_the_none_that_the_engine_says():
    container = inspected(NanoCpus=0, Memory=0, MemorySwap=0)
    container["Config"]["Labels"][names.LIMITS] = (
        '{"nano_cpus": 0, "mem_limit": 0, "memswap_limit": 0}'
    )
    assert altered(container) == ""


def test_another_name_is_told():
    container = inspected() | {"Name": "/mine"}
    assert altered(container) == "renamed to 'mine'"


@pytest.mark.parametrize(
    ("there", "told"),
    [
        pytest.param({}, "in no network, not in network 'inference.lab'", id="none"),
        pytest.param(
            {"inference.lab": {}, "bridge": {}},
            "in 'bridge', 'inference.lab', not in network 'inference.lab'",
            id="one more",
        ),
        pytest.param(
            {"inference.lab": {"IPAMConfig": None}},
            "no longer at its address 172.18.0.2",
            id="connected again",
        ),
    ],
)
def test_another_network_is_told(there, told):
    container = inspected() | {"NetworkSettings": {"Networks": there}}
    assert altered(container) == told


def test_a_network_other_than_the_one_that_is_wanted_now_is_told():
    told = "in 'inference.lab', not in network 'inference.lab.closed'"
    assert altered(inspected(), "inference.lab.closed") == told


def test_what_an_older_version_made_is_not_called_changed():
    container = inspected(NanoCpus=1)
    container["Config"]["Labels"] = {names.ADDRESS: "172.18.0.2"}
    assert altered(container) == ""


def test_addresses_used_last_come_last_and_too_few_are_told():
    network = {
        "Name": "inference.lab",
        "IPAM": {"Config": [{"Subnet": "10.0.0.0/29", "Gateway": "10.0.0.1"}]},
    }
    assert free_addresses(network, {"10.0.0.3"}, 3) == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
    assert free_addresses(network, {"10.0.0.5"}, 2) == ["10.0.0.6", "10.0.0.2"]
    with pytest.raises(OutOfCapacity) as few:
        free_addresses(network, {"10.0.0.2"}, 9)
    assert str(few.value) == (
        "use network inference.lab: it has 4 free addresses in 10.0.0.0/29, 9 are needed;"
        " ask for fewer instances"
    )
