"""The files of one router: each replaced by rename, and waited for until Envoy has it.

Which file comes when, `delivery.py` decides; the content comes from `router/render.py`.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from inference_provider.errors import InferenceError, NotReady, RouterRejected
from inference_provider.router.egress import ROUTES
from inference_provider.router.egress import STATS as EGRESS_STATS
from inference_provider.router.limits import LIMITER
from inference_provider.router.render import (
    CDS,
    ECDS,
    FILES,
    LDS,
    LIMITS,
    OUTBOUND,
    PROVIDER,
    RDS,
    RTDS,
    SDS,
    WHERE_NEEDED,
    version_of,
)
from inference_provider.router.resource import IDENTITY_PROVIDER, JWT_AUTHN
from inference_provider.router.tls import SECRET
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.private_file import make_folder, replace_private

BOOTSTRAP = "bootstrap.json"
_STATS = {
    CDS: "cluster_manager.cds",
    ECDS: f"extension_config_discovery.http_filter.{JWT_AUTHN}",
    PROVIDER: f"extension_config_discovery.http_filter.{IDENTITY_PROVIDER}",
    LDS: "listener_manager.lds",
    LIMITS: f"extension_config_discovery.http_filter.{LIMITER}",
    OUTBOUND: f"http.{EGRESS_STATS}.rds.{ROUTES}",
    RDS: "http.ingress.rds.routes",
    RTDS: "runtime",
}
_NAMED_BY_THE_LISTENER = (*WHERE_NEEDED, PROVIDER, ECDS, LIMITS)
"""Files that are read only where the listener names them."""
_PUT_BACK_S = 2.0


class RouterFiles:
    """The files of the router in a folder, which answers on an admin socket."""

    def __init__(self, folder: Path, admin: RouterAdmin) -> None:
        self._folder = folder
        self._admin = admin

    def missing(self) -> tuple[str, ...]:
        """Return the files that a restart of the router needs and that are not there."""
        return tuple(n for n in (BOOTSTRAP, *self._needed()) if not (self._folder / n).exists())

    def are_watched(self) -> bool:
        """Whether the router notices new files: it watches folders, and only those it began with.

        A folder that was removed and made again is not watched.
        """
        return all((self._folder / name).parent.is_dir() for name in self._needed())

    def _needed(self) -> list[str]:
        """Return the files that the router reads; a release before may have named fewer."""
        listener, every = self.read(LDS), (*FILES, *WHERE_NEEDED)
        return [n for n in every if n not in _NAMED_BY_THE_LISTENER or n in listener]

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
        for name in set(WHERE_NEEDED) - texts.keys():
            self._remove(name)
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
        written.setdefault(name, before)
        version = version_of(text)
        if name == SDS:
            self.write(name, text)
            shown = partial(self._shows, version)
            wait(shown, deadline_s, lambda: "the certificate is not in force yet")
            return
        prefix = _STATS[name]
        refused = self._refused(prefix)
        self.write(name, text)

        def in_force() -> bool:
            found = self._admin.stats(f"^{prefix}.version_text$", "TextReadouts")
            if found.get(f"{prefix}.version_text") == version:
                return True
            if self._refused(prefix) > refused:
                raise RouterRejected(f"{name} was refused; see the router's log")
            return False

        wait(in_force, deadline_s, lambda: f"{name} is not in force yet")

    def put_named(self, name: str, text: str, written: dict[str, str], deadline_s: float) -> None:
        """As `put`, of what a listener names, but wait for none that does not.

        The listener that follows takes no request before it has read it.
        """
        if name in self.read(LDS):
            self.put(name, text, written, deadline_s)
            return
        written.setdefault(name, self.read(name))
        make_folder((self._folder / name).parent)
        self.write(name, text)

    def forget(self, name: str, written: dict[str, str]) -> None:
        """Remove a file that the listener names no more."""
        written.setdefault(name, self.read(name))
        self._remove(name)

    def _remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def put_back(self, written: Mapping[str, str]) -> None:
        """Restore previous files, routes first: none may name a cluster or check that is removed.

        A router that does not answer reads them at its next start.
        """
        for name in WHERE_NEEDED:  # a listener that names a file is refused where there is none
            if (text := written.get(name)) and not (self._folder / name).exists():
                self.write(name, text)
        for name in (RDS, RTDS, LDS, *_NAMED_BY_THE_LISTENER, CDS):
            text = written.get(name)
            if name in WHERE_NEEDED and text == "":
                self._remove(name)  # there was none
            if text:
                put = self.put_named if name in _NAMED_BY_THE_LISTENER else self.put
                with contextlib.suppress(InferenceError):  # the first error is the one to report
                    put(name, text, {}, time.monotonic() + _PUT_BACK_S)
                if self.read(name) != text:
                    self.write(name, text)

    def _shows(self, version: str) -> bool:
        """Whether new connections are shown the certificate of a version.

        Statistics do not tell it of a router that an older release has started.
        """
        answer = self._admin.get("/config_dump?resource=dynamic_active_secrets")
        found = json.loads(answer.text).get("configs", ())
        return any(one["name"] == SECRET and one["version_info"] == version for one in found)

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
