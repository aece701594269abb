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
from inference_provider.router.render import runtime
from inference_provider.router.steps import WriteWeights, steps
from inference_provider.targets.envoy.delivery import Delivery

ENDPOINTS, CHANGES, GOAL_MS = 1000, 20, 10.0


def measure() -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        folder = Path(text) / "r"
        folder.mkdir()
        router = Delivery(folder)
        table = _table(folder)
        router.write_all(table)
        with running(router.command(), folder / "log"):
            until(router.is_ready, "start of the router", 60)
            return [_measured(router, table)]


def _measured(router: Delivery, table: RouterTable) -> Table:
    router.publish(table, timeout_s=60)
    spent, decided, asked, fresh = [], [], [], []
    before = table
    for number in range(CHANGES):
        after = _split(table, number)
        decided.append(_ms(lambda old=before, new=after: _decided(old, new)))  # type: ignore[misc]
        spent.append(_ms(lambda new=after: router.publish(new)))  # type: ignore[misc]
        asked.append(_ms(lambda: router.admin.stats("^runtime.version_text$", "TextReadouts")))
        _check(router, 20 + number)
        before = after
    for number in range(CHANGES):
        another, after = Delivery(router.folder), _as_read(_split(table, 50 + number))
        fresh.append(_ms(lambda one=another, new=after: one.publish(new)))  # type: ignore[misc]
        _check(router, 70 + number)
    rows = [
        _row("weights of one endpoint, until in force", spent),
        _row("of it: deciding what to write, rendering the weights", decided),
        _row("of it: asking Envoy once which weights are in force", asked),
        _row("the same by one that has changed nothing before (reads and compares all)", fresh),
        _row("rendering everything", [_ms(lambda: render(table))]),
    ]
    verdict = "reached" if median(spent) <= GOAL_MS else "missed"
    note = (
        f"{CHANGES} changes; goal: {GOAL_MS:.0f} ms, {verdict} at the median. "
        f"{ENDPOINTS:,} endpoints with 2 deployments each, 2 Envoy workers. "
        "An interpreter's start and imports are not in it."
    )
    return Table("Change of weights", ("what", "median ms", "max ms"), rows, (note,))


def _check(router: Delivery, blue: int) -> None:
    status = router.status()
    if status is None or status.weights["e0500"]["blue"] != blue:
        raise RuntimeError("the weights that were asked for are not in force")


def _as_read(table: RouterTable) -> RouterTable:
    """Return the table of nothing but new objects, as one that was read from records."""
    text = table.model_dump_json(context={"keys": "clear"})
    return RouterTable.model_validate_json(text)


def _row(what: str, values: list[float]) -> tuple[str, str, str]:
    return what, f"{median(values):.1f}", f"{max(values):.1f}"


def _ms(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return (time.perf_counter() - start_s) * 1000


def _decided(before: RouterTable, after: RouterTable) -> list[str]:
    todo = steps(before, after)
    return [runtime(step.layer) for step in todo if isinstance(step, WriteWeights)]


def _split(table: RouterTable, number: int) -> RouterTable:
    """Return the table with another split of one endpoint; the others are the same objects."""
    share = {"blue": 20 + number, "green": 80 - number}
    endpoints = tuple(
        endpoint.model_copy(update={"weights": share}) if endpoint.name == "e0500" else endpoint
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
