"""Whether a workspace of this machine is there."""

from inference_provider.targets.listening import ListenAddress
from inference_provider.targets.local.folders import Folders


def test_a_workspace_is_there_once_its_address_was_chosen_and_not_when_a_power_cut_emptied_it(
    tmp_path,
):
    folders = Folders(tmp_path, "demo")
    assert not folders.exists
    folders.save_address(ListenAddress(host="127.0.0.1", port=18080, metrics_port=19080))
    assert folders.exists
    (tmp_path / "workspaces" / "demo" / "workspace.json").write_bytes(b"")
    assert (folders.exists, folders.address()) == (False, None)
