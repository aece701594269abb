"""Content hashes: names, bytes and the executable bit count, nothing else does."""

import os
from pathlib import Path

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.files.left_out import BadContent
from inference_provider.files.tree import code_content, model_content, tree_files
from inference_provider.spec import DeploymentSpec, EndpointSpec, EnvironmentSpec, ModelSpec


def digest_tree(tree: Path) -> str:
    return code_content(".", tree).digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"one")
    (folder / "sub" / "b.bin").write_bytes(b"two")
    return folder


def test_digest_of_a_known_tree_never_changes(tree):
    assert digest_tree(tree) == "d8ee49a0dca3b19f3425b114282f5b3fada7adeee38d6591f6e6705b8856ee77"


def test_times_and_who_may_read_do_not_count(tree):
    before = digest_tree(tree)
    os.utime(tree / "a.bin", (1, 1))
    (tree / "a.bin").chmod(0o600)
    assert digest_tree(tree) == before


def test_a_file_that_becomes_executable_counts(tree):
    (tree / "a.bin").chmod(0o755)
    assert digest_tree(tree) == "8fe73ea69802ded1b547fac80c4cfc6d035b68112ccfc4550bb877bcdb5d0853"


def test_a_model_of_one_file_that_becomes_executable_counts(tree):
    before = model_hash("model/a.bin", tree.parent)
    (tree / "a.bin").chmod(0o700)
    assert model_hash("model/a.bin", tree.parent) != before


def test_a_link_to_an_executable_file_counts_as_executable(tree):
    (tree / "sub" / "b.bin").chmod(0o755)
    (tree / "start").symlink_to("sub/b.bin")
    linked = digest_tree(tree)
    (tree / "start").unlink()
    (tree / "start").write_bytes(b"two")
    (tree / "start").chmod(0o755)
    assert digest_tree(tree) == linked


def test_the_folder_may_have_another_name(tree):
    before = digest_tree(tree)
    assert digest_tree(tree.rename(tree.parent / "elsewhere")) == before


@pytest.mark.parametrize("junk", ["__pycache__/a.pyc", ".git/HEAD", ".venv/x", "a.pyc"])
def test_what_tools_leave_behind_does_not_count(tree, junk):
    before = digest_tree(tree)
    (tree / junk).parent.mkdir(exist_ok=True)
    (tree / junk).write_bytes(b"junk")
    assert digest_tree(tree) == before


def test_a_changed_byte_counts(tree):
    before = digest_tree(tree)
    (tree / "a.bin").write_bytes(b"onf")
    assert digest_tree(tree) != before


def test_a_renamed_file_counts(tree):
    before = digest_tree(tree)
    (tree / "a.bin").rename(tree / "c.bin")
    assert digest_tree(tree) != before


def test_a_single_file_is_hashed_with_its_name(tree):
    (tree / "c.bin").write_bytes(b"one")
    assert model_content("a.bin", tree).digest != model_content("c.bin", tree).digest


def test_a_link_inside_counts_as_its_content(tree):
    (tree / "link.bin").symlink_to("a.bin")
    linked = digest_tree(tree)
    (tree / "link.bin").unlink()
    (tree / "link.bin").write_bytes(b"one")
    assert digest_tree(tree) == linked


@pytest.mark.parametrize("target", ["../outside", "../shared"], ids=["file", "folder"])
def test_a_link_that_leads_out_counts_as_what_it_leads_to(tree, tmp_path, target):
    (tmp_path / "outside").write_bytes(b"one")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "util.py").write_bytes(b"one")
    (tree / "link").symlink_to(target)
    linked = digest_tree(tree)
    (tree / "link").unlink()
    if target == "../shared":
        (tree / "link").mkdir()
        (tree / "link" / "util.py").write_bytes(b"one")
    else:
        (tree / "link").write_bytes(b"one")
    assert digest_tree(tree) == linked


def test_two_links_to_one_folder_are_no_circle(tree, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "util.py").write_bytes(b"one")
    for name in ("one", "two"):
        (tree / name).symlink_to("../shared")
    assert [name for name, _ in tree_files(tree)] == [
        "a.bin", "one/util.py", "sub/b.bin", "two/util.py",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["..", "up", "../../model"], ids=["above", "itself", "its root"])
def test_a_link_round_in_a_circle_is_refused(tree, target):
    (tree / "sub" / "up").symlink_to(target)
    with pytest.raises(BadContent, match="the link 'sub/up' leads"):
        digest_tree(tree)


def test_a_link_that_leads_nowhere_is_refused_with_its_name(tree):
    (tree / "sub" / "gone").symlink_to("../../blobs/1f")
    reason = "the link 'sub/gone' leads to '../../blobs/1f', which is not there"
    with pytest.raises(BadContent, match=reason):
        digest_tree(tree)


def model_hash(path: str, base: Path) -> str:
    return with_content_hash(ModelSpec(name="iris", path=path), SourceFolder(base)).content_hash


