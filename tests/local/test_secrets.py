"""Where keys and values of variables never are."""

import psutil
import pytest

pytestmark = pytest.mark.local


def test_keys_are_in_no_log_and_no_command_line_and_files_are_private(lab):
    lab.document["deployments"][0]["environment_variables"] = {"GREETING": "a-hidden-word"}
    lab.up()
    assert lab.score().json()["greeting"] == "a-hidden-word"
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in lab.process_ids()]
    shown = "\n".join([lab.log(), *lines, lab.target.observe(["lab"]).model_dump_json()])
    assert "a-hidden-word" not in shown
    assert lab.key() not in shown
    for path in (lab.state / "workspaces").rglob("*.json"):
        assert path.stat().st_mode & 0o077 == 0, path
