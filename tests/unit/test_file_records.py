"""What an edit of files leaves beside them."""

import os

from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords


def test_what_an_edit_that_was_killed_set_aside_goes_with_the_next_edit_of_a_process(tmp_path):
    keys = tmp_path / "workspaces" / "demo" / "keys"
    FileRecords(Folders(tmp_path, "demo")).put("keys", "iris", "new")
    (keys / ".iris.json.before.0").write_text("old")
    (keys / ".rose.json.before.3").write_text("of an endpoint that is deleted")
    records = FileRecords(Folders(tmp_path, "demo"))
    with records.edit():
        records.put("keys", "iris", "newer")
        assert (keys / ".iris.json.before.0").read_text() == "new"
    assert {path.name: path.read_text() for path in keys.iterdir()} == {"iris.json": "newer"}


def test_what_a_write_that_was_killed_left_goes_with_the_next_edit_but_not_one_that_goes_on(
    tmp_path,
):
    keys = tmp_path / "workspaces" / "demo" / "keys"
    FileRecords(Folders(tmp_path, "demo")).put("keys", "iris", "new")
    (keys / ".iris.json.99999999.7f00aa").write_text("of a process that is gone")
    (keys / f".iris.json.{os.getppid()}.7f00aa").write_text("of a process that lives")
    with FileRecords(Folders(tmp_path, "demo")).edit():
        pass
    assert sorted(path.name for path in keys.iterdir()) == [
        f".iris.json.{os.getppid()}.7f00aa",
        "iris.json",
    ]
