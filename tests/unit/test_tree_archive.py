"""Archives of content, made while its files are read."""

import hashlib
import io
import tarfile

import pytest

from inference_provider.files.tree import Content, code_content, model_content
from inference_provider.targets.tree_archive import TreeArchive


def opened(archive):
    return tarfile.open(fileobj=io.BytesIO(b"".join(archive)))


def test_an_archive_holds_every_folder_and_file_under_its_names(tmp_path):
    long = "é" * 120
    (tmp_path / "iris" / long).mkdir(parents=True)
    (tmp_path / "iris" / long / "w.bin").write_bytes(b"w" * 3_000_000)
    (tmp_path / "iris" / "run.sh").write_text("run")
    (tmp_path / "iris" / "run.sh").chmod(0o700)
    content = model_content("iris", tmp_path)
    archive = TreeArchive(content, "content")
    with opened(archive) as found:
        there = [(info.name, info.isdir(), oct(info.mode), info.uid, info.size) for info in found]
        assert found.extractfile(f"content/iris/{long}/w.bin").read() == b"w" * 3_000_000
    assert there == [
        ("content", True, "0o755", 0, 0),
        ("content/iris", True, "0o755", 0, 0),
        (f"content/iris/{long}", True, "0o755", 0, 0),
        ("content/iris/run.sh", False, "0o755", 0, 3),
        (f"content/iris/{long}/w.bin", False, "0o644", 0, 3_000_000),
    ]
    assert content.digest_of(archive.hashes) == content.digest


def test_no_part_of_an_archive_is_larger_than_a_mebibyte(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"w" * 3_000_000)
    assert max(map(len, TreeArchive(code_content(".", tmp_path), "content"))) == 2**20


def test_an_empty_folder_is_an_archive_of_a_folder(tmp_path):
    with opened(TreeArchive(code_content(".", tmp_path), "content")) as found:
        assert found.getnames() == ["content"]


@pytest.mark.parametrize("text", [b"shorter", b"longer than it was before"])
def test_a_file_that_changes_size_while_it_is_read_has_another_hash(tmp_path, text):
    file = tmp_path / "w.bin"
    file.write_bytes(b"as it was then")
    content = code_content(".", tmp_path)
    planned = content.digest
    archive = TreeArchive(content, "content")
    parts = iter(archive)
    sent = [next(parts), next(parts)]  # the header, which says the size, is written
    file.write_bytes(text)
    sent += parts
    assert len(b"".join(sent)) % 512 == 0
    assert content.digest_of(archive.hashes) != planned


def test_a_file_that_is_gone_ends_the_archive_and_says_why(tmp_path):
    archive = TreeArchive(Content((("w.bin", tmp_path / "w.bin"),)), "content")
    with pytest.raises(FileNotFoundError):
        b"".join(archive)
    assert isinstance(archive.fault, FileNotFoundError)


def test_the_hash_of_an_unchanged_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"w")
    archive = TreeArchive(code_content(".", tmp_path), "content")
    b"".join(archive)
    assert archive.hashes == [hashlib.sha256(b"w").hexdigest()]
