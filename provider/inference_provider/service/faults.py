"""The faults that keep rules from being kept now, and since when, in a file beside the log.

What is in it outlives the process: a fault that is still there has the time at which it began.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from inference_provider.errors import InferenceError
from inference_provider.targets.private_file import write_private
from inference_provider.targets.rule_faults import RuleFault, read, written


class Faults:
    """Keeps the last fault of each rule; on a full disk what was written before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, RuleFault] = {}
        with suppress(OSError):
            self._known = read(path.read_bytes())
        self._saved = dict(self._known)

    def has(self, rule: str) -> bool:
        """Whether a rule has a fault."""
        return rule in self._known

    def keep(self, rule: str, reason: str, now: datetime) -> None:
        """Remember what is wrong with a rule, from the time at which anything was."""
        before = self._known.get(rule)
        self._known[rule] = RuleFault(since=before.since if before else now, reason=reason)

    def clear(self, rule: str) -> None:
        """Forget what was wrong with a rule."""
        self._known.pop(rule, None)

    def keep_only(self, rules: Collection[str]) -> None:
        """Forget rules that are gone."""
        self._known = {name: one for name, one in self._known.items() if name in rules}

    def save(self) -> None:
        """Write them down, if they have changed."""
        if self._known == self._saved:
            return
        with suppress(OSError, InferenceError):
            write_private(self._path, written(self._known).decode())
            self._saved = dict(self._known)
