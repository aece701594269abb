"""`access`: what role assignments allow, from the records of a workspace; who shows which token."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, get_args

import typer

from inference_provider.access import (
    SCORE,
    Assignment,
    Principal,
    PrincipalKind,
    Scope,
    allowing,
    decide,
    manager_note,
)
from inference_provider.cli.lookup import find
from inference_provider.cli.options import Endpoint, Json, Workspace
from inference_provider.cli.session import Session, choose_workspaces, session_of
from inference_provider.errors import Fault, SpecError
from inference_provider.observed import Kind, ObservedResource, ResourceId
from inference_provider.role_needs import Grants, automatic_assignments
from inference_provider.spec.identity import SCOPE_NAMES, scope_text
from inference_provider.spec.roles import LIST_SECRETS, PULL, READ_BLOBS, action_name

DENIED = 2
"""Exit code of `explain` for what is not allowed."""
_SHORT = {"score": SCORE, "secrets": LIST_SECRETS, "pull": PULL, "blobs": READ_BLOBS}
_OTHERS = {
    "key": "whoever has one of its keys scores; its auth_mode is key, and roles do not count",
    "aml_token": "whoever has a token of `inferctl token` scores; its auth_mode is aml_token, and"
    " roles do not count",
}

access = typer.Typer(
    help="Say who may do what, and give tokens of the workspace service.",
    invoke_without_command=True,
)


@access.callback()
def _access(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@access.command("who-can")
def who_can(
    ctx: typer.Context,
    endpoint: Endpoint,
    deployment: Annotated[
        str | None, typer.Option("--deployment", "-d", help="One of its deployments.")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List who may score an endpoint or one of its deployments by role assignments."""
    session = session_of(ctx)
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    place, fields = there.id.workspace, there.properties
    if deployment:
        find(session, Kind.DEPLOYMENT, f"{endpoint}/{deployment}", place)
    scope = Scope.endpoint(endpoint, deployment or "")
    found, other = scorers(session, there, scope)
    if as_json:
        session.print_json(
            {
                "workspace": place,
                "scope": str(scope),
                "action": SCORE,
                "auth_mode": fields["auth_mode"],
                "allowed": [
                    {
                        "principal_type": one.principal.kind,
                        "principal": one.principal.name,
                        "role_assignment": one.name,
                        "role": one.role,
                        "scope": str(one.scope),
                    }
                    for one in found
                ],
            }
        )
        return
    for one in found:
        session.say(f"{one.principal}: {one}")
    if not found:
        session.say(other or f"no role assignment allows anybody to score {scope}")


def scorers(
    session: Session, there: ObservedResource, scope: Scope
) -> tuple[list[Assignment], str]:
    """Return the role assignments by which an endpoint, or a deployment, may be scored.

    Where they do not count for this endpoint: none, and a sentence that says what does.
    """
    if other := _OTHERS.get(there.properties["auth_mode"], ""):
        return [], other
    grants = grants_in(session, there.id.workspace)
    held = allowing(SCORE, scope, grants.assignments, grants.roles)
    # a token names a user and groups; an identity has none
    return [one for one in held if one.principal.kind != "identity"], ""


