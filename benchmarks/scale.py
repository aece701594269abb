"""What whole commands take as a stack grows, beside another checkout in the same run.

Real `inferctl` processes against the real local target: `--help`; first `up` of N endpoints; `up`
and `drift` where nothing changed. Deployments there have no instances: records and routes, not
servers. What 20 deployments with servers take is in `side_by_side.py`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from measure import BIN, Table, median, timed

SIZES = (1, 100, 200, 400, 1000)
LARGEST_BEFORE, BEFORE_LIMIT_S = 400, 1000
"""Of the other checkout: what is measured at most, and how long one command may take."""
ROUNDS, HELP_ROUNDS, LIMIT_S = 3, 9, 300
ROUTE = {"path": "/health", "port": 8080}


@dataclass(frozen=True)
class Checkout:
    """One version of the project, with its environment."""

    bin: Path
    largest: int
    limit_s: float

    def inferctl(self, folder: Path, *words: str) -> float:
        """Return the seconds of one command. Raises as `timed` does."""
        more = {"INFERENCE_STATE_DIR": str(folder / "s")}
        return timed((str(self.bin / "inferctl"), *words), folder, more, self.limit_s)


@dataclass(frozen=True)
class Spent:
    """Seconds of one checkout at one size; the last two are medians."""

    first_s: float
    up_s: float
    drift_s: float


def checkouts(against: Path | None) -> dict[str, Checkout]:
    """Return what is measured, in the order of each round; `before` where there is another."""
    ours = {"now": Checkout(BIN, max(SIZES), LIMIT_S)}
    if against is None:
        return ours
    other = Checkout(against / ".venv" / "bin", LARGEST_BEFORE, BEFORE_LIMIT_S)
    return {**ours, "before": other}


def measure(against: Path | None = None) -> list[Table]:
    sides = checkouts(against)
    return [_help(sides), _growth(sides)]


def _help(sides: Mapping[str, Checkout]) -> Table:
    spent: dict[str, list[float]] = {name: [] for name in sides}
    python = []
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        folder = Path(text)
        for _ in range(HELP_ROUNDS):
            for name, side in sides.items():
                spent[name].append(side.inferctl(folder, "--help"))
            python.append(timed((sys.executable, "-c", "pass"), folder, {}, LIMIT_S))
    row = ["`inferctl --help`", *(f"{median(spent[name]):.2f}" for name in sides)]
    note = f"Median of {HELP_ROUNDS}; an empty Python takes {median(python):.2f} s."
    return Table("Help", ("command", *(f"{name} s" for name in sides)), [row], (note,))


def _growth(sides: Mapping[str, Checkout]) -> Table:
    found: dict[int, dict[str, Spent]] = {}
    late: list[str] = []
    for size in SIZES:
        here = {name: side for name, side in sides.items() if size <= side.largest}
        found[size] = _at(size, here, late)
    notes = [
        f"Wall time of whole processes, their start included; median of {ROUNDS} interleaved rounds"
        " (first up: once). Each endpoint has one deployment with no instances.",
        *late,
    ]
    words = [f"{what} {name} s" for what in ("first up", "up", "drift") for name in sides]
    rows = [_row(size, spent, sides) for size, spent in found.items()]
    return Table("A stack that grows", ("endpoints", *words), rows, notes)


def _row(size: int, spent: Mapping[str, Spent], sides: Mapping[str, Checkout]) -> list[str]:
    each = [spent.get(name) for name in sides]
    columns = ([s and getattr(s, what) for s in each] for what in ("first_s", "up_s", "drift_s"))
    return [str(size), *(f"{value:.2f}" if value else "-" for row in columns for value in row)]


def _at(size: int, sides: Mapping[str, Checkout], late: list[str]) -> dict[str, Spent]:
    """Measure one size; who runs past its limit is left out, and said in `late`."""
    first: dict[str, float] = {}
    ups: dict[str, list[float]] = {name: [] for name in sides}
    drifts: dict[str, list[float]] = {name: [] for name in sides}
    with stacks(stack(size), sides) as folders:
        for name, side in sides.items():
            try:
                first[name] = side.inferctl(folders[name], "up", "-y")
            except subprocess.TimeoutExpired:
                late.append(f"{size} endpoints {name}: more than {side.limit_s:.0f} s.")
        for _ in range(ROUNDS):
            for name in first:
                ups[name].append(sides[name].inferctl(folders[name], "up", "-y"))
                drifts[name].append(sides[name].inferctl(folders[name], "drift"))
    spent = {name: Spent(first[name], median(ups[name]), median(drifts[name])) for name in first}
    print(size, spent, file=sys.stderr)
    return spent


@contextmanager
def stacks(
    document: Mapping[str, Any], sides: Mapping[str, Checkout], server: str = ""
) -> Iterator[dict[str, Path]]:
    """Yield a folder for each checkout, with the stack file; what was started there is ended.

    Args:
        document: The stack file.
        sides: The checkouts, by name.
        server: Text of `code/serve.py`.
    """
    # a Unix socket's path has a limit of 107 bytes
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        folders = {name: Path(text) / name for name in sides}
        for folder in folders.values():
            (folder / "code").mkdir(parents=True)
            (folder / "code" / "serve.py").write_text(server)
            (folder / "stack.yaml").write_text(yaml.safe_dump(dict(document)))
        try:
            yield folders
        finally:
            for name, side in sides.items():
                with suppress(RuntimeError, subprocess.TimeoutExpired):  # nothing was started
                    side.inferctl(folders[name], "stop", "-w", "bench")


def stack(size: int, instances: int = 0) -> dict[str, Any]:
    """Return a stack of so many endpoints, each with one deployment of so many instances."""
    names = [f"bench-{number}" for number in range(size)]
    return {
        "name": "bench",
        "workspaces": [{"name": "bench"}],
        "environments": [environment()],
        "endpoints": [{"name": name} for name in names],
        "deployments": [deployment(name, instances) for name in names],
    }


def environment() -> dict[str, Any]:
    """Return the environment `plain`: nothing installed, and a server of its own."""
    routes = ("liveness_route", "readiness_route", "scoring_route")
    return {
        "name": "plain",
        "command": ["python", "serve.py", "{port}"],
        "inference_config": {route: dict(ROUTE) for route in routes},
    }


def deployment(endpoint: str, instances: int, **more: Any) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "name": "blue",
        "environment": "plain@latest",
        "code_configuration": {"code": "code"},
        "instance_count": instances,
        **more,
    }
