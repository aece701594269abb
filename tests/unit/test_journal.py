"""The journal of a workspace: what was cut short costs one entry, not all."""

import resource
from datetime import UTC, datetime

import pytest

from inference_provider.errors import OutOfCapacity
from inference_provider.observed import Actor, JournalEntry, Kind, ResourceId
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.records import FileRecords

THERE = ResourceId(kind=Kind.MODEL, workspace="demo", name="iris:1")


def entry(action: str) -> JournalEntry:
    actor = Actor(user="a", command="b")
    return JournalEntry(time=datetime.now(UTC), actor=actor, action=action, id=THERE)


def test_an_entry_cut_by_a_full_disk_costs_itself_alone(tmp_path):
    folders = Folders(tmp_path, "demo")
    folders.folder.mkdir(parents=True)
    records = FileRecords(folders)
    records.note(entry("create"))
    with (folders.folder / "journal.jsonl").open("a") as journal:
        journal.write('{"time": "2026-01-')
    records.note(entry("update"))
    assert [found.action for found in records.journal()] == ["create", "update"]


def test_an_entry_of_which_a_disk_takes_a_part_is_told_as_not_written(tmp_path):
    folders = Folders(tmp_path, "demo")
    folders.folder.mkdir(parents=True)
    records = FileRecords(folders)
    records.note(entry("create"))
    size = (folders.folder / "journal.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))  # it cuts as a full disk does
    try:
        with pytest.raises(OutOfCapacity, match="no space left"):
            records.note(entry("read keys"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    records.note(entry("update"))
    assert [found.action for found in records.journal()] == ["create", "update"]


def test_a_journal_of_nothing_is_empty(tmp_path):
    assert FileRecords(Folders(tmp_path, "demo")).journal() == ()
