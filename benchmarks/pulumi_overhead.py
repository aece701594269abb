"""What one of our resources adds to `pulumi up`, against a dynamic resource that does nothing.

The program is `pulumi_program/`; state lies in a local folder, nothing leaves the machine. What the
same program takes without the resources is taken off before dividing by their number.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import BIN, Table, median, skipped, timed

TITLE = "Time one resource adds to `pulumi up`"
SMALL, LARGE = (1, 100), (1000,)
ROUNDS, LIMIT_S, BUDGET_S = 3, 300, 700
BASE = {"no-op": "none", "Model": "workspace", "Endpoint": "workspace"}
"""Per kind, the program without any; an Endpoint makes the router converge, a Model does not."""
PROGRAM = Path(__file__).parent / "pulumi_program"


class Case(NamedTuple):
    """So many resources of one kind."""

    kind: str
    size: int


class Run(NamedTuple):
    """Seconds of a first `up` and of one that changes nothing; None: ran past the limit."""

    create_s: float | None
    again_s: float | None


Runs = Mapping[Case, Sequence[Run]]


def measure() -> list[Table]:
    if not shutil.which("pulumi"):
        return [skipped(TITLE, "no pulumi on PATH")]
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        runs = _measured(Lab(Path(text)))
    header = ("resources", "kind", "create ms each", "no change ms each", "create s", "no change s",
              "runs")  # fmt: skip
    rows = [_row(case, runs) for case in runs if case.kind in BASE]
    base = ", ".join(
        f"{what} {_seconds(runs, kind, 0)} s ({len(runs[Case(kind, 0)])} runs)"
        for kind, what in (("none", "an empty program"), ("workspace", "one with a Workspace"))
    )
    note = (
        f"Create and no change of {base} are taken off: the first for no-op, the second for the"
        f" others. Medians of the runs counted in the last column; of up to {ROUNDS} rounds, none"
        f" starts after {BUDGET_S} s. A command is bounded to {LIMIT_S} s; `-` did not end in it."
        " Local file backend, `--skip-preview`. At 1 the figure is the difference of two whole"
        " commands: noise of some hundred ms."
    )
    return [Table(TITLE, header, sorted(rows, key=lambda row: int(row[0])), (note,))]


def _cases() -> Iterator[Case]:
    """Yield one round, the large sizes once, then the other rounds."""
    bases = [Case(kind, 0) for kind in dict.fromkeys(BASE.values())]
    small = [*bases, *(Case(kind, size) for size in SMALL for kind in BASE)]
    yield from small
    yield from (Case(kind, size) for size in LARGE for kind in ("no-op", "Model"))
    for _ in range(ROUNDS - 1):
        yield from small


def _measured(lab: "Lab") -> Runs:
    runs: dict[Case, list[Run]] = defaultdict(list)
    deadline_s = time.monotonic() + BUDGET_S
    for case in _cases():
        if time.monotonic() > deadline_s:
            break
        run = lab.run(case, len(runs[case]))
        runs[case].append(run)
        print(f"{case.size} {case.kind}: {run}", file=sys.stderr)
    return runs


def _row(case: Case, runs: Runs) -> tuple[str, ...]:
    base = _medians(runs[Case(BASE[case.kind], 0)])
    whole = _medians(runs[case])
    each = [
        f"{(seconds - without) / case.size * 1000:.0f}" if seconds and without else "-"
        for seconds, without in zip(whole, base, strict=True)
    ]
    told = [f"{seconds:.1f}" if seconds else "-" for seconds in whole]
    return str(case.size), case.kind, *each, *told, str(len(runs[case]))


def _medians(runs: Sequence[Run]) -> Run:
    columns = ([seconds for seconds in column if seconds] for column in zip(*runs, strict=True))
    return Run(*(median(column) if column else None for column in columns))


def _seconds(runs: Runs, kind: str, size: int) -> str:
    return " and ".join(f"{s:.1f}" if s else "-" for s in _medians(runs[Case(kind, size)]))


class Lab:
    """A copy of the program, a backend and a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "p"
        shutil.copytree(PROGRAM, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / "model.txt").write_text("weights")
        for name in ("home", "backend"):
            (folder / name).mkdir()
        self.settings = {
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "benchmark",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_PYTHON_CMD": sys.executable,
            "INFERENCE_STATE_DIR": str(folder / "s"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, case: Case, number: int) -> Run:
        """Measure a stack of its own; what runs in its workspace is ended afterwards."""
        stack = f"{case.kind.lower()}-{case.size}-{number}"
        self._pulumi("stack", "init", stack)
        try:
            create_s = self._up(stack, case)
            return Run(create_s, self._up(stack, case) if create_s else None)
        finally:
            self._stop(stack)

    def _up(self, stack: str, case: Case) -> float | None:
        more = {"BENCH_KIND": case.kind, "BENCH_COUNT": str(case.size), "BENCH_SPACE": stack}
        try:
            return self._pulumi("up", "--yes", "--skip-preview", "--stack", stack, **more)
        except subprocess.TimeoutExpired:
            return None

    def _pulumi(self, *words: str, **more: str) -> float:
        command = ("pulumi", *words, "--non-interactive")
        return timed(command, self.folder, {**self.settings, **more}, LIMIT_S)

    def _stop(self, workspace: str) -> None:
        """End what a workspace started; nothing where nothing runs."""
        subprocess.run(
            (str(BIN / "inferctl"), "stop", "--workspace", workspace),
            env={**os.environ, **self.settings},
            capture_output=True,
            timeout=60,
            check=False,
        )
