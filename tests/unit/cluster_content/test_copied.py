"""Models and code are copied into a cluster once, whole, by a pod that is waited for."""

import hashlib
import time
import tracemalloc
from pathlib import Path

import httpx
import pytest
from tests.cluster_api import failure
from tests.memory import record
from tests.unit.cluster_content.kept import (
    SECRETS,
    archives_in,
    code_in,
    desired,
    hashed,
    keep,
    pinned,
    unit,
)

from inference_provider.errors import OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.targets.kubernetes.content_manifests import ContentService


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
        content.archives.prune([], [])
    secret = token_secret("token")
    api.put(f"{SECRETS}/inference-content", secret)
    content.archives.prune([], [])
    content.prune([])
    assert f"{SECRETS}/inference-content" in api.objects


def test_a_token_that_is_recorded_is_read_of_no_secret(client, api, records, server):
    records.put("address", "content", "token")
    server.token = "token"
    KubernetesContent(client, "lab", records).archives.prune([], [])
    assert [one for one in api.requests if "secrets" in one] == []


def test_a_token_that_somebody_has_emptied_is_said_to_be_refused(
    content, api, server, model, tmp_path
):
    keep(content, model, tmp_path)
    server.token = "token"
    api.put(f"{SECRETS}/inference-content", {**token_secret("x"), "data": None})
    told = content.fault(record(Kind.MODEL, model))
    assert told == (
        "its kept content is not known: it answers 403: only a client of this workspace may do that"
    )


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


def test_a_pod_that_answers_again_is_looked_at_again_at_once(content, cluster, model, tmp_path):
    keep(content, model, tmp_path)
    cluster.refuse = lambda _asked: failure(503, "no endpoints available")
    assert content.fault(record(Kind.MODEL, model)).startswith("its kept content is not known")
    cluster.refuse = lambda _asked: None
    keep(content, model, tmp_path)
    assert content.fault(record(Kind.MODEL, model)) == ""


def test_a_full_volume_is_out_of_capacity(content, cluster, model, tmp_path):
    def full(asked):
        text = "the content volume has 1 bytes left of 2\n"
        return httpx.Response(507, text=text) if asked.method == "PUT" else None

    cluster.refuse = full
    with pytest.raises(OutOfCapacity) as refused:
        keep(content, model, tmp_path)
    assert str(refused.value).endswith(
        "the content volume has 1 bytes left of 2; enlarge it, or delete models that are no"
        " longer needed"
    )


def test_a_bucket_that_cannot_be_used_is_told_whatever_was_asked(content, cluster, model, tmp_path):
    text = "there is no bucket of s3://models/demo: NoSuchBucket\nmake it, or mend url\n"

    def answer(asked):
        return httpx.Response(424, text="" if asked.method == "HEAD" else text)

    keep(content, model, tmp_path)
    cluster.refuse = answer
    with pytest.raises(TargetUnreachable) as refused:
        keep(content, model, tmp_path)
    assert str(refused.value).endswith(
        ": there is no bucket of s3://models/demo: NoSuchBucket; make it, or mend url"
    )
    found = content.fault(record(Kind.MODEL, model))
    assert found == (
        "its kept content is not known: there is no bucket of s3://models/demo: NoSuchBucket"
    )


def test_a_bucket_that_is_full_before_anything_is_kept_is_out_of_capacity(content, cluster):
    cluster.refuse = lambda _asked: httpx.Response(507, text="s3://models takes nothing more: x\n")
    with pytest.raises(OutOfCapacity, match="s3://models takes nothing more: x; enlarge it, or"):
        content._store.check()
    assert cluster.asked == ["GET /bucket"]


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
    code = code_in(tmp_path)
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
