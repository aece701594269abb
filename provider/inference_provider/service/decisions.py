"""The log of decisions: one JSON object a line, with all that each went by.

Two files at most, each of a bounded size: the newer one, and one before it with `.1` to its name.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from inference_provider.autoscale import Decision, Memory
from inference_provider.autoscale_samples import Sample
from inference_provider.targets.whole_lines import append_line
from inference_provider.workspace.ruled import Ruled

FILE_BYTES = 10_000_000


@dataclass(frozen=True)
class Noted:
    """A decision, and what it went by."""

    time: datetime
    of: Ruled
    count: int
    """How many instances there were, those included that were starting."""
    sample: Sample
    memory: Memory
    decided: Decision


class Decisions:
    """Writes decisions down in a file; on a full disk none, and nobody waits for it."""

    def __init__(self, path: Path, file_bytes: int = FILE_BYTES) -> None:
        self._path = path
        self._limit = file_bytes

    def note(self, noted: Noted) -> None:
        """Write down a decision.

        What it remembered is there where it changes the count: enough to decide it again.
        """
        changes = noted.decided.count != noted.count
        self._write(
            {
                "time": noted.time.isoformat(),
                "deployment": noted.of.id.name,
                "count": noted.count,
                "wanted": noted.decided.count,
                "reasons": noted.decided.reasons,
                "sample": noted.sample.model_dump(exclude_none=True),
                "rule": noted.of.rule.model_dump(mode="json"),
                **({"memory": noted.memory.model_dump(exclude_none=True)} if changes else {}),
            }
        )

    def note_end(self, time: datetime, deployment: str, count: int, fault: str = "") -> None:
        """Write down that a change was made, or why it was not."""
        made: dict[str, Any] = {"failed": fault} if fault else {"made": True}
        self._write({"time": time.isoformat(), "deployment": deployment, "wanted": count, **made})

    def _write(self, document: dict[str, Any]) -> None:
        line = json.dumps(document) + "\n"
        with suppress(OSError):  # a full disk, or a folder that a person removed
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileNotFoundError):
                if self._path.stat().st_size + len(line) > self._limit:
                    os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
            append_line(self._path, line.encode("ascii"))
