"""Where one workspace is stored: the paths of its folder, and its router's address.

<root>/environments/                 virtual environments, by content hash, for all workspaces
<root>/workspaces/<workspace>/
workspace.json                   router's address, chosen once
records/  journal.jsonl          what was applied last, by whom
keys/  blueprints/  placeholders/  instances/  reservations/   0600
credentials/  store_key/  tls/  signing/  webhooks/            0600
assets/  running/  logs/  router/  supervisor/  sockets/
service/                         what the autoscaler has decided, and why; how alerts stand
"""

import os
import shutil
from pathlib import Path

import platformdirs

from inference_provider.errors import TargetError
from inference_provider.targets.listening import ListenAddress
from inference_provider.targets.private_file import write_private
from inference_provider.workspace.corrupt import corrupt


class Folders:
    """One workspace's folder."""

    def __init__(self, root: Path, workspace: str) -> None:
        self.root = root
        self.workspace = workspace
        self.folder = root / "workspaces" / workspace
        self.environments = root / "environments"
        self.router_folder = self.folder / "router"
        self.supervisor_folder = self.folder / "supervisor"
        self.sockets_folder = self.folder / "sockets"
        self.decisions = self.folder / "service" / "decisions.jsonl"
        """What the autoscaler has decided; the file before it has `.1` behind its name."""
        self.rule_faults = self.decisions.parent / "faults.json"
        """Why rules are not kept now."""
        self.sent_logs = self.decisions.parent / "sent_logs.json"
        """How far logs have been sent."""
        self.alerts = self.decisions.parent / "alerts.json"
        """How alerts stand, and what their webhooks are still to be told."""

    @property
    def exists(self) -> bool:
        """Whether the workspace is there: its address was chosen. A power cut empties the file."""
        try:
            return (self.folder / "workspace.json").stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    @property
    def is_recorded(self) -> bool:
        """Whether the workspace has any record."""
        found = (self.folder / "records").glob("[!.]*.json")
        return any(path.stat().st_size for path in found)

    def address(self) -> ListenAddress | None:
        """Return where the router listens; None when that is not chosen yet."""
        path = self.folder / "workspace.json"
        try:
            content = path.read_bytes()
            return ListenAddress.model_validate_json(content) if content else None
        except FileNotFoundError:
            return None
        except ValueError:
            raise corrupt(str(path)) from None

    def save_address(self, address: ListenAddress) -> None:
        """Save where the router listens."""
        write_private(self.folder / "workspace.json", address.model_dump_json())

    def drop_address(self) -> None:
        """Forget where the router listens."""
        (self.folder / "workspace.json").unlink(missing_ok=True)

    def log_path(self, deployment: str, instance: str) -> Path:
        return self.folder / "logs" / deployment / f"{instance}.log"

    def running(self, instance: str) -> Path:
        """Return the folder with the content trees of one instance."""
        return self.folder / "running" / instance

    def remove(self) -> None:
        """Remove the whole folder.

        Raises:
            TargetError: Part of it cannot be removed.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.exists:
            raise TargetError(
                "remove", f"workspace '{self.workspace}'", "some of its files cannot be removed",
                "check who owns them, and run this again", str(self.folder),
            )  # fmt: skip


def state_folder() -> Path:
    """Return `$INFERENCE_STATE_DIR`, or the user's own folder."""
    chosen = os.environ.get("INFERENCE_STATE_DIR")
    return Path(chosen) if chosen else platformdirs.user_state_path("pulumi-inference")


def refuse_another_users(root: Path) -> None:
    """Refuse a state folder that this user may not read: nothing in it can be told from nothing.

    Raises:
        TargetError: Says whose it is.
    """
    if os.access(root, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return
    try:
        owner = root.owner()
    except KeyError:  # a user that has no name here
        owner = str(root.stat().st_uid)
    remedy = "run this as that user, or set INFERENCE_STATE_DIR to a folder of yours"
    reason = f"permission denied, it belongs to user '{owner}'"
    raise TargetError("read", f"state folder '{root}'", reason, remedy)


def all_folders(root: Path) -> list[Folders]:
    """Return every workspace of a state folder."""
    found = sorted((root / "workspaces").glob("*/workspace.json"))
    return [Folders(root, path.parent.name) for path in found]
