"""RouterTable -> a running Envoy that serves it, and queries of what is in force there.

`router/steps.py` decides the order of the files, `router/render.py` their content, and
`router/status.py` parses answers; this module writes files and sends queries. The caller starts and
ends the process and serializes publications, so the same code serves a router on this machine, in a
container or in a pod.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from inference_provider.errors import NotReady, TargetUnreachable
from inference_provider.router.build import with_keys_in_force
from inference_provider.router.form import form
from inference_provider.router.holding import holding_first, without_held
from inference_provider.router.provider import (
    KEYS_SOCKET,
    fetch_fault,
    fetched_uris,
    provider_checks,
)
from inference_provider.router.render import (
    CDS,
    Renderer,
    clusters_in,
    render,
)
from inference_provider.router.status import (
    CLUSTER_STATS,
    InForce,
    cluster_counts,
    requests_on,
    router_status,
)
from inference_provider.router.steps import (
    assumed,
    clusters_of,
    delayed,
    differ_only_in_shares,
    sharing_entries,
    steps,
    with_draining,
    without_health,
)
from inference_provider.router.table import EndpointEntry, RouterTable
from inference_provider.router.writes import (
    Step,
    WriteClusters,
)
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.envoy import process
from inference_provider.targets.envoy.connections import refuses
from inference_provider.targets.envoy.fetched_keys import FetchedKeys
from inference_provider.targets.envoy.files import BOOTSTRAP, RouterFiles, wait
from inference_provider.targets.envoy.router_admin import RouterAdmin
from inference_provider.targets.envoy.table_file import TableFile
from inference_provider.targets.envoy.taken_steps import Phase, Steps

LONGEST_REQUEST_S = 180.0
"""Longest wait for the requests of clusters whose own timeout is not known: the longest timeout
that a deployment may have."""
_Wanted = Callable[[tuple[Step, ...]], tuple[Step, ...]]


class Delivery:
    """Delivers tables to one router, through files in its folder.

    Args:
        folder: Holds `bootstrap.json`, one folder per kind of resource, `table.json`, `admin.sock`,
            `access.log`.
        workers: Number of Envoy's worker threads.
    """

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder = folder
        self.workers = workers
        self.admin = RouterAdmin(folder / "admin.sock")
        self._files = RouterFiles(folder, self.admin)
        self._renderer = Renderer()
        self._table_file = TableFile(folder)
        self._keys = FetchedKeys(folder)
        self._counts = AskedOnce(lambda: cluster_counts(self.admin.stats(CLUSTER_STATS, "Gauges")))
        self._runtime = AskedOnce(self.admin.runtime)
        self._steps = Steps(folder, self._files, self._renderer, self.admin, self._counts)

    # -- the process ---------------------------------------------------------------------------

    def command(self) -> tuple[str, ...]:
        """Return the command that starts the router; it logs warnings to stderr."""
        return process.command(self.folder, self.workers)

    def validate(self, table: RouterTable) -> None:
        """Let Envoy itself check a table; the router's folder is not touched.

        Raises:
            RouterRejected: Quotes Envoy's message, with keys removed.
        """
        process.validate(self.folder, table)

    def write_all(self, table: RouterTable) -> None:
        """Write every file; for a router that does not run yet."""
        table = self._with_known_keys(table)
        rendered = render(table)
        self._files.write_all({**rendered.files, BOOTSTRAP: rendered.bootstrap})
        self._remember(table)

    # -- publish -------------------------------------------------------------------------------

    def in_force(self) -> RouterTable | None:
        """Return the table in force; None where it is not known."""
        known = self._table_file.in_force()
        return known.table if known else None

    @property
    def calls_days(self) -> int:
        """Days after which a line of the access log is gone; 0 for as long as it has room."""
        known = self._table_file.last()
        return known.table.calls_days if known else 0

    def last_published(self) -> tuple[EndpointEntry, ...]:
        """Return what was published last, also while another publication is on its way."""
        known = self._table_file.last()
        return known.table.endpoints if known else ()

    def publish(
        self, table: RouterTable, timeout_s: float = 30, *, must_be_healthy: bool = True
    ) -> None:
        """Make a running router serve a table without failing a request.

        A cluster that is not in the new table gets no new request and stays until its last one
        ends; a later publication drops it. The caller holds a lock: one publication at a time.
        Where the table in force is not known, for example after an upgrade from an older release,
        it first publishes what the records said before its change.

        Args:
            table: What to serve; its `draining` is ignored.
            timeout_s: Longest wait for Envoy and for backends.
            must_be_healthy: Whether to refuse new backends that are not healthy; not where
                backends come and go by themselves, and one must leave whatever the others are.

        Raises:
            RouterRejected: Envoy refused an update; the previous files are restored.
            NotReady: A backend did not become healthy in time; the previous files are restored.
            TargetUnreachable: The router does not answer; the previous files are restored.
        """
        deadline_s = time.monotonic() + timeout_s
        known = self._table_file.in_force()
        table = self._with_known_keys(table)
        wanted: _Wanted = tuple if must_be_healthy else without_health
        if known is None:
            self._publish_over_unknown(table, deadline_s, wanted)
            return
        began_s = time.time()
        old = sharing_entries(known.table, table)
        new = self._with_draining(table, old, began_s)
        phases: list[Phase] = []
        other_form = known.form != form()
        if (between := holding_first(old, new)) is not old:
            todo = wanted(steps(old, between, other_form=other_form))
            phases.append(Phase(between, todo))
            old, other_form = between, False
        todo = wanted(steps(old, new, other_form=other_form))
        if phases or todo or new != old:
            self._steps.perform([*phases, Phase(new, todo)], deadline_s)
            self._remember(delayed(new, old, time.time() - began_s))
        else:
            self._table_file.hold(new)

    def is_drained(self, deployment: str) -> bool:
        """Whether a deployment gets no new request and its last ones have ended or timed out.

        Args:
            deployment: `<endpoint>/<deployment>`.

        Raises:
            TargetUnreachable: The router does not answer.
        """
        known = self._table_file.last()
        if known is None:
            return not requests_on(deployment, self._counts().in_flight)
        if deployment in clusters_of(known.table.model_copy(update={"draining": ()})):
            return False
        ends_s = [one.until_s for one in known.table.draining if one.of == deployment]
        if time.time() >= max(ends_s, default=0):
            return True
        return not requests_on(deployment, self._counts().in_flight)

    # -- ask -----------------------------------------------------------------------------------

    def missing(self) -> tuple[str, ...]:
        """Return the files that a restart of the router needs and that are not there."""
        return self._files.missing()

    def is_watching(self) -> bool:
        """Whether the router notices new files."""
        return self._files.are_watched()

    def write_bootstrap(self, table: RouterTable) -> None:
        """Write the file that only a start reads."""
        self._files.write(BOOTSTRAP, render(table).bootstrap)

    def is_ready(self) -> bool:
        """Whether the router answers and has all its configuration."""
        try:
            return self.admin.get("/ready").status == 200
        except TargetUnreachable:
            return False

    def status(self) -> InForce | None:
        """Return what is in force; None when the router does not answer."""
        try:
            return router_status(self._counts(), self._runtime())
        except TargetUnreachable:
            return None

    def fetch_fault(self) -> str:
        """Say which keys of identity providers cannot be fetched; empty when all can be."""
        known = self._table_file.last()
        if known is None or known.form != form():  # a router of an older release fetches by itself
            return ""
        if not (uris := fetched_uris(provider_checks(known.table))):
            return ""
        states = {uri: self._keys.state(uri) for uri in uris}
        return fetch_fault(states, asked=not refuses(str(self.folder / KEYS_SOCKET)))

    def in_flight(self) -> Mapping[str, int]:
        """Return the requests in flight by cluster. Raises TargetUnreachable."""
        return self._counts().in_flight

    def wait_healthy(self, wanted: Mapping[str, int], timeout_s: float = 30) -> None:
        """Wait until clusters have enough healthy backends; see `Steps.wait_healthy`."""
        self._steps.wait_healthy(wanted, timeout_s)

    # -- the table in force --------------------------------------------------------------------

    def _remember(self, table: RouterTable) -> None:
        self._table_file.remember(table)
        if uris := fetched_uris(provider_checks(table)):
            self._keys.forget_others(uris)

    def _with_known_keys(self, table: RouterTable) -> RouterTable:
        """Return the table, with the keys in force for endpoints whose keys are lost.

        Keys of an outdated table are never used: they may have been replaced since.
        """
        return with_keys_in_force(table, self.in_force())

    def _with_draining(self, table: RouterTable, old: RouterTable, now_s: float) -> RouterTable:
        """Return the table with its draining clusters; a change of shares alone keeps them as is.

        Dropping one would rewrite the file of all clusters, and shares must change at once.
        """
        as_it_is = table.model_copy(update={"draining": old.draining})
        if as_it_is != old and differ_only_in_shares(old, as_it_is):
            return as_it_is
        in_flight = self._counts().in_flight if old.draining else {}
        return with_draining(table, old, in_flight, now_s)

    def _publish_over_unknown(self, table: RouterTable, deadline_s: float, wanted: _Wanted) -> None:
        """Publish to a router whose files an older release, or a killed publication, wrote.

        Unknown clusters stay as they are until the new routes are in force and the last request
        on them has ended. So do, until then, those of deployments whose requests are to wait: they
        may have lost their last instance.
        """
        there = clusters_in(self._files.read(CDS))
        live = router_status(self._counts(), self._runtime())
        old = assumed(table, there, live.weights, live.mirrors)
        began_s = time.time()
        new = with_draining(table, old, live.in_flight, began_s)
        left = _beside(new, there)
        clusters, *rest = wanted(steps(old, new, other_form=True))
        phases = [Phase(new, (clusters, *rest), left.values())]
        if (first := without_held(new)) is not new:
            others = assumed(first, there, live.weights, live.mirrors)
            before = wanted(steps(others, first, other_form=True))[:1]
            beside = _beside(first, there).values()
            phases = [Phase(first, before, beside), Phase(new, (*rest, clusters), left.values())]
        self._steps.perform(phases, deadline_s)
        if left:
            self._wait_unused(left)
            todo = [Phase(new, (WriteClusters(),))]
            self._steps.perform(todo, deadline_s + LONGEST_REQUEST_S)
        self._remember(delayed(new, old, time.time() - began_s))

    def _wait_unused(self, clusters: Iterable[str]) -> None:
        def unused() -> bool:
            return not any(map(self._counts().in_flight.get, clusters))

        with contextlib.suppress(NotReady):  # an upgraded connection may last hours: cut it
            wait(unused, time.monotonic() + LONGEST_REQUEST_S, lambda: "requests are in flight")


def _beside(table: RouterTable, there: Mapping[str, str]) -> Mapping[str, str]:
    """Return the clusters of a file that are not of a table."""
    known = clusters_of(table)
    return {name: text for name, text in there.items() if name not in known}
