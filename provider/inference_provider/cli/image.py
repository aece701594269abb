"""`image`: the images that a target builds: the router's, and those that are unused."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from inference_provider.cli.options import DEFAULT_FILE, Json, OptionalFile, Yes
from inference_provider.cli.session import Session, session_of
from inference_provider.errors import CapabilityMissing, TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.requirement import requirement_fault
from inference_provider.workspace.image_store import ImageStore, KeptImage

image = typer.Typer(
    help="Build, list and remove the images of a target.", invoke_without_command=True
)

Push = Annotated[
    str | None, typer.Option("--push", metavar="NAME", help="Push it under this name too.")
]
With = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="PACKAGE", help="Have this in it too: s3fs, for a bucket."),
]
_SHOWN = 5
"""Images that `down` names; a person who changes a folder often leaves dozens."""


@image.callback()
def _image(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@image.command("build")
def build_image(
    ctx: typer.Context,
    file: OptionalFile = None,
    push: Push = None,
    with_: With = None,
    as_json: Json = False,
) -> None:
    """Build the image of a router's container, as a workspace's `runtime_image` names it."""
    session = session_of(ctx)
    path = _named(file)
    workspace = session.read_stack(path).spec.workspaces[0] if path else WorkspaceSpec()
    store, more = _store(session), tuple(with_ or ())
    for one in more:
        if fault := requirement_fault(one):
            raise TargetError("build", f"an image with '{one}'", *fault)
    name, digest = store.runtime(workspace, session.err.print, more), ""
    if push:
        digest = store.push(name, push, session.err.print)
    if as_json:
        session.print_json({"image": name, "pushed": push, "digest": digest or None})
        return
    session.say(name)
    if push:
        session.say(f"{push}@{digest}")


@image.command("list")
def list_images(ctx: typer.Context, file: OptionalFile = None, as_json: Json = False) -> None:
    """List the images that were built, and what uses each."""
    session = session_of(ctx)
    kept = _of(session, file).kept()
    if as_json:
        session.print_json([one._asdict() for one in kept])
        return
    for one in kept:
        session.say(f"{one.name}  {one.size_mib} MiB  {one.used_by or 'unused'}")


@image.command("prune")
def prune_images(
    ctx: typer.Context, file: OptionalFile = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Remove the images that were built and are unused."""
    session = session_of(ctx)
    store = _of(session, file)
    store.clean()
    unused = [one for one in store.kept() if not one.used_by]
    if unused and not as_json:
        session.say(f"unused: {_listed(unused)}")
    _confirm(session, len(unused), yes=yes, as_json=as_json)
    # what is built on another is newer, and goes first
    removed = [one for one in reversed(unused) if store.remove(one)]
    removed += [one for one in unused if one not in removed and store.remove(one)]
    if as_json:
        session.print_json([one._asdict() for one in removed])
    else:
        session.say(f"removed {len(removed)} of {len(unused)} images")


def left_by(session: Session) -> str:
    """Say which unused images stay; empty when there is none."""
    store, unused = session.target.images, []
    with suppress(TargetError):  # of another workspace: what was to be deleted is gone
        unused = [one for one in store.kept() if not one.used_by] if store else []
    if not unused:
        return ""
    return f"kept for later: {_listed(unused, _SHOWN)}; `inferctl image prune` removes them"


def _listed(images: list[KeptImage], most: int | None = None) -> str:
    names = ", ".join(one.name for one in images[:most])
    more = f" and {len(images) - most} more" if most and len(images) > most else ""
    return f"{names}{more} ({sum(one.size_mib for one in images)} MiB)"


def _confirm(session: Session, count: int, *, yes: bool, as_json: bool) -> None:
    if yes or not count:
        return
    if as_json or not session.interactive:
        cause = "with --json" if as_json else ": stdin is not a terminal"
        reason = f"cannot prompt{cause}; nothing was removed"
        raise TargetError("remove", f"{count} images", reason, "pass -y to remove them")
    if not typer.confirm(f"remove {count} images?", err=True):
        raise typer.Exit(1)


def _of(session: Session, file: Path | None) -> ImageStore:
    path = _named(file)
    if path:
        session.read_name(path)
    return _store(session)


def _named(file: Path | None) -> Path | None:
    return file or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def _store(session: Session) -> ImageStore:
    store = session.target.images
    if store is None:
        target = session.target.capabilities.name
        remedy = "name a stack file whose workspace has `target: docker`"
        raise CapabilityMissing("find", "images", "no image is built there", remedy, target)
    return store
