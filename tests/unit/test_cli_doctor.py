"""What inferctl doctor checks, and when it fails."""

import json
import os
import tempfile

from inference_provider.cli.doctor import Check, check_state_folder


def test_doctor_tells_each_check_and_fails_on_a_folder_it_cannot_use(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(tmp_path))
    found = {check["name"]: check for check in json.loads(cli("doctor", "--json").stdout)}
    assert set(found) == {
        "state folder", "disk", "envoy", "supervisord", "uv", "loopback", "open files", "gpus",
        "closed egress",
    }  # fmt: skip
    assert found["envoy"]["ok"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(blocked))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "set INFERENCE_STATE_DIR to a folder of yours" in result.stdout


def test_doctor_warns_of_a_folder_in_which_others_may_write(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:  # a short path
        monkeypatch.setenv("INFERENCE_STATE_DIR", folder)
        os.chmod(folder, 0o777)
        assert check_state_folder() == Check(
            "state folder",
            True,
            f"'{folder}' can be written; it can be written by others (mode 777), so who does can"
            " run programs as this user",
        )
        os.chmod(folder, 0o755)
        assert check_state_folder() == Check("state folder", True, f"'{folder}' can be written")


def test_doctor_refuses_a_path_that_up_would_refuse(cli, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", "/tmp/" + "x" * 60)
    result = cli("doctor")
    assert result.exit_code == 1
    assert "FAIL state folder: the state folder's path is too long: a socket" in result.stdout
    assert "set INFERENCE_STATE_DIR to another folder" in result.stdout


def test_doctor_refuses_a_name_that_no_file_system_takes(cli, monkeypatch):
    monkeypatch.setenv("INFERENCE_STATE_DIR", "/tmp/" + "x" * 300)
    result = cli("doctor")
    assert result.exit_code == 1
    assert "FAIL state folder: the state folder's path is too long" in result.stdout


def test_doctor_refuses_a_file_that_is_not_there_and_checks_nothing(cli):
    result = cli("doctor", "cluster.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cluster.yaml: no such file; pass " in result.stderr
