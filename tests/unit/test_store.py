"""The state folder: what is spoiled in it is named, and never shown."""

import errno
import os
from pathlib import Path

import pytest

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.local.store import Store, no_space

IRIS = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="iris")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for folder in ("records", "keys", "instances"):
        (tmp_path / "workspaces" / "lab" / folder).mkdir(parents=True)
    return Store(tmp_path, "lab")


@pytest.mark.parametrize("content", [b'{"x": 1}', b'{"x": ', b"[5]", b"\xff\x00"])
@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("records/Endpoint.iris.json", lambda store: store.record(IRIS)),
        ("records/Endpoint.iris.json", lambda store: store.records()),
        ("keys/iris.json", lambda store: store.keys("iris")),
        ("instances/iris%2Fblue.json", lambda store: store.instances("iris/blue")),
        ("instances/iris%2Fblue.json", lambda store: store.all_instances()),
        ("workspace.json", lambda store: store.address()),
    ],
)
def test_a_spoiled_file_is_named_and_its_content_is_not_shown(store, file, read, content):
    path = store.folder / file
    path.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        read(store)
    assert str(caught.value) == (
        f"read {path}: it is not as it was written; put a good copy back; or move it away and run"
        " `inferctl up`, which makes it anew"
    )


def test_bytes_in_the_journal_that_are_no_text_are_left_out(store):
    (store.folder / "journal.jsonl").write_bytes(b'\xff\x00\n{"a": {"b": 1}}\n')
    assert store.journal() == ()


@pytest.mark.parametrize("cause", [errno.EROFS, errno.EACCES])
def test_a_state_folder_that_cannot_be_written_is_a_sentence(tmp_path, cause):
    fault = no_space(OSError(cause, os.strerror(cause)), tmp_path / "records" / "x.json")
    assert str(fault) == (
        f"write {tmp_path}/records/x.json: {os.strerror(cause)}; make it writable for this user,"
        " or name another folder in INFERENCE_STATE_DIR"
    )
