"""Content in a cluster goes when nothing needs it."""

import hashlib
import os

from tests.cluster_api import failure
from tests.memory import record
from tests.unit.cluster_content.kept import age, archives_in, code_in, hashed, keep, pinned, unit

from inference_provider.observed import Kind
from inference_provider.spec import ModelSpec
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.workspace.state import State


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


def test_what_is_deleted_while_its_pod_is_away_goes_with_a_later_prune(
    content, cluster, records, model, tmp_path
):
    keep(content, model, tmp_path)
    cluster.refuse = lambda _asked: failure(503, "no endpoints available")
    content.prune([])
    content.drop(record(Kind.MODEL, model))
    assert len(archives_in(tmp_path)) == 1
    assert records.section("content") == {}
    cluster.refuse = lambda _asked: None
    age(tmp_path)
    content.prune([])
    assert archives_in(tmp_path) == set()


def test_an_archive_goes_only_with_the_last_content_that_is_in_it(content, tmp_path):
    code = code_in(tmp_path)
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
