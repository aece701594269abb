"""Run all benchmarks, or those named, and print their tables as Markdown.

`benchmarks/run.py [--against CLONE] [SUITE ...]`, each one of router, metrics, weights, scale,
servers, zero, pulumi, drift, docker and cluster.

CLONE is a checkout of another version with its own `.venv`: it is measured in the same run.
"""

import argparse
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import containers
import drift_review
import gpu_nodes
import metrics
import pulumi_overhead
import router
import scale
import side_by_side
import to_zero
import weights
from measure import Table

ALONE: dict[str, Callable[[], list[Table]]] = {
    "router": router.measure,
    "metrics": metrics.measure,
    "weights": weights.measure,
    "pulumi": pulumi_overhead.measure,
    "drift": drift_review.measure,
    "zero": to_zero.measure,
    "docker": containers.measure,
    "cluster": gpu_nodes.measure,
}
COMPARED: dict[str, Callable[[Path | None], list[Table]]] = {
    "scale": scale.measure,
    "servers": side_by_side.measure,
}
"""Those that interleave the other checkout; the rest are run by both, one after the other."""


def main(words: Sequence[str] | None = None) -> None:
    suites = [*ALONE, *COMPARED]
    parser = argparse.ArgumentParser(description="Measure, and print tables as Markdown.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(suites))
    parser.add_argument("--against", type=Path, metavar="CLONE")
    asked = parser.parse_args(words)
    unknown = set(asked.suites) - set(suites)
    if unknown:
        parser.error(f"no suite '{min(unknown)}'; choose from {', '.join(suites)}")
    against = asked.against.resolve() if asked.against else None
    for name in asked.suites or suites:
        for table in _tables(name, against):
            print(table, flush=True)


def _tables(name: str, against: Path | None) -> Iterator[Table | str]:
    if name in COMPARED:
        yield from COMPARED[name](against)
        return
    yield from ALONE[name]()
    if against is not None:
        yield f"Before, in {against.name}:\n"
        yield _of(against, name)


def _of(clone: Path, name: str) -> str:
    """Return the tables that another checkout prints of a suite."""
    command = (str(clone / ".venv/bin/python"), str(clone / "benchmarks/run.py"), name)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
