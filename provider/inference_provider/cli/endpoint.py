"""`score`, `logs`, `split`, `keys`: what is done with one endpoint that is there."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import ValidationError

from inference_provider.apply import apply
from inference_provider.cli import progress
from inference_provider.cli.changing import Json
from inference_provider.cli.reading import Workspace
from inference_provider.cli.session import Session, choose_workspaces, session_of
from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.observed import Kind, ObservedResource, ObservedState, Presence, ResourceId
from inference_provider.plan import plan as make_plan
from inference_provider.spec import TrafficSpec

SCORE_TIMEOUT_S = 200.0
"""A little over the longest request a deployment may allow (180 s)."""
KEY_NAMES = ("primary_key", "secondary_key")
Endpoint = Annotated[str, typer.Argument(help="Name of the endpoint.")]
keys = typer.Typer(help="Show or rotate an endpoint's keys.", no_args_is_help=True)


class WhichKey(StrEnum):
    """Keys of an endpoint; both are valid at once."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


def score(
    ctx: typer.Context,
    endpoint: Endpoint,
    *,
    data: Annotated[str | None, typer.Option(help="File of the body; - is stdin.")] = None,
    deployment: Annotated[
        str | None, typer.Option(help="Deployment to ask, whatever the split says.")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Send one request to an endpoint with its key, and print the answer."""
    session = session_of(ctx)
    there = _endpoint(session, endpoint, workspace)
    body = _body(session, data)
    answer = _post(session, there, body, deployment)
    request_id = answer.headers.get("x-request-id", "unknown")
    if not answer.is_success:
        raise TargetError(
            "score",
            str(there.id),
            f"answered {answer.status_code} {answer.text[:500]} (x-request-id {request_id})",
            f"see inferctl logs {endpoint}/DEPLOYMENT",
        )
    if as_json:
        session.print_json(
            {
                "status": answer.status_code,
                "deployment": answer.headers.get("azureml-model-deployment", ""),
                "request_id": request_id,
                "body": _json_or_text(answer),
            }
        )
    else:
        print(answer.text)


def _body(session: Session, data: str | None) -> bytes:
    if data is None and session.interactive:
        fault = Fault("--data", "missing", "name a file, or - and type the body")
        raise SpecError((fault,), "the command line")
    if data in (None, "-"):
        return sys.stdin.buffer.read()
    path = Path(str(data))
    if not path.is_file():
        fault = Fault("--data", f"no file '{path}'", "name a file that is there")
        raise SpecError((fault,), "the command line")
    return path.read_bytes()


def _post(
    session: Session, there: ObservedResource, body: bytes, deployment: str | None
) -> httpx.Response:
    address = there.outputs.get("scoring_uri")
    if not address:
        reason = "it has no scoring address"
        raise TargetError("score", str(there.id), reason, "run inferctl up, then inferctl status")
    key = there.secret_outputs["primary_key"].get_secret_value()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    if deployment:
        headers["azureml-model-deployment"] = deployment
    # The environment's proxies are not asked: the router is on this machine.
    with httpx.Client(
        transport=session.transport, timeout=SCORE_TIMEOUT_S, trust_env=False
    ) as client:
        try:
            return client.post(address, content=body, headers=headers)
        except httpx.HTTPError as exc:
            reason = f"the router did not answer ({type(exc).__name__})"
            raise TargetError("score", str(there.id), reason, "run inferctl start") from exc


def _json_or_text(answer: httpx.Response) -> object:
    try:
        return answer.json()
    except json.JSONDecodeError:
        return answer.text


def logs(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="ENDPOINT/DEPLOYMENT")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(help="Last lines of each instance.", min=0)] = 100,
    workspace: Workspace = None,
) -> None:
    """Print the logs of a deployment's instances."""
    session = session_of(ctx)
    if deployment.count("/") != 1:
        fault = Fault("DEPLOYMENT", f"'{deployment}' names no deployment", "write iris/blue")
        raise SpecError((fault,), "the command line")
    found = _find(session, Kind.DEPLOYMENT, deployment, workspace)
    for line in session.target.logs(found.id, lines=lines, follow=follow):
        print(line.rstrip("\n"), flush=follow)


def split(
    ctx: typer.Context,
    endpoint: Endpoint,
    shares: Annotated[list[str], typer.Argument(help="blue=90 green=10; 100 or 0 together.")],
    workspace: Workspace = None,
) -> None:
    """Change an endpoint's split at once; `drift` shows it until the file says so too."""
    session, actor = session_of(ctx), session_of(ctx).actor("split")
    target = session.target
    there = _endpoint(session, endpoint, workspace)
    with target.hold((there.id.workspace,), actor):
        traffic_id = there.id.model_copy(update={"kind": Kind.TRAFFIC})
        traffic = target.observe_one(traffic_id)
        spec = _split_spec(session, traffic, _shares(shares))
        owner = (traffic.record or there.record).owner  # type: ignore[union-attr]
        wanted = DesiredResource(id=traffic_id, spec=spec, owner=owner)
        state = ObservedState(resources={traffic_id.address: traffic})
        with progress.shown(session.err) as (step, finished):
            apply(make_plan((wanted,), state, owner), target, actor, step, finished)
    print(f"{endpoint}: " + " ".join(f"{name}={share}" for name, share in spec.traffic.items()))


def _shares(texts: list[str]) -> dict[str, int]:
    shares = {}
    for text in texts:
        name, _, share = text.partition("=")
        if not share.isdigit() or name in shares:
            fault = Fault("SHARES", f"'{text}' is no share", "write each deployment once: blue=90")
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
        raise SpecError(
            tuple(
                Fault(
                    ".".join(str(part) for part in error["loc"]) or "traffic",
                    error["msg"].removeprefix("Value error, "),
                )
                for error in exc.errors(include_input=False, include_url=False)
            ),
            "the split",
        ) from None


@keys.command("show")
def show_keys(
    ctx: typer.Context, endpoint: Endpoint, workspace: Workspace = None, as_json: Json = False
) -> None:
    """Print both keys in clear."""
    session = session_of(ctx)
    there = _endpoint(session, endpoint, workspace)
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
) -> None:
    """Replace one key; the other goes on working."""
    session, actor = session_of(ctx), session_of(ctx).actor("keys rotate")
    there = _endpoint(session, endpoint, workspace)
    session.target.rotate_key(there.id, key.value, actor)
    print(f"rotated the {key.value} key of {there.id}; see it with: inferctl keys show {endpoint}")


def _endpoint(session: Session, name: str, workspace: str | None) -> ObservedResource:
    return _find(session, Kind.ENDPOINT, name, workspace)


def _find(session: Session, kind: Kind, name: str, workspace: str | None) -> ObservedResource:
    """Return a resource by name in the workspaces a command means.

    Raises:
        TargetError: It is not there, could not be asked, or is in more than one of them.
    """
    names = choose_workspaces(session.target, None, workspace)
    ids = [ResourceId(kind=kind, workspace=place, name=name) for place in names]
    found = [session.target.observe_one(resource) for resource in ids]
    found = [there for there in found if there.presence != Presence.ABSENT]
    if not found:
        raise TargetError("find", str(ids[0]), "it is not there", "see inferctl status")
    if len(found) > 1:
        places = ", ".join(there.id.workspace for there in found)
        raise TargetError(
            "find", f"{kind.value} '{name}'", f"it is in {places}", "pass --workspace NAME"
        )
    return found[0]
