"""A file that is written over where it lies."""

import pytest

from inference_provider.targets.in_place import with_room, write_over


def test_a_longer_text_has_room_in_what_was_written_with_some(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(with_room("[1]"))
    before = file.stat()
    write_over(file, "[" + "1" * 4000 + "]")
    assert file.read_text().rstrip() == "[" + "1" * 4000 + "]"
    write_over(file, "[2]")
    assert file.read_text().rstrip() == "[2]"
    assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino)


def test_what_has_no_room_changes_nothing(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(with_room("[1]"))
    with pytest.raises(OSError, match="No space left"):
        write_over(file, "1" * 9000)
    assert file.read_text().rstrip() == "[1]"


def test_what_is_not_there_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_over(tmp_path / "a.json", "[1]")
    assert [*tmp_path.iterdir()] == []
