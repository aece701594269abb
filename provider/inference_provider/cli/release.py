"""`release`: let another Pulumi stack take over what one holds, for a stack whose state is lost."""

import typer

from inference_provider.cli.options import Json, OptionalFile, Workspace
from inference_provider.cli.session import choose_workspaces, session_of


def release(
    ctx: typer.Context,
    file: OptionalFile = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Let another Pulumi stack take over what a lost one holds. Nothing that runs changes."""
    session = session_of(ctx)
    names = choose_workspaces(session, file, workspace)
    held = session.pipeline("release").release(names)
    if as_json:
        session.print_json({"released": [record.id.address for record in held]})
        return
    for record in held:
        session.say(f"released {record.id}, held by {record.claim.holder}")  # type: ignore[union-attr]
    if not held:
        session.out.print("nothing here is held by a Pulumi stack", markup=False)
