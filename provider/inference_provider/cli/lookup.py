"""One resource by the name a person types, in the workspaces a command means."""

from inference_provider.cli.session import Session, choose_workspaces
from inference_provider.errors import TargetError, TargetUnreachable
from inference_provider.observed import Kind, ObservedResource, Presence, ResourceId


def candidates(session: Session, kind: Kind, name: str, workspace: str | None) -> list[ResourceId]:
    """Return what a name may mean, one in each workspace that the command means."""
    names = choose_workspaces(session, None, workspace)
    return [ResourceId(kind=kind, workspace=place, name=name) for place in names]


def find(session: Session, kind: Kind, name: str, workspace: str | None) -> ObservedResource:
    """Return a resource by name.

    Raises:
        TargetError: It is not there, or is in more than one workspace.
        TargetUnreachable: The target does not answer.
    """
    found = find_all(session, kind, name, workspace)
    if len(found) > 1:
        places = ", ".join(there.id.workspace for there in found)
        raise TargetError(
            "find", f"{kind.value} '{name}'", f"it is in {places}", "pass --workspace NAME"
        )
    return found[0]


def find_all(
    session: Session, kind: Kind, name: str, workspace: str | None
) -> list[ObservedResource]:
    """Return what there is of that name, one at least.

    Raises:
        TargetError: There is none.
        TargetUnreachable: The target does not answer.
    """
    ids = candidates(session, kind, name, workspace)
    found = [session.target.observe_one(resource) for resource in ids]
    found = [there for there in found if there.presence != Presence.ABSENT]
    for there in found:
        if there.presence == Presence.UNKNOWN and there.record is None:
            raise TargetUnreachable("find", str(there.id), there.reason)
    if not found:
        raise TargetError(
            "find", str(ids[0]), "not found", "run `inferctl status` to list what there is"
        )
    return found
