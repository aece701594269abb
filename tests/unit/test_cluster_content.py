"""The content of a workspace in a cluster: an API server in memory before a real content server."""

import hashlib
import os
import ssl
import threading
import time
import tracemalloc
from pathlib import Path

import httpx
import pytest
from tests.cluster_api import ClusterApi, failure
from tests.memory import record

from inference_provider.desired import DesiredResource, identify
from inference_provider.errors import OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.files.digest import with_content_hash
from inference_provider.files.source_folder import SourceFolder
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, WorkspaceSpec
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.targets.kubernetes.content_manifests import ContentService
from inference_provider.targets.kubernetes.content_server import Server
from inference_provider.targets.kubernetes.content_store import ContentStore
from inference_provider.targets.kubernetes.kubeconfig import Access
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.ports import Unit
from inference_provider.workspace.state import State

PROXY = "/api/v1/namespaces/lab/services/http:inference-content:8080/proxy"
SECRETS = "/api/v1/namespaces/lab/secrets"


class ThroughApi(httpx.BaseTransport):
    """What an API server does: its own objects, and a way to the content server."""

    def __init__(self, api: ClusterApi, server: Server) -> None:
        self.asked: list[str] = []
        self.refuse = lambda _asked: None
        self._objects = httpx.MockTransport(api.answer)
        self._server = server
        self._http = httpx.HTTPTransport()

    def handle_request(self, request):
        path = request.url.raw_path.decode()
        if not path.startswith(PROXY):
            return self._objects.handle_request(request)
        path = path.removeprefix(PROXY)
        self.asked.append(f"{request.method} {path[:20]}")
        refused = self.refuse(request)
        if refused is not None:
            return refused
        place = {"scheme": "http", "host": "127.0.0.1", "port": self._server.server_port}
        request.url = request.url.copy_with(**place, raw_path=path.encode())
        return self._http.handle_request(request)

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def server(tmp_path):
    (tmp_path / "volume").mkdir()
    with Server(tmp_path / "volume", "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def api():
    return ClusterApi()


@pytest.fixture
def cluster(api, server):
    return ThroughApi(api, server)


@pytest.fixture
def client(cluster):
    access = Access("lab", "https://lab", "", ssl.create_default_context(), lambda: "token")
    made = Client(access, transport=cluster)
    yield made
    made.close()


@pytest.fixture
def records():
    made = MemoryRecords("default")
    spec = WorkspaceSpec(base_image="debian-python:12", runtime_image="runtime:1")
    State(made).put_record(record(Kind.WORKSPACE, spec))
    return made


@pytest.fixture
def content(client, records):
    store = ContentStore(client, "lab", "demo", sleep=lambda _seconds: None)
    return KubernetesContent(client, "lab", records, store)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "w.bin").write_bytes(b"w" * 3_000_000)
    return hashed(ModelSpec(name="iris", path="iris"), tmp_path)


def hashed(spec, folder):
    return with_content_hash(spec, SourceFolder(Path(folder)))


def keep(content, spec, folder, said=None):
    kind = Kind.MODEL if isinstance(spec, ModelSpec) else Kind.ENVIRONMENT
    content.keep(desired(kind, spec, folder), (said if said is not None else []).append)


def desired(kind, spec, folder):
    id_ = identify(kind, spec)
    return DesiredResource(id=id_, spec=spec, owner="demo", base_dir=str(folder))


def age(tmp_path, seconds=8000.0):
    for one in (tmp_path / "volume/assets").iterdir():
        os.utime(one, (time.time() - seconds,) * 2)


def archives_in(tmp_path):
    return {one.name for one in (tmp_path / "volume/assets").iterdir()}


def pinned(model):
    return f"iris:1@sha256:{model.content_hash}"


def unit(model=None, environment=None, code=None, folder=None):
    environment = environment or EnvironmentSpec(name="env", content_hash="e" * 64)
    spec = DeploymentSpec(
        endpoint="iris",
        name="blue",
        environment=f"azureml:env:1@sha256:{environment.content_hash}",
        model=pinned(model) if model else None,
        code_configuration=code,
    )
    id_ = identify(Kind.DEPLOYMENT, spec)
    base_dir = str(folder) if folder else None
    return Unit(id_, "5efdeb203621", spec, environment, base_dir)


