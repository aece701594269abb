"""The files of one router: each replaced by rename, and waited for until Envoy has it.

Which file comes when, `delivery.py` decides; the content comes from `router/render.py`.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from inference_provider.errors import InferenceError, NotReady, RouterRejected
from inference_provider.router.render import CDS, ECDS, FILES, LDS, PROVIDER, RDS, RTDS, version_of
from inference_provider.router.resource import IDENTITY_PROVIDER, JWT_AUTHN
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.private_file import make_folder, replace_private

BOOTSTRAP = "bootstrap.json"
_STATS = {
    CDS: "cluster_manager.cds",
    ECDS: f"extension_config_discovery.http_filter.{JWT_AUTHN}",
    PROVIDER: f"extension_config_discovery.http_filter.{IDENTITY_PROVIDER}",
    LDS: "listener_manager.lds",
    RDS: "http.ingress.rds.routes",
    RTDS: "runtime",
}
_CHECKS = (PROVIDER, ECDS)
"""Files that a listener of an older release does not read."""
_PUT_BACK_S = 2.0


class RouterFiles:
    """The files of the router in a folder, which answers on an admin socket."""

    def __init__(self, folder: Path, admin: RouterAdmin) -> None:
        self._folder = folder
        self._admin = admin

    def missing(self) -> tuple[str, ...]:
        """Return the files that a restart of the router needs and that are not there."""
        return tuple(n for n in (BOOTSTRAP, *FILES) if not (self._folder / n).exists())

    def are_watched(self) -> bool:
        """Whether the router notices new files: it watches folders, and only those it began with.

        A folder that was removed and made again is not watched.
        """
        read = (name for name in FILES if name not in _CHECKS or self._reads(name))
        return all((self._folder / name).parent.is_dir() for name in read)

    def read(self, name: str) -> str:
        """Return one file's text; empty where it is not there."""
        try:
            return (self._folder / name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def write(self, name: str, text: str) -> None:
        """Replace one file, and wait for nothing."""
        # outside the watched folders, where Envoy must see only the rename
        fresh = self._folder / f".{name.replace('/', '.')}.{threading.get_native_id()}"
        replace_private(self._folder / name, text, fresh)

    def write_all(self, texts: Mapping[str, str]) -> None:
        """Write every file, for a router that does not run yet."""
        for name, text in texts.items():
            for folder in (self._folder, (self._folder / name).parent):
                make_folder(folder)
                folder.chmod(0o700)
            self.write(name, text)

    def put(self, name: str, text: str, written: dict[str, str], deadline_s: float) -> None:
        """Write one file and wait until it is in force; do nothing when it is unchanged.

        Args:
            name: Path under the router's folder.
            text: The file.
            written: Receives the file's previous text, when it is first written.
            deadline_s: Last moment to wait until.

        Raises:
            RouterRejected: Envoy refused it.
            NotReady: It is not in force in time.
            TargetUnreachable: The router does not answer.
        """
        before = self.read(name)
        if before == text:
            return
        prefix, version = _STATS[name], version_of(text)
        refused = self._refused(prefix)
        written.setdefault(name, before)
        self.write(name, text)

        def in_force() -> bool:
            found = self._admin.stats(f"^{prefix}.version_text$", "TextReadouts")
            if found.get(f"{prefix}.version_text") == version:
                return True
            if self._refused(prefix) > refused:
                raise RouterRejected(f"{name} was refused; see the router's log")
            return False

        wait(in_force, deadline_s, lambda: f"{name} is not in force yet")

    def put_checks(self, name: str, text: str, written: dict[str, str], deadline_s: float) -> None:
        """As `put`, of checks of tokens, but do not wait for a listener of an older release.

        It reads none; the listener that follows takes no request before it has read them.
        """
        if self._reads(name):
            self.put(name, text, written, deadline_s)
            return
        written.setdefault(name, self.read(name))
        make_folder((self._folder / name).parent)
        self.write(name, text)

    def put_back(self, written: Mapping[str, str]) -> None:
        """Restore previous files, routes first: none may name a cluster or check that is removed.

        A router that does not answer reads them at its next start.
        """
        for name in (RDS, RTDS, LDS, *_CHECKS, CDS):
            text = written.get(name)
            if text:
                with contextlib.suppress(InferenceError):  # the first error is the one to report
                    self.put(name, text, {}, time.monotonic() + _PUT_BACK_S)
                if self.read(name) != text:
                    self.write(name, text)

    def _reads(self, name: str) -> bool:
        return name in self.read(LDS)

    def _refused(self, prefix: str) -> int:
        if prefix == _STATS[RTDS]:  # Envoy never refuses numbers, and weights must change quickly
            return 0
        name = f"{prefix}.update_rejected"
        return int(self._admin.stats(f"^{name}$", "Counters").get(name, 0))


def wait(question: Callable[[], bool], deadline_s: float, otherwise: Callable[[], str]) -> None:
    """Wait until a router's answer is the one wanted.

    Raises:
        NotReady: It is not in time; says what `otherwise` returns.
    """
    pause_s = 0.0005
    while not question():
        if time.monotonic() > deadline_s:
            raise NotReady("publish", "the router", otherwise(), "look at the instances' logs")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
