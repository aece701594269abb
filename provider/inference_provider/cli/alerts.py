"""`alerts`: the rules of endpoints, whether they have fired, and whether somebody was told."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import typer

from inference_provider.alert_words import unit_of
from inference_provider.cli.lookup import find
from inference_provider.cli.options import Json, Workspace
from inference_provider.cli.session import choose_workspaces, session_of
from inference_provider.observed import Kind
from inference_provider.spec.alert import AlertRule
from inference_provider.workspace.alert_states import AlertState
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.shown_time import shown_time


class Listed(NamedTuple):
    """One alert, and how it stands."""

    workspace: str
    endpoint: str
    name: str
    rule: AlertRule
    state: AlertState
    at: datetime
    """When it was listed."""

    @property
    def stands(self) -> str:
        """Say how it stands in a word."""
        if not self.rule.enabled:
            return "off"
        if self.state.standing.has_fired:
            return "fired"
        return "resolved" if self.state.standing.since else "quiet"

    @property
    def since(self) -> str:
        """Say since when."""
        return shown_time(self.state.standing.since)

    @property
    def now(self) -> str:
        """Say what the last look says, or that it is none of now."""
        return self.state.unwatched(self.at) or self.state.said

    @property
    def told(self) -> str:
        """Say when its webhook took a message last."""
        return shown_time(self.state.told)


def alerts(
    ctx: typer.Context,
    endpoint: Annotated[
        str, typer.Argument(metavar="[ENDPOINT]", help="Whose; all when left out.")
    ] = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List the alerts of endpoints, which have fired, and who was told."""
    session = session_of(ctx)
    names: Sequence[str] = choose_workspaces(session, None, workspace) if not endpoint else ()
    if endpoint:
        names = (find(session, Kind.ENDPOINT, endpoint, workspace).id.workspace,)
    found = [one for name in names for one in listed(session.target, name, endpoint)]
    if as_json:
        session.print_json([_json(one) for one in found])
        return
    if not found:
        session.say(f"no alert of {endpoint or ', '.join(names)}")
    for one in found:
        for line in _lines(one):
            session.say(line)


def listed(target: Engine, workspace: str, endpoint: str) -> Iterator[Listed]:
    """Yield the alerts of an endpoint of a workspace; of all where none is named."""
    states, now = target.alert_states(workspace), datetime.now(UTC)
    for of, rules in target.alert_rules(workspace).items():
        for name, rule in rules.items():
            if endpoint in ("", of):
                state = states.get(of, {}).get(name, AlertState())
                yield Listed(workspace, of, name, rule, state, now)


def _lines(one: Listed) -> Iterator[str]:
    state, rule = one.state, one.rule
    at = f"since {one.since}: {state.standing.why}" if state.standing.since else ""
    yield f"{one.stands:8} Sev{rule.severity}  {one.endpoint}/{one.name}  {at}".rstrip()
    yield f"  now: {one.now}"
    if rule.webhook:
        waits = f"; {len(state.pending)} to be told" if state.pending else ""
        yield f"  webhook '{rule.webhook}': last told {one.told}{waits}"
    if state.fault:
        yield f"  {state.fault}"


def _json(one: Listed) -> dict[str, object]:
    state, standing = one.state, one.state.standing
    return {
        "workspace": one.workspace,
        "endpoint": one.endpoint,
        "name": one.name,
        "state": one.stands,
        "rule": one.rule.model_dump(mode="json"),
        "since": standing.since and standing.since.isoformat(),
        "why": standing.why,
        "value": None if state.unwatched(one.at) else state.value,
        "unit": unit_of(one.rule).strip(),
        "now": one.now,
        "looked": state.looked and state.looked.isoformat(),
        "pending": len(state.pending),
        "told": state.told and state.told.isoformat(),
        "fault": state.fault,
    }