def test_a_model_is_copied_once_and_looked_for_then(content, cluster, model, tmp_path):
    said: list[str] = []
    keep(content, model, tmp_path, said)
    assert said == ["copying iris to the cluster"]
    [name] = archives_in(tmp_path)
    kept = (tmp_path / "volume/assets" / name).read_bytes()
    assert hashlib.sha256(kept).hexdigest() == name
    assert cluster.asked == [f"HEAD /assets/{name[:12]}", f"PUT /assets/{name[:12]}"]
    keep(content, model, tmp_path, said)
    assert len(said) == 1
    assert cluster.asked[2:] == [f"HEAD /assets/{name[:12]}"]
    assert content.holds(Kind.MODEL, pinned(model))


def token_secret(token: str) -> dict:
    made = ContentService("default", "lab", "runtime:1", token).objects()
    return next(one for one in made if one["kind"] == "Secret")


def test_a_client_shows_the_token_of_its_workspace_and_reads_it_again_when_it_is_refused(
    content, api, server, model, tmp_path
):
    secret = token_secret("former")
    api.put(f"{SECRETS}/inference-content", secret)
    server.token = "former"
    keep(content, model, tmp_path)
    server.token = "token"
    with pytest.raises(TargetError, match="answers 403: only a client of this workspace may"):
        content.prune([])
    secret = token_secret("token")
    api.put(f"{SECRETS}/inference-content", secret)
    content.prune([])
    assert f"{SECRETS}/inference-content" in api.objects


def test_a_model_that_another_client_copied_and_did_not_record_is_not_copied_again(
    content, records, cluster, model, tmp_path
):
    keep(content, model, tmp_path)
    records.drop("content", f"model.{model.content_hash[:32]}")
    assert not content.holds(Kind.MODEL, pinned(model))
    keep(content, model, tmp_path)
    assert [one[:4] for one in cluster.asked].count("PUT ") == 1
    assert content.holds(Kind.MODEL, pinned(model))


