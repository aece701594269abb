"""`logs`, `split`, `keys`: what is done with one endpoint that is there."""

from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError

from inference_provider.apply import apply
from inference_provider.cli import progress, strict_json
from inference_provider.cli.changing import Json
from inference_provider.cli.finding import Endpoint, candidates, find
from inference_provider.cli.reading import Workspace
from inference_provider.cli.session import Session, session_of
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, SpecError
from inference_provider.files.wording import faults_of
from inference_provider.observed import Kind, ObservedResource, ObservedState, Presence, ResourceId
from inference_provider.plan import plan as make_plan
from inference_provider.printable import coloured
from inference_provider.spec import TrafficSpec

KEY_NAMES = ("primary_key", "secondary_key")
keys = typer.Typer(help="Show or rotate an endpoint's keys.", invoke_without_command=True)


class WhichKey(StrEnum):
    """Keys of an endpoint; both are valid at once."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


def logs(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="ENDPOINT/DEPLOYMENT")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(help="Last lines of each instance.", min=0)] = 100,
    workspace: Workspace = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line on stdout.")
    ] = False,
) -> None:
    """Print the logs of a deployment's instances."""
    session = session_of(ctx)
    if deployment.count("/") != 1:
        fault = Fault("DEPLOYMENT", f"'{deployment}' is not ENDPOINT/DEPLOYMENT", "write iris/blue")
        raise SpecError((fault,), "the command line")
    logged = _logged(session, deployment, workspace)
    for line in session.target.logs(logged, lines=lines, follow=follow):
        text = line.rstrip("\n")
        told = strict_json.write(_log_json(logged, text), None) if as_json else coloured(text)
        print(told, flush=follow)


def _logged(session: Session, deployment: str, workspace: str | None) -> ResourceId:
    """Return the deployment of that name that has logs; the first start of it may have failed."""
    ids = candidates(session, Kind.DEPLOYMENT, deployment, workspace)
    found = [resource for resource in ids if session.target.has_logs(resource)]
    return found[0] if len(found) == 1 else find(session, Kind.DEPLOYMENT, deployment, workspace).id


def _log_json(deployment: ResourceId, text: str) -> dict[str, str]:
    """Tell the instance apart, where the target writes `<endpoint>.<deployment>.…: ` before it."""
    instance, colon, line = text.partition(": ")
    if colon and instance.startswith(deployment.name.replace("/", ".") + "."):
        return {"instance": instance, "line": line}
    return {"line": text}


def split(
    ctx: typer.Context,
    endpoint: Endpoint,
    shares: Annotated[list[str], typer.Argument(help="blue=90 green=10; 100 or 0 together.")],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint's split at once. `drift` shows it until the file says so too."""
    session, actor = session_of(ctx), session_of(ctx).actor("split")
    target = session.target
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    with target.hold((there.id.workspace,), actor):
        traffic_id = there.id.model_copy(update={"kind": Kind.TRAFFIC})
        traffic = target.observe_one(traffic_id)
        spec = _split_spec(session, traffic, _shares(shares))
        owner = (traffic.record or there.record).owner  # type: ignore[union-attr]
        wanted = DesiredResource(id=traffic_id, spec=spec, owner=owner)
        state = ObservedState(resources={traffic_id.address: traffic})
        with progress.shown(session.err) as (step, finished):
            apply(make_plan((wanted,), state, owner), target, actor, step, finished)
    if as_json:
        session.print_json(
            {
                "workspace": traffic_id.workspace,
                "endpoint": endpoint,
                "traffic": dict(spec.traffic),
                "mirror_traffic": dict(spec.mirror_traffic),
            }
        )
    else:
        print(f"{endpoint}: " + " ".join(f"{name}={share}" for name, share in spec.traffic.items()))


def _shares(texts: list[str]) -> dict[str, int]:
    shares = {}
    for text in texts:
        name, _, share = text.partition("=")
        if not share.isdigit() or name in shares:
            reason = (
                f"'{name}' is there twice" if name in shares else f"'{text}' is not NAME=PERCENT"
            )
            fault = Fault("SHARES", reason, "write each deployment once: blue=90 green=10")
            raise SpecError((fault,), "the command line")
        shares[name] = int(share)
    return shares


def _split_spec(session: Session, traffic: ObservedResource, shares: dict[str, int]) -> TrafficSpec:
    """Keep the mirror, replace the split; a share may name only a deployment that is there."""
    resource = traffic.id
    faults = []
    for name in shares:
        wanted = resource.model_copy(
            update={"kind": Kind.DEPLOYMENT, "name": f"{resource.name}/{name}"}
        )
        if session.target.observe_one(wanted).presence == Presence.ABSENT:
            reason = f"no deployment '{name}' behind endpoint '{resource.name}'"
            faults.append(Fault(f"traffic.{name}", reason, "deploy it first"))
    if faults:
        raise SpecError(tuple(faults), "the split")
    mirror = traffic.properties.get("mirror_traffic", {})
    document = {"workspace": resource.workspace, "endpoint": resource.name, "traffic": shares}
    try:
        return TrafficSpec.model_validate({**document, "mirror_traffic": mirror})
    except ValidationError as exc:
        raise SpecError(faults_of(exc, TrafficSpec), "the split") from None


@keys.callback()
def _keys(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@keys.command("show")
def show_keys(
    ctx: typer.Context, endpoint: Endpoint, workspace: Workspace = None, as_json: Json = False
) -> None:
    """Print both keys in clear."""
    session = session_of(ctx)
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    shown = {
        name: there.secret_outputs[name].get_secret_value()
        for name in KEY_NAMES
        if name in there.secret_outputs
    }
    if as_json:
        session.print_json(shown)
        return
    for name, value in shown.items():
        print(f"{name}: {value}")


@keys.command("rotate")
def rotate_key(
    ctx: typer.Context,
    endpoint: Endpoint,
    key: Annotated[WhichKey, typer.Option(help="Which of the two.")] = WhichKey.PRIMARY,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Replace one key; the other goes on working."""
    session, actor = session_of(ctx), session_of(ctx).actor("keys rotate")
    there = find(session, Kind.ENDPOINT, endpoint, workspace)
    session.target.rotate_key(there.id, key.value, actor)
    see = f"inferctl keys show {endpoint}"
    if as_json:
        place = {"workspace": there.id.workspace, "endpoint": endpoint}
        session.print_json({**place, "rotated": f"{key.value}_key", "see": see})
    else:
        print(f"rotated the {key.value} key of {there.id}; see it with: {see}")
