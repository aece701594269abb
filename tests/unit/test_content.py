"""Kept content: read-only, checked by its manifest, handed out as trees of links."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference_provider.errors import TargetError
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec
from inference_provider.targets.local import content
from inference_provider.targets.local.assets import Assets
from inference_provider.targets.local.folders import Folders


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    return Assets(Folders(tmp_path / "state", "demo"))


def model_folder(tmp_path: Path, content_hash: str) -> Path:
    models = tmp_path / "state" / "workspaces" / "demo" / "assets" / "models"
    return models / "iris" / "1" / content_hash[:16]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model of a file and an executable one, and code of one file."""
    (tmp_path / "weights" / "bin").mkdir(parents=True)
    (tmp_path / "weights" / "w.txt").write_text("w=1")
    (tmp_path / "weights" / "bin" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "weights" / "bin" / "run").chmod(0o755)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text("")
    return tmp_path


@pytest.fixture
def model(base: Path) -> ModelSpec:
    return with_content_hash(ModelSpec(name="iris", path="weights"), SourceFolder(base))


@pytest.fixture
def deployment(base: Path, model: ModelSpec) -> DeploymentSpec:
    document = {
        "endpoint": "iris", "name": "blue", "environment": "plain:1",
        "model": f"iris:1@sha256:{model.content_hash}", "code_configuration": {"code": "code"},
    }  # fmt: skip
    return with_content_hash(DeploymentSpec.model_validate(document), SourceFolder(base))


@pytest.fixture
def place(assets: Assets, base: Path, model: ModelSpec) -> Path:
    """Where the model is kept."""
    assets.keep_model(model, str(base))
    return model_folder(base, model.content_hash)


def record(kind: Kind, address: str, /, **fields: object) -> Record:
    there = ResourceId(kind=kind, workspace="demo", name=address)
    actor, now = Actor(user="a", command="b"), datetime(2026, 11, 25, tzinfo=UTC)
    return Record(id=there, owner="demo", properties=fields, actor=actor, time=now)


def of_model(model: ModelSpec) -> Record:
    fields = {"name": "iris", "version": "1", "content_hash": model.content_hash}
    return record(Kind.MODEL, "iris:1", **fields)


def write_in_place(file: Path, text: str) -> None:
    """As root, whom modes do not stop, or as who made it writable first."""
    file.chmod(0o600)
    file.write_text(text)


def test_kept_files_are_read_only_and_keep_their_executable_bit(place):
    modes = {file.name: file.stat().st_mode & 0o777 for file in place.rglob("*") if file.is_file()}
    assert modes == {"w.txt": 0o400, "run": 0o500}


def test_a_tree_holds_links_to_what_is_kept_and_nothing_of_a_tree_before(place, tmp_path):
    tree = tmp_path / "running" / "model"
    content.lay_out(place, tree)
    (tree / "weights" / "w.txt").unlink()
    (tree / "weights" / "unpacked.txt").write_text("x")
    content.lay_out(place, tree)
    assert sorted(str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()) == [
        "weights/bin/run", "weights/w.txt",
    ]  # fmt: skip
    linked = (tree / "weights" / "w.txt").samefile(place / "weights" / "w.txt")
    assert linked == (os.geteuid() != 0)  # root writes what is read-only, and gets a copy
    assert content.changed(place) == ""


def test_what_a_process_writes_into_its_tree_never_reaches_what_is_kept(place, tmp_path):
    tree = tmp_path / "running" / "model"
    content.lay_out(place, tree)
    with suppress(PermissionError), (tree / "weights" / "w.txt").open("a") as file:
        file.write("x")
    assert content.changed(place) == ""


def test_where_no_link_can_be_made_a_file_is_copied(place):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == place.stat().st_dev:
        pytest.skip("there is no second file system to lay a tree out on")
    tree = elsewhere / f"inference-tree-{os.getpid()}"
    try:
        content.lay_out(place, tree)
        assert (tree / "weights" / "w.txt").read_text() == "w=1"
        assert (tree / "weights" / "bin" / "run").stat().st_mode & 0o777 == 0o500
    finally:
        content.clear(tree)


