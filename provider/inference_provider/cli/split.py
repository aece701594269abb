"""`split`: move an endpoint's requests to other deployments at once."""

from typing import Annotated

import typer
from pydantic import ValidationError

from inference_provider.apply import apply
from inference_provider.cli import progress
from inference_provider.cli.lookup import find
from inference_provider.cli.options import Endpoint, Json, Workspace
from inference_provider.cli.session import Session, session_of
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, SpecError
from inference_provider.files.wording import faults_of
from inference_provider.observed import Kind, ObservedResource, ObservedState, Presence
from inference_provider.plan import plan as make_plan
from inference_provider.spec import TrafficSpec


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
