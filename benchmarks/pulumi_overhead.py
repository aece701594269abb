"""What one of our resources adds to `pulumi up`, against a dynamic resource that does nothing.

The program is `pulumi_program/`; state lies in a local folder, nothing leaves the machine. The time
of a program without resources is taken off before dividing by their number.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import BIN, Table, skipped, timed

TITLE = "Time one resource adds to `pulumi up`"
COUNTS, LIMIT_S = (1, 100, 1000), 120
KINDS = {"noop": "no-op", "model": "Model"}
PROGRAM = Path(__file__).parent / "pulumi_program"


def measure() -> list[Table]:
    if not shutil.which("pulumi"):
        return [skipped(TITLE, "no pulumi on PATH")]
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        lab = Lab(Path(text))
        try:
            rows = [row for count in COUNTS for row in lab.rows(count)]
        finally:
            lab.stop()
    header = "resources", "kind", "create ms each", "no change ms each", "create s", "no change s"
    note = (
        f"An empty program: {lab.empty_s:.1f} s. A command is bounded to {LIMIT_S} s; `-` did not "
        "end in it or was not tried. Local file backend, `--skip-preview`, once each; at 1 resource"
        " the difference of two whole commands is mostly noise."
    )
    return [Table(TITLE, header, rows, (note,))]


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
        self.empty_s = 0.0
        self._pulumi("stack", "init", "empty")
        self._up("empty", "none", 0)
        self.empty_s = self._up("empty", "none", 0)

    def rows(self, count: int) -> list[tuple[str, ...]]:
        return [self._row(count, kind) for kind in KINDS]

    def _row(self, count: int, kind: str) -> tuple[str, ...]:
        stack = f"{kind}{count}"
        self._pulumi("stack", "init", stack)
        spent = [self._bounded(stack, kind, count)]
        spent.append(self._bounded(stack, kind, count) if spent[0] else None)
        each = [self._each(seconds, count) for seconds in spent]
        whole = [f"{seconds:.1f}" if seconds else "-" for seconds in spent]
        print(f"{count} {kind}: create {whole[0]} s, no change {whole[1]} s", file=sys.stderr)
        return (str(count), KINDS[kind], *each, *whole)

    def _each(self, seconds: float | None, count: int) -> str:
        return f"{(seconds - self.empty_s) / count * 1000:.0f}" if seconds else "-"

    def _bounded(self, stack: str, kind: str, count: int) -> float | None:
        try:
            return self._up(stack, kind, count)
        except subprocess.TimeoutExpired:
            return None

    def _up(self, stack: str, kind: str, count: int) -> float:
        more = {"BENCH_KIND": kind, "BENCH_COUNT": str(count)}
        return self._pulumi("up", "--yes", "--skip-preview", "--stack", stack, **more)

    def _pulumi(self, *words: str, **more: str) -> float:
        command = ("pulumi", *words, "--non-interactive")
        return timed(command, self.folder, {**self.settings, **more}, LIMIT_S)

    def stop(self) -> None:
        """End what a workspace may have started; nothing where nothing runs."""
        for found in (self.folder.parent / "s" / "workspaces").glob("*"):
            subprocess.run(
                (str(BIN / "inferctl"), "stop", "--workspace", found.name),
                env={**os.environ, **self.settings},
                capture_output=True,
                timeout=60,
                check=False,
            )
