"""`up`, `plan` and `down`: the commands that make a stack be, or say what would."""

from pathlib import Path
from typing import Annotated, Any

import typer

from inference_provider.apply import apply, refuse_what_cannot_be
from inference_provider.cli import progress
from inference_provider.cli.plan_text import plan_json, plan_lines, verdict
from inference_provider.cli.session import (
    DEFAULT_FILE,
    Declared,
    Session,
    declare,
    names_in,
    read_stack,
    session_of,
    with_left_ones,
    workspaces_of,
)
from inference_provider.errors import OutOfCapacity, TargetError
from inference_provider.observed import Actor, Kind, ObservedState, ResourceId
from inference_provider.outputs import outputs
from inference_provider.plan import Action, ActionKind, Plan
from inference_provider.plan import plan as make_plan
from inference_provider.printable import one_line
from inference_provider.sharing import (
    held_lines,
    refuse_what_is_owned,
    shared_lines,
    staying_lines,
    without_shared,
)

File = Annotated[Path, typer.Argument(help="The stack file.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")]
NoPrune = Annotated[
    bool, typer.Option("--no-prune", help="Leave what the file no longer declares.")
]


def up(
    ctx: typer.Context,
    file: File = DEFAULT_FILE,
    yes: Yes = False,
    no_prune: NoPrune = False,
    as_json: Json = False,
) -> None:
    """Make what runs be as the stack file says."""
    session = session_of(ctx)
    stack, actor = read_stack(file), session.actor("up")
    names = workspaces_of(stack, session.target)
    with session.target.hold(names, actor):
        declared = declare(stack, file, names, session.target)
        found, notes = _planned(session, declared)
        found = _without_deletions(found) if no_prune else found
        _announce(session, found, notes, as_json=as_json)
        _ask(session, found, yes=yes or not _deletions(found), as_json=as_json)
        _apply(session, found, actor)
    made = outputs(session.target.observe(names))
    if as_json:
        done = {"stack": stack.name, "notes": notes, "actions": plan_json(found)}
        session.print_json({**done, "outputs": made})
    else:
        for line in _addresses(made, declared):
            session.say(line)


def plan(ctx: typer.Context, file: File = DEFAULT_FILE, as_json: Json = False) -> None:
    """Show what `up` would do. Exit 2 when there is anything."""
    session = session_of(ctx)
    stack = read_stack(file)
    declared = declare(stack, file, workspaces_of(stack, session.target), session.target)
    found, notes = _planned(session, declared)
    if as_json:
        said = {"stack": stack.name, "verdict": verdict(found), "notes": notes}
        session.print_json({**said, "actions": plan_json(found)})
    else:
        _announce(session, found, notes, as_json=False)
    raise typer.Exit(2 if found.pending else 0)


def down(
    ctx: typer.Context, file: File = DEFAULT_FILE, yes: Yes = False, as_json: Json = False
) -> None:
    """Delete everything that carries the stack's label."""
    session = session_of(ctx)
    (owner, declared), actor = names_in(file), session.actor("down")
    names = with_left_ones(owner, declared, session.target)
    with session.target.hold(names, actor):
        found, notes = _removal(session, names, owner)
        _announce(session, found, notes, as_json=as_json)
        _ask(session, found, yes=yes or not _deletions(found), as_json=as_json)
        try:
            _apply(session, found, actor)
        except OutOfCapacity:  # no room to tell the router
            if not _stopped_what_goes(session, found, actor):
                raise
            _apply(session, _removal(session, names, owner)[0], actor)
    if as_json:
        session.print_json({"stack": owner, "notes": notes, "actions": plan_json(found)})


def _removal(session: Session, names: tuple[str, ...], owner: str) -> tuple[Plan, list[str]]:
    """Return what `down` deletes, and what to say beside it."""
    observed = session.target.observe(names)
    found = without_shared(make_plan((), observed, owner), observed)
    notes = [*staying_lines(found, observed), *held_lines(found, observed)]
    found = Plan(actions=(*found.actions, *_left(session, names, observed, owner)))
    if not found.actions:
        notes.append(f"nothing in {', '.join(names)} belongs to stack '{owner}'")
    return found, notes


def _stopped_what_goes(session: Session, found: Plan, actor: Actor) -> bool:
    """Stop the workspaces that are deleted: with nothing running a deletion writes nothing."""
    gone = [a.id.workspace for a in _deletions(found) if a.id.kind == Kind.WORKSPACE]
    with progress.shown(session.err) as (step, _):
        for name in gone:
            session.target.stop(name, actor, step)
    return bool(gone)


def _left(
    session: Session, names: tuple[str, ...], observed: ObservedState, owner: str
) -> list[Action]:
    """Return deletions of workspaces that a first `up` began and nothing speaks of."""
    spoken_of = {there.id.workspace for there in observed.resources.values()}
    return [
        Action(
            kind=ActionKind.DELETE,
            id=ResourceId(kind=Kind.WORKSPACE, workspace=name, name=name),
            owner=owner,
        )
        for name in names
        if name in session.target.workspaces() and name not in spoken_of
    ]


def _planned(session: Session, declared: Declared) -> tuple[Plan, list[str]]:
    """Return what is to be done, and what to say beside it; refuse what cannot be."""
    whole = make_plan(declared.resources, declared.observed, declared.stack.name)
    found = without_shared(whole, declared.observed)
    refuse_what_cannot_be(found, session.target, declared.observed)
    refuse_what_is_owned(found, declared.observed)
    lines = (shared_lines, staying_lines, held_lines)
    return found, [line for say in lines for line in say(found, declared.observed)]


def _announce(session: Session, found: Plan, notes: list[str], *, as_json: bool) -> None:
    console = session.err if as_json else session.out
    for line in [*notes, *plan_lines(found)]:
        console.print(one_line(line), markup=False)


def _deletions(found: Plan) -> list[Action]:
    gone = (ActionKind.DELETE, ActionKind.REPLACE)
    return [action for action in found.pending if action.kind in gone]


def _ask(session: Session, found: Plan, *, yes: bool, as_json: bool) -> None:
    """Ask before anything is deleted; where there is no terminal, stop before any change."""
    if yes:
        return
    count = len(_deletions(found))
    declares = any(action.desired for action in found.actions)
    noun = "resource" if count == 1 else "resources"
    if as_json or not session.interactive:
        cause = " with --json" if as_json else ": stdin is not a terminal"
        raise TargetError(
            "delete",
            f"{count} {noun}",
            f"cannot prompt{cause}; nothing was changed",
            "pass -y to delete" + (", or --no-prune to leave it" if declares else ""),
        )
    if not typer.confirm(f"delete or replace {count} {noun}?", err=True):
        session.err.print("nothing was changed")
        raise typer.Exit(1)


def _apply(session: Session, found: Plan, actor: Actor) -> None:
    with progress.shown(session.err) as (step, finished):
        apply(found, session.target, actor, step, finished)


def _without_deletions(found: Plan) -> Plan:
    left = (ActionKind.DELETE, ActionKind.HAND_OVER)
    return Plan(actions=tuple(a for a in found.actions if a.kind not in left))


def _addresses(made: dict[str, dict[str, Any]], declared: Declared) -> list[str]:
    """Return where the stack's own endpoints are scored; a workspace may hold other stacks' too."""
    mine = {r.id.address for r in declared.resources if r.id.kind == Kind.ENDPOINT}
    return [
        f"{address}: {found['scoring_uri']}"
        for address, found in made.items()
        if address in mine and "scoring_uri" in found
    ]