@access.command("explain")
def explain(  # noqa: PLR0917 - a command line
    ctx: typer.Context,
    principal: Annotated[
        str,
        typer.Argument(
            help="`user:ann`, `group:ops`, `identity:robot`, or the name of an identity or a user."
        ),
    ],
    action: Annotated[
        str, typer.Argument(help="An action of Azure, or `score`, `secrets`, `pull`, `blobs`.")
    ],
    scope: Annotated[
        str, typer.Argument(help="`workspace`, `endpoints/iris`, `connections/openai`, …")
    ],
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group that it is a member of.")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say whether a principal may do an action in a scope, by which role assignment, or why not.

    Exit code 0: it may; 2: it may not.
    """
    session = session_of(ctx)
    place = _one_workspace(session, workspace)
    where = _scope(session, place, scope)
    who = _principal(session, place, principal)
    asked = _action(action)
    grants = grants_in(session, place, who)
    found = decide(
        who, group or (), asked, where, assignments=grants.assignments, roles=grants.roles
    )
    if as_json:
        session.print_json(
            {
                "workspace": place,
                "principal_type": who.kind,
                "principal": who.name,
                "groups": group or [],
                "action": asked,
                "scope": str(where),
                "allowed": found.allowed,
                "role_assignment": found.by.name if found.by else None,
                "reason": found.reason,
            }
        )
    else:
        session.say(f"{'allowed' if found.allowed else 'denied'}: {found.reason}")
        for note in _managing(session, grants, who):
            session.say(note)
    if not found.allowed:
        raise typer.Exit(DENIED)


@access.command("token")
def token(  # noqa: PLR0917 - a command line
    ctx: typer.Context,
    principal: Annotated[
        str,
        typer.Argument(help="Whom it stands for: `user:ann`, `identity:robot`, or either's name."),
    ],
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group that it is a member of.")
    ] = None,
    minutes: Annotated[
        int, typer.Option("--minutes", help="How long it is valid, minutes.", min=1, max=129_600)
    ] = 480,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Print a token by which the workspace service knows a principal, until it expires."""
    session = session_of(ctx)
    place = _one_workspace(session, workspace)
    who, lifetime = _principal(session, place, principal), timedelta(minutes=minutes)
    if who.kind == "group":
        raise _wrong(principal, "a group asks nobody", "name a member, with --group for the group")
    desk, actor = session.target.desk(place), session.actor("access token")
    issued = desk.issue(who, tuple(group or ()), lifetime, actor)
    if as_json:
        session.print_json({"id": issued.id, **issued.answer})
    else:
        print(issued.value.get_secret_value())


@access.command("revoke")
def revoke(
    ctx: typer.Context,
    token: Annotated[str, typer.Argument(help="The id of a token, as the journal tells it.")],
    workspace: Workspace = None,
) -> None:
    """Have one token of the workspace service count no more, from now on."""
    session = session_of(ctx)
    place = _one_workspace(session, workspace)
    is_known = session.target.desk(place).revoke(token, session.actor("access revoke"))
    unknown = "" if is_known else "; the journal does not say that there was one, so check the id"
    session.say(f"revoked token {token} of workspace '{place}'{unknown}")


@access.command("rotate")
def rotate(ctx: typer.Context, workspace: Workspace = None) -> None:
    """Replace the key that signs tokens of the workspace service.

    Tokens that the last one signed are valid until they expire, or the next rotation.
    """
    session = session_of(ctx)
    place = _one_workspace(session, workspace)
    session.target.desk(place).rotate(session.actor("access rotate"))
    session.say(f"rotated the key that signs tokens of workspace '{place}'")


def _managing(session: Session, grants: Grants, who: Principal) -> Iterator[str]:
    """Say of each role assignment of an identity whether that may deploy by itself."""
    deploys_as = session.target.capabilities.deploys_as
    for one in grants.assignments:
        if one.principal == who and (note := manager_note(one, grants.roles, deploys_as)):
            yield f"{one}: {note}"


def _one_workspace(session: Session, workspace: str | None) -> str:
    names = choose_workspaces(session, None, workspace)
    if len(names) > 1:
        raise _wrong(
            "--workspace", f"there are several: {', '.join(names)}", "pass --workspace NAME"
        )
    return find(session, Kind.WORKSPACE, names[0], names[0]).id.workspace


def _scope(session: Session, place: str, written: str) -> Scope:
    """Return the scope that is meant; what it names must be there."""
    try:
        text = scope_text(written)
    except ValueError as exc:
        reason, _, remedy = str(exc).partition("; ")
        raise _wrong(written, reason, remedy) from None
    for named in SCOPE_NAMES.read("scope", text, {}):
        find(session, named.kind, named.name, place)
    endpoint, inside, deployment = text.removeprefix("endpoints/").partition("/deployments/")
    if inside:
        find(session, Kind.DEPLOYMENT, f"{endpoint}/{deployment}", place)
    return Scope.parse(text)


def _action(written: str) -> str:
    """Return the action that is meant; one of Azure's has a slash."""
    if written not in _SHORT and "/" not in written:
        remedy = f"use {', '.join(_SHORT)}, or write it as {SCORE}"
        raise _wrong(written, "not an action", remedy)
    return _SHORT.get(written, action_name(written))


def _principal(session: Session, place: str, written: str) -> Principal:
    kind, colon, name = written.partition(":")
    if colon and kind in get_args(PrincipalKind):
        if not name:
            raise _wrong(written, "names nobody", f"write a name behind it: {kind}:ann")
        if kind == "identity" and not name.startswith("endpoints/"):
            find(session, Kind.IDENTITY, name, place)
        found: Any = kind
        return Principal(found, name)
    own = written.startswith("endpoints/")
    known = own or session.target.is_recorded(_id(Kind.IDENTITY, place, written))
    return Principal("identity" if known else "user", written)


def grants_in(session: Session, place: str, who: Principal | None = None) -> Grants:
    """Return what is granted in a workspace, and what an endpoint's own identity has with it."""
    space = session.target.record(_id(Kind.WORKSPACE, place, place))
    given = session.target.of_kind(Kind.ROLE_ASSIGNMENT, place)
    grants = Grants.of((one.properties for one in given), space.properties if space else {})
    if who is None or not who.name.startswith("endpoints/"):
        return grants
    endpoint = find(session, Kind.ENDPOINT, who.name.partition("/")[2], place)
    deployer = Principal("user", endpoint.record.actor.user) if endpoint.record else None
    more = automatic_assignments(endpoint.properties, grants, deployer)
    return Grants((*grants.assignments, *more), grants.roles)


def _id(kind: Kind, place: str, name: str) -> ResourceId:
    return ResourceId(kind=kind, workspace=place, name=name)


def _wrong(what: str, reason: str, remedy: str) -> SpecError:
    return SpecError((Fault(what, reason, remedy),), "the command line")
