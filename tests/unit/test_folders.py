"""Whether a workspace of this machine is there, and whose its folder is."""

import os
import tempfile
from pathlib import Path

import pytest
from tests.users import nobody

from inference_provider.errors import TargetError
from inference_provider.targets.listening import ListenAddress
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.target import LocalTarget


def test_a_workspace_is_there_once_its_address_was_chosen_and_not_when_a_power_cut_emptied_it(
    tmp_path,
):
    folders = Folders(tmp_path, "demo")
    assert not folders.exists
    folders.save_address(ListenAddress(host="127.0.0.1", port=18080, metrics_port=19080))
    assert folders.exists
    (tmp_path / "workspaces" / "demo" / "workspace.json").write_bytes(b"")
    assert (folders.exists, folders.address()) == (False, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_another_users_state_folder_is_refused_with_whose_it_is():
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        LocalTarget.open(Path(made, "s"))
        with nobody(), pytest.raises(TargetError) as refused:
            LocalTarget.open(Path(made, "s"))
    assert str(refused.value) == (
        f"read state folder '{made}/s': permission denied, it belongs to user 'root';"
        " run this as that user, or set INFERENCE_STATE_DIR to a folder of yours"
    )
