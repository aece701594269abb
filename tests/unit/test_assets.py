"""Content in a workspace's folder: kept once, removed when nothing names it."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_provider.errors import TargetError
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec
from inference_provider.targets.local.assets import Assets
from inference_provider.targets.local.folders import Folders


@pytest.fixture
def store(tmp_path):
    return Folders(tmp_path / "state", "demo")


@pytest.fixture
def assets(store):
    return Assets(store)


@pytest.fixture
def base(tmp_path):
    (tmp_path / "weights").mkdir()
    return tmp_path


def kept(store: Folders) -> list[str]:
    files = (store.folder / "assets").rglob("*.txt")
    return sorted(str(path.relative_to(store.folder / "assets")) for path in files)


def keep(store: Folders, base, weights: str) -> str:
    """Keep a model whose one file holds `weights`; return its hash."""
    (base / "weights" / "w.txt").write_text(weights)
    spec = with_content_hash(ModelSpec(name="iris", path="weights"), SourceFolder(base))
    Assets(store).keep_model(spec, str(base))
    return spec.content_hash


def place(content_hash: str) -> str:
    return f"models/iris/1/{content_hash[:16]}/weights/w.txt"


MODEL = "iris:1@sha256:"


def test_a_models_folder_lies_under_its_hash_with_its_own_name(assets, store, base):
    assert place(keep(store, base, "1")) == kept(store)[0]


def test_a_model_of_one_file_lies_in_a_folder_of_its_hash(assets, store, base):
    (base / "weights" / "w.txt").write_text("1")
    spec = with_content_hash(ModelSpec(name="iris", path="weights/w.txt"), SourceFolder(base))
    assets.keep_model(spec, str(base))
    assert kept(store) == [f"models/iris/1/{spec.content_hash[:16]}/w.txt"]


def test_a_model_given_by_a_link_lies_under_the_links_name(assets, store, base):
    (base / "weights" / "run_042.txt").write_text("1")
    (base / "best.txt").symlink_to("weights/run_042.txt")
    (base / "current").symlink_to("weights")
    file = with_content_hash(ModelSpec(name="file", path="best.txt"), SourceFolder(base))
    folder = with_content_hash(ModelSpec(name="folder", path="current"), SourceFolder(base))
    assets.keep_model(file, str(base))
    assets.keep_model(folder, str(base))
    assert kept(store) == [
        f"models/file/1/{file.content_hash[:16]}/best.txt",
        f"models/folder/1/{folder.content_hash[:16]}/current/run_042.txt",
    ]


def test_a_snapshot_of_links_to_blobs_is_kept_as_plain_files(assets, store, base):
    """Hugging Face's cache."""
    (base / "blobs").mkdir()
    (base / "blobs" / "5d1f").write_text("weights")
    (base / "snapshots" / "main" / "onnx").mkdir(parents=True)
    for name, target in (("w.txt", "../../blobs/5d1f"), ("onnx/w.txt", "../../../blobs/5d1f")):
        (base / "snapshots" / "main" / name).symlink_to(target)
    spec = with_content_hash(ModelSpec(name="bert", path="snapshots/main"), SourceFolder(base))
    assets.keep_model(spec, str(base))
    place = f"models/bert/1/{spec.content_hash[:16]}/main"
    assert kept(store) == [f"{place}/onnx/w.txt", f"{place}/w.txt"]
    found = [store.folder / "assets" / name for name in kept(store)]
    assert [(path.is_symlink(), path.read_text()) for path in found] == [(False, "weights")] * 2


def test_code_may_link_to_a_module_that_lies_elsewhere(assets, store, base):
    (base / "shared.txt").write_text("shared")
    (base / "code").mkdir()
    (base / "code" / "score.txt").write_text("")
    (base / "code" / "shared.txt").symlink_to("../shared.txt")
    document = {
        "endpoint": "iris", "name": "blue", "environment": "plain:1",
        "code_configuration": {"code": "code"},
    }  # fmt: skip
    spec = with_content_hash(DeploymentSpec.model_validate(document), SourceFolder(base))
    folder = assets.keep_code(spec, str(base))
    assert (folder / "shared.txt").read_text() == "shared"
    assert not (folder / "shared.txt").is_symlink()


