"""The steps of one publication: files written in their order, each of which Envoy has taken.

Goes in: a table and the steps that lead to it, of `router/steps.py`. When one fails, the files of
before are put back.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from inference_provider.errors import RouterRejected
from inference_provider.router.render import (
    CDS,
    ECDS,
    LDS,
    LIMITS,
    OUTBOUND,
    PROVIDER,
    RDS,
    RTDS,
    SDS,
    Renderer,
    filters_in,
    needed,
    outbound,
    provider_file,
    rates,
    runtime,
    token_checks,
)
from inference_provider.router.status import PUBLISHED_CLUSTERS, WARMING, ClusterCounts
from inference_provider.router.table import RouterTable
from inference_provider.router.writes import (
    ForgetOutbound,
    Step,
    WriteCertificate,
    WriteClusters,
    WriteLimits,
    WriteListener,
    WriteOutbound,
    WriteProvider,
    WriteTokens,
    WriteWeights,
)
from inference_provider.targets.asked_once import AskedOnce
from inference_provider.targets.envoy import process
from inference_provider.targets.envoy.files import RouterFiles, wait
from inference_provider.targets.envoy.router_admin import RouterAdmin


class Phase(NamedTuple):
    """A table, and the steps that take a router there."""

    table: RouterTable
    todo: Iterable[Step]
    beside: Iterable[str] = ()
    """Clusters that stay as they are, though they are not of the table."""


DRAIN_S = 15.0
"""Longest wait for connections under a listener of before; Envoy cuts them after ten seconds."""


class Steps:
    """Takes steps in the folder of one running router."""

    def __init__(
        self,
        folder: Path,
        files: RouterFiles,
        renderer: Renderer,
        admin: RouterAdmin,
        counts: AskedOnce[ClusterCounts],
    ) -> None:
        self._folder = folder
        self._files = files
        self._renderer = renderer
        self._admin = admin
        self._counts = counts

    def perform(
        self,
        phases: Iterable[Phase],
        deadline_s: float,
    ) -> None:
        """Take the steps to one table after another; when one fails, restore all files."""
        written: dict[str, str] = {}
        try:
            for table, todo, beside in phases:
                for step in todo:
                    self._take(step, table, written, deadline_s, beside)
        except BaseException as error:
            self._files.put_back(written)
            if isinstance(error, RouterRejected):
                process.validate(
                    self._folder, table
                )  # raises with Envoy's own words where it has any
            raise

    def _take(
        self,
        step: Step,
        table: RouterTable,
        written: dict[str, str],
        deadline_s: float,
        beside: Iterable[str],
    ) -> None:
        if isinstance(step, WriteClusters):
            counts = self._counts().healthy if step.healthy_as_before else {}
            wanted = {n: counts.get(n, 0) for n in step.healthy_as_before} | step.healthy
            self._files.put(CDS, self._renderer.file(CDS, table, beside), written, deadline_s)
            if step.warm:
                self._wait_warm(wanted, deadline_s)
        elif isinstance(step, WriteWeights):
            self._files.put(RTDS, runtime(step.layer), written, deadline_s)
        elif isinstance(step, WriteTokens):
            self._files.put_named(ECDS, token_checks(step.checks), written, deadline_s)
        elif isinstance(step, WriteProvider):
            self._files.put_named(PROVIDER, provider_file(step.checks), written, deadline_s)
        elif isinstance(step, WriteCertificate):
            self._put_certificate(table, written, deadline_s)
        elif isinstance(step, WriteLimits):
            self._files.put_named(LIMITS, rates(step.rates), written, deadline_s)
        elif isinstance(step, WriteListener):
            self._put_listener(table, written, deadline_s)
        elif isinstance(step, WriteOutbound):
            self._files.put_named(OUTBOUND, outbound(step.rules), written, deadline_s)
        elif isinstance(step, ForgetOutbound):
            self._files.forget(OUTBOUND, written)
        else:
            self._files.put(RDS, self._renderer.file(RDS, table), written, deadline_s)

    def _put_listener(self, table: RouterTable, written: dict[str, str], deadline_s: float) -> None:
        """Write the listener; where the routes that follow rely on a filter that is new, wait.

        One of a release that knew no identity provider, for example, would let everybody in on
        routes that ask for a provider's token.
        """
        before, text = self._files.read(LDS), self._renderer.file(LDS, table)
        self._files.put(LDS, text, written, deadline_s)
        # one that is there already may have come a moment ago, by a publication that was killed
        come = filters_in(text) - (filters_in(before) if before != text else set())
        routes = self._renderer.file(RDS, table)
        if any(f'"{name}":' in routes for name in come):
            self._wait_drained()

    def _wait_drained(self) -> None:
        """Wait until no connection goes on under a listener of before."""
        names = ("total_filter_chains_draining", "total_listeners_draining")
        pattern = f"^listener_manager.({'|'.join(names)})$"

        def drained() -> bool:
            return not any(self._admin.stats(pattern, "Gauges").values())

        wait(drained, time.monotonic() + DRAIN_S, lambda: "connections of before are open still")

    def _put_certificate(
        self, table: RouterTable, written: dict[str, str], deadline_s: float
    ) -> None:
        if table.tls:
            process.validate(
                self._folder, table.model_copy(update={"endpoints": (), "draining": ()})
            )
        self._put_where_needed(SDS, table, written, deadline_s)

    def _put_where_needed(
        self, name: str, table: RouterTable, written: dict[str, str], deadline_s: float
    ) -> None:
        if name in needed(table):
            text = self._renderer.file(name, table)
            self._files.put_named(name, text, written, deadline_s)
        else:  # the listener no longer names it
            self._files.forget(name, written)

    def _wait_warm(self, wanted: Mapping[str, int], deadline_s: float) -> None:
        late: list[str] = []

        def warm() -> bool:
            any_at_all = int(self._admin.stats(f"^{WARMING}$", "Gauges").get(WARMING, 0))
            # an instance can ask for names without end, and none of those is waited for
            late[:] = self._admin.warming(PUBLISHED_CLUSTERS) if any_at_all else []
            return not late

        wait(warm, deadline_s, lambda: f"Envoy is still warming up {_named(late)}")
        if wanted:
            self.wait_healthy(wanted, deadline_s - time.monotonic())

    def wait_healthy(self, wanted: Mapping[str, int], timeout_s: float = 30) -> None:
        """Wait until clusters have enough healthy backends.

        Envoy checks a backend that was down in an unchanged cluster again within a second.

        Args:
            wanted: Healthy backends by `<endpoint>/<deployment>`.
            timeout_s: Longest wait.

        Raises:
            NotReady: They do not have enough in time.
            TargetUnreachable: The router does not answer.
        """
        missing = list(wanted)

        def healthy() -> bool:
            counts = self._counts().healthy
            missing[:] = [name for name in wanted if counts.get(name, 0) < wanted[name]]
            return not missing

        wait(
            healthy,
            time.monotonic() + timeout_s,
            lambda: f"not all backends of {_named(missing)} are healthy",
        )


def _named(names: Iterable[str]) -> str:
    return ", ".join(names)[:300]
