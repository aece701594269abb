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
    session, actor = session_of(ctx), session_of(ctx).actor("release")
    target = session.target
    names = choose_workspaces(target, file, workspace)
    with target.hold(names, actor):
        found = target.observe(names).resources.values()
        held = [r for there in found if (r := there.record) is not None and r.claim is not None]
        for record in held:
            target.transfer(record.id, record.owner, actor)
    if as_json:
        session.print_json({"released": [record.id.address for record in held]})
        return
    for record in held:
        session.say(f"released {record.id}, held by {record.claim.holder}")  # type: ignore[union-attr]
    if not held:
        session.out.print("nothing here is held by a Pulumi stack", markup=False)