@pytest.mark.parametrize("path", ["weights", "weights/w.txt"], ids=["folder", "file"])
def test_what_is_executable_is_kept_executable(assets, store, base, path):
    (base / "weights" / "w.txt").write_text("#!/bin/sh")
    (base / "weights" / "w.txt").chmod(0o755)
    spec = with_content_hash(ModelSpec(name="tool", path=path), SourceFolder(base))
    assets.keep_model(spec, str(base))
    [file] = kept(store)
    assert os.access(store.folder / "assets" / file, os.X_OK)


def test_content_that_changed_since_it_was_read_is_refused_and_not_kept(assets, store, base):
    (base / "weights" / "w.txt").write_text("1")
    spec = with_content_hash(ModelSpec(name="iris", path="weights"), SourceFolder(base))
    (base / "weights" / "w.txt").write_text("2")
    with pytest.raises(TargetError, match="copy 'weights': it changed while it was applied"):
        assets.keep_model(spec, str(base))
    assert kept(store) == []


def test_content_that_nothing_names_is_removed_and_what_is_named_stays(assets, store, base):
    keep(store, base, "1")
    new = keep(store, base, "2")
    assets.prune([MODEL + new], age_s=-1)
    assert kept(store) == [place(new)]


def test_content_that_a_deployment_still_uses_stays_when_its_model_moved_on(assets, store, base):
    old, new = keep(store, base, "1"), keep(store, base, "2")
    assets.prune([MODEL + new, MODEL + old], age_s=-1)
    assert kept(store) == sorted([place(old), place(new)])


def test_content_that_was_kept_a_moment_ago_stays(assets, store, base):
    old = keep(store, base, "1")
    assets.prune([], age_s=600)
    assert kept(store) == [place(old)]


def test_a_copy_in_the_making_is_left_alone(assets, store):
    folder = store.folder / "assets" / "models" / "iris" / "1" / ".aaaa.77"
    folder.mkdir(parents=True)
    (folder / "w.txt").write_text("half")
    assets.prune([], age_s=-1)
    assert kept(store) == ["models/iris/1/.aaaa.77/w.txt"]


def test_two_deployments_that_bring_the_same_code_at_once_keep_all_of_it(assets, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    for number in range(50):
        (code / f"{number}.txt").write_text("x")
    asked = {"endpoint": "iris", "name": "blue", "environment": "plain:1"}
    for round_ in range(10):
        (code / "0.txt").write_text(str(round_))
        document = {**asked, "code_configuration": {"code": "code"}}
        spec = with_content_hash(DeploymentSpec.model_validate(document), SourceFolder(tmp_path))
        with ThreadPoolExecutor(4) as threads:
            kept_in = [threads.submit(assets.keep_code, spec, str(tmp_path)) for _ in range(4)]
        assert [len(list(found.result().iterdir())) for found in kept_in] == [50, 50, 50, 50]


def test_an_environment_that_is_not_as_it_was_written_is_said_in_a_sentence(assets, store):
    path = store.folder / "assets" / "environments" / f"{'a' * 16}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(TargetError, match="file is corrupt"):
        assets.environment("env:1@sha256:" + "a" * 64)


def test_a_workspace_holds_the_content_it_has_kept_and_no_other(assets, store, base):
    first, second = keep(store, base, "1"), keep(store, base, "2")
    held = [assets.holds(Kind.MODEL, f"iris:1@sha256:{d}") for d in (first, second, "0" * 64)]
    assert held == [True, True, False]
    assert not assets.holds(Kind.MODEL, f"iris:2@sha256:{first}")
    environment = with_content_hash(EnvironmentSpec(name="env"), SourceFolder(base))
    pinned = f"env:1@sha256:{environment.content_hash}"
    assert not assets.holds(Kind.ENVIRONMENT, pinned)
    assets.keep_environment(environment)
    assert assets.holds(Kind.ENVIRONMENT, pinned)
