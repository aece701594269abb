"""Decisions that were written down -> what each went by, and what would be decided today. Pure."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from inference_provider.autoscale import Memory, decide
from inference_provider.autoscale_samples import Sample
from inference_provider.observed import Frozen
from inference_provider.spec import AutoscaleRuleSpec


class Change(Frozen):
    """A decision that changed a count, as it was written down."""

    time: datetime
    deployment: str
    """`<endpoint>/<deployment>`."""
    count: int
    wanted: int
    reasons: tuple[str, ...]
    sample: Sample
    rule: AutoscaleRuleSpec
    memory: Memory
    ended: str = ""
    """`made`, or why not; empty where that is not written down."""

    def again(self) -> int:
        """Return the count that the same input leads to now."""
        return decide(self.rule, self.count, self.sample, self.memory, self.time).count


def changes(lines: Iterable[str], deployment: str) -> list[Change]:
    """Return the changes of one deployment, oldest first; skips what cannot be read."""
    found: list[Change] = []
    for line in lines:
        read = _read(line)
        if read.get("deployment") != deployment:
            continue
        if "memory" in read:
            with suppress(ValidationError):  # of another release
                found.append(Change.model_validate(read))
        elif found and ("made" in read or "failed" in read):
            ended = "made" if "made" in read else f"not made: {read['failed']}"
            found[-1] = found[-1].model_copy(update={"ended": ended})
    return found


def _read(line: str) -> dict[str, Any]:
    with suppress(ValueError):  # a full disk cut it short
        if isinstance(read := json.loads(line), dict):
            return read
    return {}
