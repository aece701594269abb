"""Calls that a router refused, as entries of a journal. Pure."""

from inference_provider.observed import Actor, JournalEntry, Kind, ResourceId
from inference_provider.workspace.statuses import RouterStatus

_WHY = {
    401: "no valid key or token",
    403: "not allowed",
    429: "above a limit",
}


def as_entries(workspace: str, status: RouterStatus) -> tuple[JournalEntry, ...]:
    """Return an entry for each client and status of the sample; its time is the last call's."""
    return tuple(
        JournalEntry(
            time=one.last,
            actor=Actor(user=one.client),
            action=f"refuse {one.calls} {'calls' if one.calls > 1 else 'call'}"
            f" ({one.status}, {_WHY.get(one.status, 'refused')}) of",
            id=ResourceId(kind=Kind.ENDPOINT, workspace=workspace, name=one.endpoint),
        )
        for one in status.refused
    )
