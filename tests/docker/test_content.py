"""Models and code in volumes: whole or not at all, seen by every client, gone once unnamed."""

import errno
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from inference_provider.desired import DesiredResource, identify, reference
from inference_provider.errors import TargetError
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.observed import Actor, Kind, Record
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec
from inference_provider.targets.docker import names
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.kept_content import Source
from inference_provider.workspace.ports import Unit
from tests.docker_host import BASE_IMAGE

pytestmark = pytest.mark.docker

ENVIRONMENT = EnvironmentSpec(name="env", content_hash="e" * 64)


def desired(kind, spec, folder):
    hashed = with_content_hash(spec, SourceFolder(folder))
    return DesiredResource(
        id=identify(kind, hashed), spec=hashed, owner="demo", base_dir=str(folder)
    )


@pytest.fixture
def model(tmp_path):
    """A model of one folder, with a folder in it and a program."""
    (tmp_path / "iris" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "iris" / "deep" / "er" / "w.bin").write_bytes(b"w" * 3_000_000)
    (tmp_path / "iris" / "run.sh").write_text("echo ran")
    (tmp_path / "iris" / "run.sh").chmod(0o700)
    return desired(Kind.MODEL, ModelSpec(name="iris", path="iris"), tmp_path)


@pytest.fixture
def deployment(tmp_path, model):
    """A deployment of that model, with code whose file has a name that no old tar can hold."""
    (tmp_path / "code" / ("é" * 120)).mkdir(parents=True)
    (tmp_path / "code" / ("é" * 120) / "score.py").write_text("print('scored')")
    spec = DeploymentSpec(
        endpoint="iris",
        name="blue",
        model=str(reference(model.spec)),
        environment="env:1",
        code_configuration={"code": "code", "scoring_script": "score.py"},
    )
    return desired(Kind.DEPLOYMENT, spec, tmp_path)


def unit(deployment):
    return Unit(deployment.id, "g1", deployment.spec, ENVIRONMENT, deployment.base_dir)


def record(desired):
    return Record(
        id=desired.id,
        owner="demo",
        properties=desired.properties,
        actor=Actor(user="ann"),
        time=datetime.now(UTC),
    )


def volumes(host, records):
    return sorted(host.volumes(names.selecting(records.workspace, names.CONTENT)))


def keep(content, *wanted):
    told = []
    for one in wanted:
        content.keep(one, told.append)
    return told


def volume_of(records, kind, digest):
    return f"inference.{records.workspace}.{kind}.{digest[:32]}"


def test_an_instance_reads_its_model_and_code_where_it_is_told(content, run, model, deployment):
    assert keep(content, model, deployment) == [
        "copying iris to the host",
        "copying code to the host",
    ]
    code, weights = content.mounts(unit(deployment))
    assert code.endswith(":/var/azureml/code:ro")
    assert weights.endswith(":/var/azureml/model:ro")
    script = (
        "cd /var/azureml; wc -c < model/content/iris/deep/er/w.bin; model/content/iris/run.sh;"
        " python3 code/content/*/score.py; stat -c '%a %u' model/content code/content/*"
    )
    said = run(BASE_IMAGE, "sh", "-c", script, binds=(code, weights))
    assert said == (0, "3000000\nran\nscored\n755 0\n755 0\n")


def test_what_is_kept_is_not_copied_again_by_any_client(content, host, records, images, model):
    keep(content, model)
    another = DockerContent(host, HostRecords(host, records.workspace), images)
    assert keep(another, model) == []
    assert another.holds(Kind.MODEL, str(reference(model.spec)))
    assert not another.holds(Kind.MODEL, "iris:1@sha256:" + "0" * 64)


def test_clients_that_keep_the_same_at_once_copy_it_once(host, records, images, model):
    told = []
    clients = [DockerContent(host, HostRecords(host, records.workspace), images) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda client: client.keep(model, told.append), clients))
    assert told == ["copying iris to the host"]
    clients[0].volumes.delete()


def test_a_file_that_may_not_be_read_is_named(content, host, records, model, tmp_path):
    def denied():
        raise PermissionError(errno.EACCES, "Permission denied", "iris/run.sh")

    source = Source(denied, model.spec.content_hash, "iris")
    with pytest.raises(TargetError) as caught:
        content.volumes._fill("model", source)
    assert str(caught.value) == (
        "copy 'iris': cannot read 'iris/run.sh': Permission denied; make it readable for this user"
    )
    assert volumes(host, records) == []


def test_content_that_changed_since_the_plan_is_refused_and_nothing_stays(
    content, host, records, model, tmp_path
):
    (tmp_path / "iris" / "run.sh").write_text("echo other")
    with pytest.raises(TargetError, match="copy 'iris': it changed while it was applied; run this"):
        keep(content, model)
    assert volumes(host, records) == []
    assert host.containers(names.selecting(records.workspace, names.CONTENT)) == []


