"""A lab of processes of this machine."""

from pathlib import Path

from inference_provider.targets.local.target import LocalPlatform
from inference_provider.workspace.engine import Engine
from tests.conformance.labs.lab import GPUS, Lab
from tests.conformance.watched import WatchedPlatform
from tests.ports import own_port


class LocalLab(Lab):
    gpu_count = 4

    def __init__(self, platform: LocalPlatform, folder: Path, workspace: str) -> None:
        self.router_port = own_port()
        super().__init__(platform, folder, workspace)

    @classmethod
    def open(cls, folder: Path) -> LocalPlatform:
        return LocalPlatform(folder / "s", lambda: GPUS)

    def another(self) -> Engine:
        return Engine(WatchedPlatform(self.open(self.folder)))

    def end(self, *names: str) -> None:
        self.platform.router(self.workspace).supervisor.remove(*names)
