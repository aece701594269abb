"""A change of weights at 1,000 endpoints: from the call until the new weights are in force."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Table, free_port, median, running, until
from pydantic import SecretStr

from inference_provider.router import (
    DeploymentEntry,
    EndpointEntry,
    RouterTable,
    render,
)
from inference_provider.router.envoy import runtime_layer
from inference_provider.router.render import runtime
from inference_provider.targets.local.router import EnvoyRouter
from inference_provider.targets.local.router_weights import same_but_shares

ENDPOINTS, CHANGES, GOAL_MS = 1000, 20, 10.0


def measure() -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        folder = Path(text) / "r"
        folder.mkdir()
        router = EnvoyRouter(folder)
        table = _table(folder)
        router.write_all(table)
        with running(router.command(), folder / "log"):
            until(router.is_ready, "start of the router", 60)
            return [_measured(router, table)]


def _measured(router: EnvoyRouter, table: RouterTable) -> Table:
    router.converge(table, timeout_s=60)
    spent, shares, asked = [], [], []
    for number in range(CHANGES):
        after = _split(table, number)
        shares.append(_ms(lambda after=after: _rendered(table, after)))  # type: ignore[misc]
        spent.append(_ms(lambda after=after: router.converge(after)))  # type: ignore[misc]
        asked.append(_ms(lambda: router.admin.stats("^runtime.version_text$", "TextReadouts")))
        live = router.live_weights()
        if live is None or live["e0500"]["blue"] != 20 + number:
            raise RuntimeError("the weights that were asked for are not in force")
    other = EnvoyRouter(router.folder)
    fresh = _ms(lambda: other.converge(_split(table, 77)))
    whole = _ms(lambda: render(table))
    rows = [
        _row("weights of one endpoint, until in force", spent),
        _row("of it: comparing tables, rendering the weights", shares),
        _row("of it: asking Envoy once which weights are in force", asked),
        _row("the same from a new process (compares and renders all)", [fresh]),
        _row("rendering everything", [whole]),
    ]
    verdict = "reached" if median(spent) <= GOAL_MS else "missed"
    note = (
        f"{CHANGES} changes; goal: {GOAL_MS:.0f} ms, {verdict} at the median. "
        f"{ENDPOINTS:,} endpoints with 2 deployments each, 2 Envoy workers."
    )
    return Table("Change of weights", ("what", "median ms", "max ms"), rows, (note,))


def _row(what: str, values: list[float]) -> tuple[str, str, str]:
    return what, f"{median(values):.1f}", f"{max(values):.1f}"


def _ms(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return (time.perf_counter() - start_s) * 1000


def _rendered(before: RouterTable, after: RouterTable) -> str:
    same_but_shares(before, after)
    return runtime(runtime_layer(after))


def _split(table: RouterTable, number: int) -> RouterTable:
    """Return a table of new objects, as one that was read from records, with another split."""
    share = {"blue": 20 + number, "green": 80 - number}
    endpoints = tuple(
        endpoint.model_copy(update={"weights": share} if endpoint.name == "e0500" else {})
        for endpoint in table.endpoints
    )
    return table.model_copy(update={"endpoints": endpoints})


def _table(folder: Path) -> RouterTable:
    return RouterTable(
        folder=str(folder),
        host="127.0.0.1",
        port=free_port(),
        metrics_port=free_port(),
        endpoints=tuple(_endpoint(number) for number in range(ENDPOINTS)),
    )


def _endpoint(number: int) -> EndpointEntry:
    deployments = tuple(
        DeploymentEntry(name=name, backends=(), timeout_ms=5000, max_concurrent=1)
        for name in ("blue", "green")
    )
    return EndpointEntry(
        name=f"e{number:04}",
        keys=(SecretStr(f"primary-{number}"), SecretStr(f"secondary-{number}")),
        deployments=deployments,
        weights={"blue": 90, "green": 10},
    )
