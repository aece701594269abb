"""`keys`: the two keys of an endpoint."""

from enum import StrEnum
from typing import Annotated

import typer

from inference_provider.cli.lookup import find
from inference_provider.cli.options import Endpoint, Json, Workspace
from inference_provider.cli.session import session_of
from inference_provider.errors import TargetError
from inference_provider.observed import Actor, Kind, ObservedResource
from inference_provider.workspace.engine import Engine

KEY_NAMES = ("primary_key", "secondary_key")
keys = typer.Typer(help="Show or rotate an endpoint's keys.", invoke_without_command=True)


class WhichKey(StrEnum):
    """Keys of an endpoint; what two sign or are is valid at once."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    SIGNING = "signing"
    """Signs the tokens of an endpoint that takes those instead."""


@keys.callback()
def _keys(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@keys.command("show")
def show_keys(
    ctx: typer.Context, endpoint: Endpoint, workspace: Workspace = None, as_json: Json = False
) -> None:
    """Print both keys in plain text; the journal says who did."""
    session, actor = session_of(ctx), session_of(ctx).actor("keys show")
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    shown = read_keys(session.target, there, actor)
    if as_json:
        session.print_json(shown)
        return
    for name, value in shown.items():
        print(f"{name}: {value}")


def read_keys(target: Engine, there: ObservedResource, actor: Actor) -> dict[str, str]:
    """Return an endpoint's keys in plain text, once the journal says who reads them."""
    _refuse_other_modes(there)
    target.note_reading(there.id, actor)
    return {
        name: there.secret_outputs[name].get_secret_value()
        for name in KEY_NAMES
        if name in there.secret_outputs
    }


def _refuse_other_modes(there: ObservedResource) -> None:
    mode = there.record.properties.get("auth_mode") if there.record else "key"
    if mode != "key":
        remedy = f"run `inferctl token {there.id.name}`" if mode == "aml_token" else ""
        reason = f"it has none: its auth_mode is {mode}"
        raise TargetError("show the keys of", str(there.id), reason, remedy)


@keys.command("rotate")
def rotate_key(
    ctx: typer.Context,
    endpoint: Endpoint,
    key: Annotated[WhichKey, typer.Option(help="Which key.")] = WhichKey.PRIMARY,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Replace one key; the other keeps working.

    Tokens that the last signing key signed are valid until they expire, or the next rotation.
    """
    session, actor = session_of(ctx), session_of(ctx).actor("keys rotate")
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    session.target.rotate_key(there.id, key.value, actor)
    command = "token" if key == WhichKey.SIGNING else "keys show"
    see = f"inferctl {command} {endpoint}"
    if as_json:
        place = {"workspace": there.id.workspace, "endpoint": endpoint}
        session.print_json({**place, "rotated": f"{key.value}_key", "see": see})
    elif key == WhichKey.SIGNING:
        print(f"rotated the signing key of {there.id}; get a token with: {see}")
    else:
        print(f"rotated the {key.value} key of {there.id}; see it with: {see}")
