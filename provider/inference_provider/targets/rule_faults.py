"""What keeps a workspace's autoscale rules from being kept, as its autoscaler writes it down.

The autoscaler writes one document, and `status` and `drift` of any client read it.
"""

from collections.abc import Mapping
from datetime import datetime

from pydantic import TypeAdapter

from inference_provider.observed import Frozen
from inference_provider.workspace.shown_time import shown_time

ALL = ""
"""Stands for every rule of the workspace, in place of a deployment."""


class RuleFault(Frozen):
    """Why a rule is not kept, since it was last."""

    since: datetime
    reason: str

    def __str__(self) -> str:
        return f"not kept since {shown_time(self.since)}: {self.reason}"


_FAULTS = TypeAdapter(dict[str, RuleFault])


def written(faults: Mapping[str, RuleFault]) -> bytes:
    """Return the document of faults, by deployment."""
    return _FAULTS.dump_json({**faults})


def read(document: bytes) -> dict[str, RuleFault]:
    """Return the faults of a document; none where it cannot be read."""
    try:
        return _FAULTS.validate_json(document)
    except ValueError:
        return {}