def test_a_tree_that_a_script_locked_is_cleared(tmp_path):
    (tmp_path / "tree" / "locked").mkdir(parents=True)
    (tmp_path / "tree" / "locked" / "x").write_text("")
    (tmp_path / "tree" / "locked").chmod(0)
    (tmp_path / "tree").chmod(0o500)
    content.clear(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("at", ["tree", "tree/inner"], ids=["itself", "inside"])
def test_what_a_script_linked_to_is_left_alone(tmp_path, at):
    (tmp_path / "theirs" / "folder").mkdir(parents=True)
    (tmp_path / "theirs" / "folder" / "data").write_text("x")
    (tmp_path / "theirs" / "folder").chmod(0o755)
    (tmp_path / at).parent.mkdir(exist_ok=True)
    (tmp_path / at).symlink_to(tmp_path / "theirs")
    content.clear(tmp_path / "tree")
    assert not (tmp_path / "tree").is_symlink()
    assert not (tmp_path / "tree").exists()
    assert (tmp_path / "theirs" / "folder" / "data").read_text() == "x"
    assert (tmp_path / "theirs" / "folder").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("text", ["w=2", "w=10"], ids=["same size", "another size"])
def test_a_file_that_was_written_in_place_is_named_and_no_start_gets_it(place, tmp_path, text):
    write_in_place(place / "weights" / "w.txt", text)
    assert content.changed(place) == "weights/w.txt has other content"
    with pytest.raises(content.NotAsKept, match=r"weights/w\.txt has other content"):
        content.lay_out(place, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_modes_and_times_alone_are_put_back(place):
    """A script may make its own link executable, or touch it; a backup brings other times."""
    file = place / "weights" / "w.txt"
    before = file.stat().st_mtime_ns
    file.chmod(0o755)
    os.utime(file, (1, 1))
    assert content.changed(place) == ""
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (0o400, before)


def test_what_is_added_beside_kept_files_is_no_change_and_reaches_no_instance(place, tmp_path):
    (place / "weights" / "__pycache__").mkdir()
    (place / "weights" / "__pycache__" / "score.cpython-311.pyc").write_text("")
    (place / "weights" / "added.txt").write_text("")
    assert content.changed(place) == ""
    content.lay_out(place, tmp_path / "tree")
    assert sorted(os.listdir(tmp_path / "tree" / "weights")) == ["bin", "w.txt"]


def test_a_model_whose_kept_file_is_missing_is_degraded_and_restored(assets, base, model, place):
    assert assets.fault(of_model(model)) == ""
    (place / "weights" / "w.txt").unlink()
    fault = "its kept content was changed: weights/w.txt is missing"
    assert assets.fault(of_model(model)) == fault
    assets.keep_model(model, str(base))
    assert assets.fault(of_model(model)) == ""
    assert (place / "weights" / "w.txt").read_text() == "w=1"


def test_a_deployment_whose_kept_code_was_changed_is_degraded_until_restored(
    assets, base, deployment
):
    code = assets.keep_code(deployment, str(base))
    digest = deployment.code_configuration.content_hash
    there = record(Kind.DEPLOYMENT, "iris/blue", code_configuration={"content_hash": digest})
    assert assets.fault(there) == ""
    write_in_place(code / "score.py", "x")
    fault = "its kept code was changed: score.py has other content"
    assert assets.fault(there) == fault
    assets.keep_code(deployment, str(base))
    assert assets.fault(there) == ""


def test_an_environment_that_is_not_kept_any_more_is_degraded_until_it_is(assets):
    spec = EnvironmentSpec(name="plain", content_hash="e" * 64)
    there = record(Kind.ENVIRONMENT, "plain:1", content_hash="e" * 64)
    assert assets.fault(there) == "what it is built from is gone"
    assets.keep_environment(spec)
    assert assets.fault(there) == ""


def test_a_model_of_which_nothing_is_left_is_degraded(assets, model, place):
    content.clear(place)
    content.manifest_of(place).unlink()
    fault = "its kept content was changed: all of it is missing"
    assert assets.fault(of_model(model)) == fault


def test_an_instance_does_not_start_from_a_changed_model_and_says_what_to_do(
    assets, base, deployment, place
):
    assert assets.kept_content(deployment, str(base))["model"] == place
    (place / "weights" / "w.txt").unlink()
    with pytest.raises(TargetError) as caught:
        assets.kept_content(deployment, str(base))
    assert str(caught.value) == (
        "use model 'iris:1': its kept content was changed: weights/w.txt is missing;"
        " run `inferctl up`, which restores it"
    )


def test_what_cannot_be_restored_says_what_was_changed_and_what_to_put_back(
    assets, base, model, place
):
    (place / "weights" / "w.txt").unlink()
    (base / "weights").rename(base / "elsewhere")
    with pytest.raises(TargetError) as caught:
        assets.keep_model(model, str(base))
    assert str(caught.value) == (
        "copy 'weights': its kept copy was changed (weights/w.txt is missing), and it no"
        " longer exists; put it back and run `inferctl up`"
    )


def test_a_start_from_records_alone_never_reads_the_folder_it_is_run_in(
    assets, base, deployment, monkeypatch
):
    code = assets.keep_code(deployment, str(base))
    monkeypatch.chdir(base)
    assert assets.keep_code(deployment, None) == code
    write_in_place(code / "score.py", "x")
    with pytest.raises(TargetError) as caught:
        assets.keep_code(deployment, None)
    assert str(caught.value) == (
        "copy 'code': its kept copy was changed (score.py has other content), and its source is"
        " not known here; run `inferctl up`, which restores it"
    )


def as_before(place: Path) -> None:
    """Leave content as releases did that wrote no manifest."""
    content.manifest_of(place).unlink()
    for file in place.rglob("*"):
        if file.is_file():
            file.chmod(0o755 if file.name == "run" else 0o644)


def test_content_that_an_earlier_release_kept_is_hashed_once_and_noted_down(assets, model, place):
    as_before(place)
    assert assets.fault(of_model(model)) == ""
    noted = json.loads(content.manifest_of(place).read_text())
    assert {name: item[2] for name, item in noted.items()} == {
        "weights/w.txt": 0o400, "weights/bin/run": 0o500,
    }  # fmt: skip


def test_executable_content_that_an_earlier_release_kept_bears_the_hash_of_then(assets, base):
    """Its hash did not count the executable bit."""
    then = "2550f8148bab8a2b4e336c8bcc88f8abae18e5e109a0c7b0476a583291029df7"
    model = with_content_hash(ModelSpec(name="iris", path="weights"), SourceFolder(base))
    assert model.content_hash != then
    assets.keep_model(model, str(base))
    place = model_folder(base, then)
    model_folder(base, model.content_hash).rename(place)
    assert assets.fault(of_model(model.model_copy(update={"content_hash": then}))) == ""


def test_content_that_was_damaged_under_an_earlier_release_is_named_and_restored(
    assets, base, model, place
):
    as_before(place)
    (place / "weights" / "w.txt").unlink()
    fault = "its kept content was changed: its content does not match its hash"
    assert assets.fault(of_model(model)) == fault
    assets.keep_model(model, str(base))
    assert assets.fault(of_model(model)) == ""


def test_a_manifest_that_a_power_cut_emptied_is_written_again(assets, model, place):
    content.manifest_of(place).write_text("")
    assert assets.fault(of_model(model)) == ""
    assert content.changed(place) == ""


def test_pruning_removes_a_manifest_with_its_content(assets, place):
    assets.prune([], age_s=-1)
    assert list(place.parent.iterdir()) == []
