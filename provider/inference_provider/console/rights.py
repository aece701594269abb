"""Who may score an endpoint, the identities and role assignments of its workspace; its journal."""

from starlette.responses import Response

from inference_provider.access import Scope, manager_note
from inference_provider.cli.access import grants_in, scorers
from inference_provider.console.opened import Asked
from inference_provider.console.seen import seen
from inference_provider.observed import Kind

NEWEST = 200
"""Entries of a journal that are shown."""


def rights(asked: Asked) -> Response:
    there, observed = asked.endpoint()
    session, place = asked.console.session, there.id.workspace
    deploys_as = session.target.capabilities.deploys_as
    grants = grants_in(session, place)
    found, other = scorers(session, there, Scope.endpoint(there.id.name))
    return asked.page(
        "rights",
        seen=seen(there, observed),
        scorers=found,
        other=other,
        identities=[one for one in observed.resources.values() if one.id.kind == Kind.IDENTITY],
        grants=[(one, manager_note(one, grants.roles, deploys_as)) for one in grants.assignments],
        identity=there.properties.get("identity") or "",
    )


def journal(asked: Asked) -> Response:
    workspace = asked.part("workspace")
    asked.console.refuse_unknown(workspace)
    entries = asked.console.target.journal(workspace)[-NEWEST:]
    return asked.page("journal", workspace=workspace, entries=entries[::-1])
