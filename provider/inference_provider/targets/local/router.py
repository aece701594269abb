"""RouterTable -> an Envoy that serves it: files written in an order that fails no request.

What the files say is made in `router/`; what is in force is asked in `router_admin.py`; starting
and ending the process is the supervisor's work.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from inference_provider.errors import (
    InferenceError,
    NotReady,
    RouterRejected,
    TargetError,
    TargetUnreachable,
)
from inference_provider.quoting import without_secrets
from inference_provider.router.envoy import runtime_layer
from inference_provider.router.render import (
    CDS,
    LDS,
    RDS,
    RTDS,
    render,
    render_static,
    runtime,
    version_of,
    versioned,
)
from inference_provider.router.table import RouterTable
from inference_provider.targets.local.router_admin import (
    RouterAdmin,
    Shares,
    mirrors_of,
    per_cluster,
    weights_of,
)
from inference_provider.targets.local.router_weights import between, same_but_shares
from inference_provider.targets.private_file import no_space

T = TypeVar("T")
_Stamps = tuple[tuple[int, int], ...]
_SOCKET_PATH_LIMIT = 107
_WORDS_LIMIT = 600
_STATS = {
    CDS: "cluster_manager.cds",
    LDS: "listener_manager.lds",
    RDS: "http.ingress.rds.routes",
    RTDS: "runtime",
}


class EnvoyRouter:
    """One router, in its own folder.

    Args:
        folder: Holds `bootstrap.json`, one folder a kind of resource, `admin.sock`, `access.log`.
        workers: Envoy's threads.
    """

    def __init__(self, folder: pathlib.Path, workers: int = 2) -> None:
        self.folder = folder
        self.workers = workers
        self.admin = RouterAdmin(folder / "admin.sock")
        self._last: tuple[RouterTable, _Stamps] | None = None

    def command(self) -> tuple[str, ...]:
        """Return the command that starts the router; it logs warnings to stderr."""
        return (
            *(_envoy(), "--config-path", str(self.folder / "bootstrap.json")),
            *("--disable-hot-restart", "--concurrency", str(self.workers)),
            *("--log-level", "warn", "--component-log-level", "misc:error"),
            *("--drain-time-s", "10"),
        )

    def validate(self, table: RouterTable) -> None:
        """Let Envoy itself check a table; nothing of the router's folder is touched.

        Raises:
            RouterRejected: With Envoy's own words, without a key.
        """
        if len(str(self.folder / "admin.sock")) > _SOCKET_PATH_LIMIT:
            raise TargetError(
                "render",
                "the router's configuration",
                "the path of its admin socket is too long",
                f"use a folder of at most {_SOCKET_PATH_LIMIT - 11} characters",
                str(self.folder),
            )
        with tempfile.TemporaryDirectory(prefix="router-") as folder:  # made 0700
            path = pathlib.Path(folder) / "all.json"
            _write(path, render_static(table))
            done = subprocess.run(
                (
                    _envoy(),
                    "--mode",
                    "validate",
                    "--config-path",
                    str(path),
                    "--log-level",
                    "error",
                    "--component-log-level",
                    "misc:error",
                ),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        if done.returncode != 0:
            raise RouterRejected(_words(done.stdout + done.stderr, table))

    def write_all(self, table: RouterTable) -> None:
        """Write every file; for a router that does not run yet."""
        rendered = render(table)
        for name in (CDS, LDS, RDS, RTDS):
            for folder in (self.folder, (self.folder / name).parent):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
            self._write_text(name, rendered.files[name])
        self._write_text("bootstrap.json", rendered.bootstrap)

    def converge(self, table: RouterTable, timeout_s: float = 30) -> None:
        """Bring a running router to a table without failing a request.

        Clusters are added and healthy before a route names them, and removed after the last
        request on them; a file whose text is the same is not written.

        Raises:
            RouterRejected: Envoy refused an update; the files before it are back.
            NotReady: A backend did not become healthy in time; the files before are back.
            TargetUnreachable: The router does not answer; the files before are back.
        """
        deadline_s = time.monotonic() + timeout_s
        only_shares = (
            self._last is not None
            and self._last[1] == self._stamps()
            and same_but_shares(self._last[0], table)
        )
        new = {RTDS: runtime(runtime_layer(table))} if only_shares else render(table).files
        old = {name: self._read_text(name) for name in new}
        try:
            if only_shares:
                self._put(RTDS, new[RTDS], deadline_s)
            else:
                self._converge(old, new, deadline_s)
        except (RouterRejected, NotReady, TargetUnreachable) as error:
            self._put_back(old)
            if isinstance(error, RouterRejected):
                self.validate(table)  # raises with Envoy's own words where it has any
            raise
        self._last = table, self._stamps()

    def wait_healthy(self, wanted: Mapping[str, int], timeout_s: float = 30) -> None:
        """Wait until clusters have so many healthy backends.

        A backend that was down while its cluster stayed the same is asked again within a second.

        Raises:
            NotReady: They do not have them in time.
            TargetUnreachable: The router does not answer.
        """
        named = ", ".join(wanted)

        def healthy() -> bool:
            counts = self._healthy()
            return all(counts.get(name, 0) >= count for name, count in wanted.items())

        _wait(
            healthy, time.monotonic() + timeout_s, f"not all backends are healthy of {named[:300]}"
        )

    def is_ready(self) -> bool:
        """Whether the router answers and has all its configuration."""
        try:
            return self.admin.get("/ready").status_code == 200
        except TargetUnreachable:
            return False

    def live_weights(self) -> Shares | None:
        """Return the split in force by endpoint and deployment; None when it cannot be asked."""
        return self._ask(lambda: weights_of(self.admin.runtime()))

    def live_mirrors(self) -> Shares | None:
        """Return the mirrors in force by endpoint and deployment; None when it cannot be asked."""
        return self._ask(lambda: mirrors_of(self.admin.runtime()))

    def healthy_backends(self) -> dict[str, int] | None:
        """Return healthy backends by `<endpoint>/<deployment>`; None when it cannot be asked."""
        found = self._ask(self._healthy)
        if found is None:
            return None
        return {name: count for name, count in found.items() if name.count("/") == 1}

    def _converge(self, old: dict[str, str], new: dict[str, str], deadline_s: float) -> None:
        gone: dict[str, Any] = {}
        if old[CDS] != new[CDS]:
            before, after = _by_name(old[CDS]), _by_name(new[CDS])
            gone = {name: before[name] for name in before if name not in after}
            changed = {name: after[name] for name in after if before.get(name) != after[name]}
            wanted = _wanted(before, changed, self._healthy())
            both = versioned([*after.values(), *gone.values()]) if gone else new[CDS]
            self._put(CDS, both, deadline_s)
            self._wait_warm(wanted, deadline_s)
        if old[RDS] != new[RDS]:
            self._put(RTDS, between(old[RTDS], new[RTDS]), deadline_s)
        for name in (LDS, RDS, RTDS):
            self._put(name, new[name], deadline_s)
        if gone:
            self._wait_unused(gone)
            self._put(CDS, new[CDS], deadline_s)

    def _put_back(self, old: dict[str, str]) -> None:
        """Write the files before again, routes first: none may name a cluster that goes.

        A router that does not answer reads them when it starts.
        """
        self._last = None
        for name in (RDS, RTDS, LDS, CDS):
            if old.get(name):
                with contextlib.suppress(InferenceError):  # the first error is the one to report
                    self._put(name, old[name], time.monotonic() + 2)
                if self._read_text(name) != old[name]:
                    self._write_text(name, old[name])

    def _put(self, name: str, text: str, deadline_s: float) -> None:
        """Write one file and wait until it is in force; nothing is done when it is the same."""
        if self._read_text(name) == text:
            return
        prefix, version = _STATS[name], version_of(text)
        refused = self._refused(prefix)
        self._write_text(name, text)

        def in_force() -> bool:
            found = self.admin.stats(f"^{prefix}.version_text$", "TextReadouts")
            if found.get(f"{prefix}.version_text") == version:
                return True
            if self._refused(prefix) > refused:
                raise RouterRejected(f"{name} was refused; see the router's log")
            return False

        _wait(in_force, deadline_s, f"{name} is not in force yet")

    def _refused(self, prefix: str) -> int:
        if prefix == _STATS[RTDS]:  # numbers are never refused, and a change of them is to be quick
            return 0
        name = f"{prefix}.update_rejected"
        return int(self.admin.stats(f"^{name}$", "Counters").get(name, 0))

    def _wait_warm(self, wanted: dict[str, int], deadline_s: float) -> None:
        def warm() -> bool:
            warming = "cluster_manager.warming_clusters"
            return int(self.admin.stats(f"^{warming}$", "Gauges").get(warming, 0)) == 0

        _wait(warm, deadline_s, f"Envoy still prepares some of {', '.join(wanted)}"[:300])
        if wanted:
            self.wait_healthy(wanted, deadline_s - time.monotonic())

    def _wait_unused(self, gone: dict[str, Any]) -> None:
        """Wait for the last request on removed clusters, at most as long as one may take."""
        longest_ms = max(one["metadata"]["filter_metadata"]["azml"]["timeout_ms"]
                         for one in gone.values())  # fmt: skip
        pattern = r"^cluster\..*\.upstream_rq_active$"

        def unused() -> bool:
            active = per_cluster(self.admin.stats(pattern, "Gauges"), "upstream_rq_active")
            return not any(active.get(name, 0) for name in gone)

        try:
            _wait(unused, time.monotonic() + longest_ms / 1000, "requests are in flight")
        except NotReady:  # an upgraded connection may stay for hours; it is cut
            return

    def _healthy(self) -> dict[str, int]:
        stats = self.admin.stats(r"^cluster\..*/.*\.membership_healthy$", "Gauges")
        return per_cluster(stats, "membership_healthy")

    def _ask(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except TargetUnreachable:
            return None

    def _stamps(self) -> _Stamps:
        """Return what tells that somebody else wrote a file; cheaper than reading it."""
        paths = (self.folder / name for name in (CDS, LDS, RDS))
        return tuple(
            (found.st_ino, found.st_mtime_ns)
            for found in (path.stat() for path in paths if path.exists())
        )

    def _read_text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _write_text(self, name: str, text: str) -> None:
        # beside the watched folders: only the rename is to be seen in them
        fresh = self.folder / f".{name.replace('/', '.')}.{os.getpid()}"
        try:
            _write(fresh, text)
            fresh.replace(self.folder / name)
        except OSError as fault:
            fresh.unlink(missing_ok=True)
            raise no_space(fault, self.folder / name) from fault


def _by_name(text: str) -> dict[str, Any]:
    resources = json.loads(text)["resources"] if text else []
    return {cluster["name"]: cluster for cluster in resources}


def _wanted(
    before: dict[str, Any], changed: dict[str, Any], healthy: dict[str, int]
) -> dict[str, int]:
    """Return how many backends each changed cluster must have healthy.

    All of those that come; of those that stay as many as were: one that is broken already is not
    to stop a change of another deployment, and a new version may change something of every cluster.
    """
    return {
        name: healthy.get(name, 0)
        if before.get(name, {}).get("load_assignment") == cluster["load_assignment"]
        else len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"])
        for name, cluster in changed.items()
    }


def _wait(question: Callable[[], bool], deadline_s: float, otherwise: str) -> None:
    pause_s = 0.0005
    while not question():
        if time.monotonic() > deadline_s:
            raise NotReady("converge", "the router", otherwise, "look at the instances' logs")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


def _envoy() -> str:
    """Return the wheel's command, which is beside the interpreter."""
    return str(pathlib.Path(sys.executable).parent / "envoy")


def _write(path: pathlib.Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _words(output: str, table: RouterTable) -> str:
    """Return Envoy's own words, cut short, with every key taken out."""
    keys = tuple(key for endpoint in table.endpoints for key in endpoint.keys)
    output = without_secrets(output, keys)
    output = re.sub(r"\[\d{4}-\S+ \S+\[\d+\]\[\w+\]\[\w+\] \[\S+\] ?", "", output)
    output = re.sub(r"'?/\S*/all\.json'?", "the configuration", output)
    return " ".join(output.split())[:_WORDS_LIMIT] or "it gave no reason"