def test_no_whole_model_is_in_memory(content, tmp_path):
    (tmp_path / "big.bin").write_bytes(bytes(64 * 2**20))
    model = hashed(ModelSpec(name="big", path="big.bin"), tmp_path)
    tracemalloc.start()
    keep(content, model, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * 2**20


def test_a_model_that_changed_since_the_plan_is_refused(content, model, tmp_path):
    (tmp_path / "iris" / "w.bin").write_bytes(b"W" * 3_000_000)
    with pytest.raises(TargetError, match="it changed while it was applied; run this again"):
        keep(content, model, tmp_path)
    assert archives_in(tmp_path) == set()


def test_a_model_that_changes_while_it_is_sent_is_refused(content, cluster, model, tmp_path):
    def change(asked):
        if asked.method == "PUT":
            (tmp_path / "iris" / "w.bin").write_bytes(b"W" * 3_000_000)

    cluster.refuse = change
    with pytest.raises(TargetError, match="it changed while it was applied; run this again"):
        keep(content, model, tmp_path)
    assert archives_in(tmp_path) == set()


def test_a_file_that_cannot_be_read_is_named(content, model, tmp_path, monkeypatch):
    def denied(*_given, **_more):
        raise PermissionError(13, "Permission denied", "iris/w.bin")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(TargetError) as refused:
        keep(content, model, tmp_path)
    assert str(refused.value) == (
        "copy 'iris': cannot read 'iris/w.bin': Permission denied; make it readable for this user"
    )


@pytest.mark.parametrize("times", [1, 5])
def test_a_pod_that_starts_or_moves_is_waited_for(content, cluster, model, tmp_path, times):
    left = {"HEAD": times, "PUT": times}

    def silent(asked):
        if left[asked.method]:
            left[asked.method] -= 1
            return failure(503, 'no endpoints available for service "inference-content"')
        return None

    cluster.refuse = silent
    keep(content, model, tmp_path)
    assert len(archives_in(tmp_path)) == 1


def test_a_pod_that_does_not_come_is_named(content, cluster, model, tmp_path):
    cluster.refuse = lambda _asked: failure(503, "no endpoints available")
    with pytest.raises(TargetUnreachable):
        keep(content, model, tmp_path)
    cluster.asked.clear()
    found = content.fault(record(Kind.MODEL, model))
    assert found == "its kept content is gone: it was never copied to the end"


def test_an_observation_of_many_models_asks_a_silent_pod_once(content, cluster, model, tmp_path):
    keep(content, model, tmp_path)
    cluster.refuse = lambda _asked: failure(503, "no endpoints available")
    cluster.asked.clear()
    faults = {content.fault(record(Kind.MODEL, model)) for _ in range(20)}
    assert faults == {
        "its kept content is not known: what keeps content is not ready: it does not run"
    }
    assert cluster.asked == ["GET /assets", "GET /assets"]


def test_a_full_volume_is_out_of_capacity(content, cluster, model, tmp_path):
    def full(asked):
        text = "the content volume has 1 bytes left of 2\n"
        return httpx.Response(507, text=text) if asked.method == "PUT" else None

    cluster.refuse = full
    with pytest.raises(OutOfCapacity) as refused:
        keep(content, model, tmp_path)
    assert str(refused.value).endswith(
        "the content volume has 1 bytes left of 2; enlarge the claim, or delete models that are no"
        " longer needed"
    )


def test_content_that_is_gone_is_a_fault_and_is_copied_again(content, cluster, model, tmp_path):
    keep(content, model, tmp_path)
    found = record(Kind.MODEL, model)
    assert content.fault(found) == ""
    for one in (tmp_path / "volume/assets").iterdir():
        one.unlink()
    time.sleep(0.6)  # a list counts as new for half a second
    fault = "its kept content is gone: it is no longer on the content volume"
    assert content.fault(found) == fault
    with pytest.raises(TargetError, match="apply the model before the deployment"):
        content.assets(unit(model))
    keep(content, model, tmp_path)
    assert content.fault(found) == ""
    [name] = archives_in(tmp_path)
    assert content.assets(unit(model)) == {"model": name}


def test_twenty_models_are_observed_by_one_question(content, cluster, model, tmp_path):
    keep(content, model, tmp_path)
    cluster.asked.clear()
    for _ in range(20):
        assert content.fault(record(Kind.MODEL, model)) == ""
    assert cluster.asked == ["GET /assets"]


def test_code_is_copied_with_its_instances_where_it_is_gone(content, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text("def init(): pass")
    spec = DeploymentSpec(
        endpoint="iris", name="blue", environment="env:1",
        code_configuration={"code": "code", "scoring_script": "score.py"},
    )  # fmt: skip
    code = hashed(spec, tmp_path).code_configuration
    found = content.assets(unit(code=code, folder=tmp_path))
    assert set(found) == {"code"}
    assert archives_in(tmp_path) == {found["code"]}
    assert content.assets(unit(code=code)) == found  # the source is not needed then
    (tmp_path / "volume/assets" / found["code"]).unlink()
    with pytest.raises(TargetError, match="its source is not known here"):
        content.assets(unit(code=code))


def test_code_that_is_gone_is_a_fault_of_its_deployment(content, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text("def init(): pass")
    blue = hashed(
        DeploymentSpec(
            endpoint="iris", name="blue", environment="env:1",
            code_configuration={"code": "code", "scoring_script": "score.py"},
        ),
        tmp_path,
    )  # fmt: skip
    found = record(Kind.DEPLOYMENT, blue)
    assert content.fault(found) == "its kept code is gone: it was never copied to the end"
    content.keep(desired(Kind.DEPLOYMENT, blue, tmp_path), lambda _text: None)
    assert content.fault(found) == ""
    plain = record(Kind.DEPLOYMENT, blue.model_copy(update={"code_configuration": None}))
    assert content.fault(plain) == ""


def test_what_is_recorded_of_an_environment_is_all_that_is_kept_of_it(content, tmp_path):
    spec = EnvironmentSpec(name="env", image="triton:24", content_hash="e" * 64)
    found = record(Kind.ENVIRONMENT, spec)
    assert content.fault(found) == "what it is built from is gone"
    assert not content.holds(Kind.ENVIRONMENT, f"env:1@sha256:{'e' * 64}")
    keep(content, spec, tmp_path)
    assert content.fault(found) == ""
    assert content.holds(Kind.ENVIRONMENT, f"env:1@sha256:{'e' * 64}")
    assert content.environment(f"env:1@sha256:{'e' * 64}") == spec
    given = content.given(unit(environment=spec))
    assert (given.image, given.init_containers) == ("triton:24", ())


# -- what goes -----------------------------------------------------------------------------------


def test_a_model_goes_with_its_record_unless_another_version_has_the_same_files(
    content, records, model, tmp_path
):
    keep(content, model, tmp_path)
    State(records).put_record(record(Kind.MODEL, model.model_copy(update={"version": "2"})))
    content.drop(record(Kind.MODEL, model))
    assert len(archives_in(tmp_path)) == 1
    records.drop("records", "Model.iris:2")
    content.drop(record(Kind.MODEL, model))
    assert archives_in(tmp_path) == set()
    assert not content.holds(Kind.MODEL, pinned(model))


def test_an_archive_goes_only_with_the_last_content_that_is_in_it(content, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text("def init(): pass")
    spec = DeploymentSpec(
        endpoint="iris", name="blue", environment="env:1",
        code_configuration={"code": "code", "scoring_script": "score.py"},
    )  # fmt: skip
    code = hashed(spec, tmp_path).code_configuration
    model = hashed(ModelSpec(name="score", path="code/score.py"), tmp_path)
    keep(content, model, tmp_path)
    assert content.assets(unit(code=code, folder=tmp_path))["code"] in archives_in(tmp_path)
    assert len(archives_in(tmp_path)) == 1
    content.drop(record(Kind.MODEL, model))
    assert len(archives_in(tmp_path)) == 1


def test_what_nothing_references_goes_two_hours_after_its_last_use(content, model, tmp_path):
    keep(content, model, tmp_path)
    age(tmp_path, 7000)
    content.prune([])
    assert len(archives_in(tmp_path)) == 1
    age(tmp_path)
    content.prune([pinned(model)])
    assert len(archives_in(tmp_path)) == 1
    content.prune([])
    assert archives_in(tmp_path) == set()
    assert not content.holds(Kind.MODEL, pinned(model))


def test_content_that_somebody_begins_to_use_while_it_is_pruned_stays(
    content, cluster, model, tmp_path
):
    keep(content, model, tmp_path)
    age(tmp_path)

    def use(asked):
        if asked.method == "DELETE":
            os.utime(next((tmp_path / "volume/assets").iterdir()))

    cluster.refuse = use
    content.prune([])
    assert len(archives_in(tmp_path)) == 1
    assert content.holds(Kind.MODEL, pinned(model))


def test_content_that_somebody_copies_again_while_it_is_pruned_stays(  # noqa: PLR0917
    content, client, cluster, records, model, tmp_path
):
    keep(content, model, tmp_path)
    age(tmp_path)
    other = KubernetesContent(client, "lab", records)
    seen = []

    def copy_again(asked):
        if asked.method == "GET" and not archives_in(tmp_path) and not seen:
            seen.append(asked)
            keep(other, model, tmp_path)

    cluster.refuse = copy_again
    content.prune([])
    assert len(archives_in(tmp_path)) == 1
    assert content.holds(Kind.MODEL, pinned(model))


def test_an_archive_that_a_killed_client_did_not_record_goes_too(content, server, tmp_path):
    server.folder.receive(hashlib.sha256(b"x").hexdigest(), [b"x"])
    age(tmp_path)
    content.prune([])
    assert archives_in(tmp_path) == set()


def test_what_was_lost_with_a_volume_and_is_not_referenced_is_forgotten(
    content, records, server, model, tmp_path
):
    keep(content, model, tmp_path)
    digest = hashlib.sha256(b"venv").hexdigest()
    server.folder.receive(digest, [b"venv"])
    server.folder.name(f"{'e' * 64}.{'1' * 16}", digest)
    for one in (tmp_path / "volume/assets").iterdir():
        one.unlink()
    content.prune([pinned(model)])
    assert [*records.section("content")] == [f"model.{model.content_hash[:32]}"]
    content.prune([])
    assert [*records.section("content")] == []
    assert server.folder.listed()["environments"] == {}


# -- environments --------------------------------------------------------------------------------

WITH_PASSWORD = "six @ https://ann:hunter2@127.0.0.1/six-1-py3-none-any.whl"


@pytest.fixture
def environment():
    return EnvironmentSpec(name="env", dependencies=(WITH_PASSWORD,), content_hash="e" * 64)


def test_an_environment_is_built_in_its_pods_and_no_secret_is_in_them(
    content, api, environment, tmp_path, monkeypatch
):
    monkeypatch.setenv("UV_INDEX_URL", "https://ann:hunter3@pypi.example.org/simple")
    keep(content, environment, tmp_path)
    given = content.given(unit(environment=environment))
    assert given.image == "debian-python:12"
    assert [one["name"] for one in given.init_containers] == ["storage-initializer", "environment"]
    assert [one["image"] for one in given.init_containers] == ["runtime:1", "debian-python:12"]
    assert "hunter" not in repr(given)
    [secret] = [one for path, one in api.objects.items() if path.startswith(SECRETS)]
    [source] = given.init_containers[1]["envFrom"]
    assert source == {"secretRef": {"name": secret["metadata"]["name"]}}
    assert set(secret["data"]) >= {"INFERENCE_REQUIREMENTS", "UV_INDEX_URL"}


def test_the_image_of_an_environment_stays_when_the_base_image_of_its_workspace_changes(
    content, records, environment, tmp_path
):
    keep(content, environment, tmp_path)
    spec = WorkspaceSpec(base_image="debian-python:13", runtime_image="runtime:1")
    State(records).put_record(record(Kind.WORKSPACE, spec))
    assert content.image(environment) == "debian-python:12"
    keep(content, environment, tmp_path)
    assert content.image(environment) == "debian-python:13"


def test_what_an_environment_was_built_of_goes_when_neither_record_nor_pod_names_it(  # noqa: PLR0917
    content, api, records, server, environment, tmp_path
):
    keep(content, environment, tmp_path)
    State(records).put_record(record(Kind.ENVIRONMENT, environment))
    given = content.given(unit(environment=environment))
    [secret] = [path for path in api.objects if path.startswith(SECRETS)]
    command = given.init_containers[1]["command"]
    name = f"{command[command.index('--key') + 1]}.{'1' * 16}"
    digest = hashlib.sha256(b"venv").hexdigest()
    server.folder.receive(digest, [b"venv"])
    server.folder.name(name, digest)
    age(tmp_path)
    content.prune([])
    assert secret in api.objects
    assert archives_in(tmp_path) == {digest}
    path = "/apis/apps/v1/namespaces/lab/deployments/iris-blue"
    pods = {"spec": {"initContainers": list(given.init_containers)}}
    labels = {"pulumi-inference/workspace": "default", "pulumi-inference/role": "instance"}
    about = {"name": "iris-blue", "namespace": "lab", "labels": labels}
    api.put(path, {"metadata": about, "spec": {"template": pods}})
    content.drop(record(Kind.ENVIRONMENT, environment))
    records.drop("records", "Environment.env:1")
    records.drop("content", f"environment.{'e' * 32}")
    content.prune([])
    assert secret in api.objects
    assert archives_in(tmp_path) == {digest}
    api.drop(path)
    age(tmp_path)
    content.prune([])
    assert secret not in api.objects
    assert archives_in(tmp_path) == set()
    assert server.folder.listed()["environments"] == {}