def test_hashes_of_models_without_links_never_change(tree):
    folder = "56c55a7feb8cff9400da21b6a43010f99f135ded972d3ca8b87ac9c99c4b9d20"
    file = "060d067e3c65b235f8020ed4d8df10b9f08a90408c8e7a68b2d301d776a4a28a"
    assert model_hash("model", tree.parent) == folder
    assert model_hash("model/a.bin", tree.parent) == file


def test_a_model_that_is_a_link_is_hashed_under_the_links_name(tree):
    (tree / "best.bin").symlink_to("a.bin")
    (tree.parent / "current").symlink_to("model")
    linked = model_hash("model/best.bin", tree.parent), model_hash("current", tree.parent)
    (tree / "best.bin").unlink()
    (tree / "a.bin").rename(tree / "best.bin")
    assert model_hash("model/best.bin", tree.parent) == linked[0]
    (tree / "best.bin").rename(tree / "a.bin")
    (tree / "best.bin").symlink_to("a.bin")
    (tree.parent / "current").unlink()
    tree.rename(tree.parent / "current")
    assert model_hash("current", tree.parent) == linked[1]


@pytest.mark.parametrize("path", [".", "./", "sub/..", "../model"])
def test_a_models_name_is_the_last_part_of_its_path_or_the_folders_own(tree, path):
    assert model_hash(path, tree) == model_hash("model", tree.parent)


def test_a_path_that_ends_above_takes_the_name_of_the_folder_it_leads_to(tree):
    assert model_hash("..", tree / "sub") == model_hash("model", tree.parent)


def test_a_models_digest_is_of_its_content_and_of_the_name_of_its_folder(tree):
    model = with_content_hash(ModelSpec(name="iris", path="model"), SourceFolder(tree.parent))
    same = with_content_hash(ModelSpec(name="iris", path="./model/"), SourceFolder(tree.parent))
    tree.rename(tree.with_name("renamed"))
    renamed = with_content_hash(ModelSpec(name="iris", path="renamed"), SourceFolder(tree.parent))
    assert model.content_hash == same.content_hash
    assert model.content_hash != renamed.content_hash


def test_a_deployment_gets_the_digest_of_its_code(tree):
    spec = DeploymentSpec.model_validate(
        {
            "endpoint": "iris",
            "name": "blue",
            "environment": "env:1",
            "code_configuration": {"code": "model"},
        }
    )
    hashed = with_content_hash(spec, SourceFolder(tree.parent))
    assert hashed.code_configuration is not None
    assert hashed.code_configuration.content_hash == digest_tree(tree)


def test_a_missing_model_is_a_fault_not_a_traceback(tmp_path):
    with pytest.raises(SpecError) as caught:
        with_content_hash(ModelSpec(name="iris", path="nowhere"), SourceFolder(tmp_path))
    assert [fault.path for fault in caught.value.faults] == ["path"]
    assert "No such file or directory" in str(caught.value)


def test_requirements_are_merged_without_comments(tmp_path):
    text = "# pinned\nnumpy==2.0.1  # arrays\n\nscipy==1.14.0 \\\n  ; python_version > '3'\n"
    (tmp_path / "requirements.txt").write_text(text)
    spec = EnvironmentSpec(
        name="env", dependencies=("numpy==2.0.1", "six"), requirements_file="requirements.txt"
    )
    merged = with_content_hash(spec, SourceFolder(tmp_path))
    assert merged.dependencies[:2] == ("numpy==2.0.1", "six")
    assert len(merged.dependencies) == 3
    assert merged.dependencies[2].startswith("scipy==1.14.0")
    assert with_content_hash(merged, SourceFolder(tmp_path)) == merged


def test_requirements_in_a_file_hash_as_those_written_out(tmp_path):
    (tmp_path / "requirements.txt").write_text("six\n")
    from_file = EnvironmentSpec(name="env", requirements_file="requirements.txt")
    written = EnvironmentSpec(name="env", dependencies=("six",))
    hashes = {
        with_content_hash(spec, SourceFolder(tmp_path)).content_hash
        for spec in (from_file, written)
    }
    assert len(hashes) == 1


def test_description_of_an_environment_does_not_count(tmp_path):
    plain, described = EnvironmentSpec(name="env"), EnvironmentSpec(name="env", description="x")
    one, other = (with_content_hash(spec, SourceFolder(tmp_path)) for spec in (plain, described))
    assert one.content_hash == other.content_hash
    python = with_content_hash(
        EnvironmentSpec(name="env", python_version="3.12"), SourceFolder(tmp_path)
    )
    assert python.content_hash != one.content_hash


def test_other_specs_come_back_as_they_are(tmp_path):
    spec = EndpointSpec(name="iris")
    assert with_content_hash(spec, SourceFolder(tmp_path)) is spec


def test_a_pipe_in_a_folder_is_named_and_not_waited_for(tree):
    os.mkfifo(tree / "sub" / "pipe")
    with pytest.raises(OSError, match=r"a pipe, a socket or a device; remove it.*sub/pipe"):
        digest_tree(tree)
