"""What a first `up` left: which supervisord is one of it, and what of it is deleted."""

import subprocess
import sys

import pytest

from inference_provider.errors import TargetError
from inference_provider.targets.local.target import LocalTarget
from inference_provider.targets.local.unrecorded import delete_unrecorded, unrecorded

WAITS = (sys.executable, "-c", "input()")


def left_running(root, *words: str) -> list[str]:
    folder = root / "workspaces" / "lab" / "supervisor"
    folder.mkdir(parents=True)
    (folder / "supervisord.pid").write_text("1")
    command = (*WAITS, *words, str(folder / "supervisord.conf"))
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        found = unrecorded(root)
        process.communicate(b"\n", timeout=10)
    return found


def test_a_supervisord_is_known_by_its_command_line(tmp_path):
    assert left_running(tmp_path, "-c") == ["lab"]


def test_an_editor_that_has_the_configuration_open_is_none(tmp_path):
    assert left_running(tmp_path) == []


def test_a_workspace_with_records_and_without_its_address_is_not_called_deleted(tmp_path):
    router = LocalTarget.open(tmp_path).local.router("demo")
    records = router.folders.folder / "records"
    records.mkdir(parents=True)
    (records / "Endpoint.iris.json").write_text("{}")
    with pytest.raises(TargetError) as caught:
        delete_unrecorded(router)
    assert str(caught.value) == (
        f"delete workspace 'demo': its workspace.json is lost, and {router.folders.folder} still"
        " has its records; run `inferctl up`, which makes that file again, then delete it"
    )
    assert (records / "Endpoint.iris.json").read_text() == "{}"


def test_a_workspace_of_which_nothing_is_recorded_goes(tmp_path):
    router = LocalTarget.open(tmp_path).local.router("demo")
    (router.folders.folder / "logs").mkdir(parents=True)
    delete_unrecorded(router)
    assert not router.folders.folder.exists()