def test_content_that_is_gone_is_named_and_nothing_stays(content, host, records, model, tmp_path):
    (tmp_path / "iris").rename(tmp_path / "moved")
    with pytest.raises(TargetError, match="copy 'iris': it no longer exists; put it back"):
        keep(content, model)
    assert volumes(host, records) == []


def test_what_a_killed_client_left_counts_for_nothing(content, host, records, model):
    volume = volume_of(records, "model", model.spec.content_hash)
    labels = names.labels(records.workspace, names.CONTENT)
    host.api.create_volume(volume, labels=labels)
    bound = host.api.create_host_config(binds=[f"{volume}:/volume"])
    host.api.create_container(
        "inference-empty:1", ["-"], name=f"{volume}.filling", labels=labels, host_config=bound
    )
    assert not content.holds(Kind.MODEL, str(reference(model.spec)))
    assert keep(content, model) == ["copying iris to the host"]
    assert content.holds(Kind.MODEL, str(reference(model.spec)))
    assert host.container(f"{volume}.filling") is None


def test_a_volume_that_a_person_removed_is_named_and_comes_back(
    content, host, records, model, deployment
):
    keep(content, model, deployment)
    assert content.fault(record(model)) == ""
    assert content.fault(record(deployment)) == ""
    for volume in volumes(host, records):
        host.remove_volume(volume)
    again = DockerContent(host, records, None)
    gone = volume_of(records, "model", model.spec.content_hash)
    assert again.fault(record(model)) == f"its kept content is gone: volume {gone} was removed"
    gone = volume_of(records, "code", deployment.spec.code_configuration.content_hash)
    assert again.fault(record(deployment)) == f"its kept code is gone: volume {gone} was removed"
    with pytest.raises(TargetError, match="find model 'iris:1': its content"):
        again.mounts(unit(deployment))
    keep(again, model, deployment)
    assert again.fault(record(model)) == ""
    assert len(again.mounts(unit(deployment))) == 2


def test_content_that_nothing_names_goes_and_what_is_named_stays(
    content, host, records, model, deployment
):
    keep(content, model, deployment)
    code = deployment.spec.code_configuration.content_hash
    content.volumes.prune([code])  # all of it was kept a moment ago
    assert len(volumes(host, records)) == 2
    content.volumes.prune([code], age_s=0)
    assert volumes(host, records) == [volume_of(records, "code", code)]
    assert not content.holds(Kind.MODEL, str(reference(model.spec)))
    content.volumes.prune([], age_s=0)
    assert volumes(host, records) == []


def test_content_that_a_container_has_stays_whole(content, host, records, model):
    keep(content, model)
    volume = volume_of(records, "model", model.spec.content_hash)
    bound = host.api.create_host_config(binds=[f"{volume}:/volume"])
    used = host.api.create_container("inference-empty:1", ["-"], host_config=bound)["Id"]
    try:
        content.volumes.prune([], age_s=0)
        content.drop(record(model))
        assert content.holds(Kind.MODEL, str(reference(model.spec)))
    finally:
        host.remove(used)
    content.drop(record(model))
    assert volumes(host, records) == []


def test_nothing_of_a_workspace_stays_when_its_content_is_deleted(
    content, host, records, model, deployment
):
    keep(content, model, deployment)
    content.volumes.delete()
    assert volumes(host, records) == []


def test_an_environment_whose_image_was_removed_is_named_and_made_again(
    content, host, records, tmp_path
):
    image = f"test-brought:{records.workspace}"
    host.api.tag(BASE_IMAGE, *image.split(":"))
    environment = desired(Kind.ENVIRONMENT, EnvironmentSpec(name="env", image=image), tmp_path)
    keep(content, environment)
    pinned = str(reference(environment.spec))
    assert content.environment(pinned) == environment.spec
    assert content.environment(pinned) is content.environment(pinned)
    assert content.holds(Kind.ENVIRONMENT, pinned)
    assert content.fault(record(environment)) == ""
    assert content.image(environment.spec) == host.image(BASE_IMAGE)["Id"]
    host.api.remove_image(image)
    digest = environment.spec.content_hash
    name = f"environment.{digest[:32]}"
    text = records.read("content", name).decode()
    records.put("content", name, text.replace(host.image(BASE_IMAGE)["Id"], "sha256:" + "0" * 64))
    assert content.fault(record(environment)) == "its image sha256:000000000000 was removed"
    with pytest.raises(TargetError, match="the host does not have it, and cannot pull it"):
        content.image(environment.spec)
    host.api.tag(BASE_IMAGE, *image.split(":"))
    assert content.image(environment.spec) == host.image(BASE_IMAGE)["Id"]
    assert content.fault(record(environment)) == ""
    host.api.remove_image(image)


def test_an_environment_that_is_not_kept_says_what_to_apply(content):
    with pytest.raises(TargetError) as caught:
        content.environment("env:1@sha256:" + "0" * 64)
    assert str(caught.value) == (
        "find environment 'env:1': its content 000000000000 is not in the workspace;"
        " apply the environment before the deployment"
    )
