"""Which processes are taken for a supervisord that a first `up` left."""

import subprocess
import sys

from inference_provider.targets.local.first_up import unrecorded

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
