"""What was done in a workspace, and by whom, and a sample of what its router refused."""

from contextlib import suppress

from inference_provider.compare import compare
from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetUnreachable
from inference_provider.observed import Actor, JournalEntry, Kind, Record, ResourceId
from inference_provider.workspace.ports import Ports
from inference_provider.workspace.statuses import RouterStatus

_WHY = {
    401: "no valid key or token",
    403: "not allowed",
    429: "above a limit",
}


def entries(workspace: str, ports: Ports) -> tuple[JournalEntry, ...]:
    """Return the journal, oldest first, and then what the router refused lately, if it answers."""
    refused: tuple[JournalEntry, ...] = ()
    with suppress(TargetUnreachable):  # what was written down is known all the same
        refused = refusals(workspace, ports.router.status())
    return (*ports.records.journal(), *refused)


def was_applied(now: Record | None, before: Record | None) -> bool:
    """Whether a resource was applied in between. A handover is not that, nor a rollout."""
    return (now and now.time) != (before and before.time)


def changed_fields(desired: DesiredResource, before: Record) -> tuple[str, ...]:
    """Return the dotted fields in which a resource is to differ from its record."""
    changes = compare(desired.id.kind, before.properties, desired.properties, desired.placeholders)
    return tuple(change.path for change in changes)


def refusals(workspace: str, status: RouterStatus) -> tuple[JournalEntry, ...]:
    """Return an entry for each client and status of the sample; its time is the last call's."""
    return tuple(
        JournalEntry(
            time=one.last,
            actor=Actor(user=one.client),
            action=f"{one.calls} {'calls' if one.calls > 1 else 'call'} refused"
            f" ({one.status}, {_WHY.get(one.status, 'refused')}) of",
            id=_called(workspace, one.endpoint),
        )
        for one in status.refused
    )


def _called(workspace: str, endpoint: str) -> ResourceId:
    """Return what was called: an endpoint, or a path of the workspace that has none."""
    if endpoint == "-":
        return ResourceId.of_workspace(workspace)
    return ResourceId(kind=Kind.ENDPOINT, workspace=workspace, name=endpoint)
