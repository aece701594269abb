"""What metrics cost the router: all of them, read each second, against none at all.

Both routers run beside each other, and rounds are interleaved. The service reads every 5 s; here it
is each second, so that every round has two looks.
"""

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import router
import subjects
from measure import Table, free_port, skipped
from subjects import KEY, ROUNDS, SECONDS, Document, Figures

from inference_provider.router.counters import COUNTERS, HISTOGRAMS, counted
from inference_provider.targets.envoy.router_admin import RouterAdmin

TITLE, GOAL, EVERY_S = "Metrics", 0.9, 1.0


def measure() -> list[Table]:
    if not shutil.which("wrk"):
        return [skipped(TITLE, "no wrk on PATH; on Debian: apt-get install wrk")]
    with tempfile.TemporaryDirectory(prefix="bench-") as text, contextlib.ExitStack() as stack:
        os.environ["BENCH_KEY"] = KEY
        folder, backend = Path(text), free_port()
        stack.enter_context(subjects.envoy("direct", folder, backend, subjects.backend(backend)))
        off = stack.enter_context(router.static("no metrics", folder, backend, without_metrics))
        on = stack.enter_context(router.static("metrics", folder, backend, lambda _manager: None))
        looks = stack.enter_context(read(folder / "sm" / "admin.sock"))
        found = {at: subjects.rounds((off, on), at) for at in router.CONNECTIONS}
    rows = [
        (name, str(at), f"{one.per_s:,.0f}", f"{one.p99_ms:.2f}", f"{one.cpu_us:.0f}", *of)
        for at, figures in found.items()
        for name, one in figures.items()
        for of in [_of_none(one, figures["no metrics"])]
    ]
    worst = min(one["metrics"].per_s / one["no metrics"].per_s for one in found.values())
    notes = (
        f"Metrics: the statistics log, read {len(looks)} times, once a second. None: no such log. "
        f"{worst:.2f} of none at the least (goal: {GOAL}, "
        f"{'reached' if worst >= GOAL else 'missed'}). Median of {ROUNDS} interleaved rounds of "
        f"{SECONDS} s; one Envoy worker.",
    )
    header = "router", "connections", "requests/s", "p99 ms", "CPU us/request", "of none", "CPU"
    return [Table(TITLE, header, rows, notes)]


def _of_none(one: Figures, none: Figures) -> tuple[str, str]:
    return f"{one.per_s / none.per_s:.2f}", f"{one.cpu_us / none.cpu_us:.2f}"


def without_metrics(manager: Document) -> None:
    for name in ("stats", "model errors"):
        router.drop(manager, "access_log", name)


@contextlib.contextmanager
def read(socket: Path) -> Iterator[list[object]]:
    """Read a router's metrics once a second, as the service does every 5 s."""
    admin, ended, looks = RouterAdmin(socket), threading.Event(), list[object]()

    def look() -> None:
        while not ended.wait(EVERY_S):
            looks.append(counted(admin.stats(COUNTERS), admin.histograms(HISTOGRAMS)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()
