"""Rows of Azure Monitor's tables of an online endpoint, with its names of the columns.

`AmlOnlineEndpointTrafficLog`, `…EventLog` and `…ConsoleLog`. A column that nothing here knows is
left out.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from inference_provider.cli.picked import Picked
from inference_provider.cli.session import Session
from inference_provider.observed import ResourceId
from inference_provider.workspace.logged import CallQuery, LogLine, LogQuery
from inference_provider.workspace.statuses import Event

Table = Literal["traffic", "events", "console"]
Row = dict[str, Any]

_SEARCHED = 10_000
"""Newest calls that are searched for a pattern."""
_MODEL_ERROR = 424
_TYPE = "Type"
"""Of each row: its table."""
_NONE = (None, "", "-")


def rows(
    session: Session, workspaces: Iterable[str], table: Table, asked: tuple[str, LogQuery, Picked]
) -> Iterator[Row]:
    """Yield the newest rows of traffic or events of each workspace, oldest first.

    Args:
        session: Has the target.
        workspaces: Which.
        table: `traffic` or `events`.
        asked: Of which endpoint or deployment, all if empty; which lines; what is picked of them.
    """
    read = _traffic if table == "traffic" else _events
    for name in workspaces:
        of, query, picked = asked
        found = [one for one in read(session, name, of, query, picked) if _takes(picked, one)]
        yield from found[-query.lines :] if query.lines else ()


def _takes(picked: Picked, row: Row) -> bool:
    if picked.pattern is None:
        return True
    values = (str(value) for name, value in row.items() if name != _TYPE)
    return any(map(picked.pattern.search, values))


def _traffic(
    session: Session, workspace: str, of: str, query: LogQuery, picked: Picked
) -> Iterator[Row]:
    endpoint, _, deployment = of.partition("/")
    asked = CallQuery(
        last=_SEARCHED if picked.pattern else query.lines,
        since=query.since,
        endpoint=endpoint,
        deployment=deployment,
        request_id=picked.request_id,
    )
    for call in session.target.calls(workspace, asked):
        yield traffic_row(workspace, call)


def _events(
    session: Session, workspace: str, of: str, query: LogQuery, _picked: Picked
) -> Iterator[Row]:
    for event in session.target.events(workspace):
        fresh = query.since is None or event.time >= query.since
        if fresh and event.is_of(of) and query.wants(event.instance):
            yield event_row(workspace, event)


def traffic_row(workspace: str, call: Mapping[str, Any]) -> Row:
    """Return a call of a router's access log as a row."""
    reached = call.get("upstream") not in _NONE
    status = _models_own(call) or (call.get("status") if reached else None)
    known = {
        "TimeGenerated": call.get("ts"),
        "AzureMLWorkspaceName": workspace,
        "EndpointName": call.get("endpoint"),
        "DeploymentName": call.get("deployment"),
        "Method": call.get("method"),
        "Path": call.get("path"),
        "ResponseCode": call.get("status"),
        "ResponseCodeReason": call.get("details"),
        "ModelStatusCode": status,
        "RequestPayloadSize": call.get("bytes_in"),
        "ResponsePayloadSize": call.get("bytes_out"),
        "TotalDurationMs": call.get("ms"),
        "IdentityData": call.get("identity"),
        "XRequestId": call.get("request_id"),
        "XMSClientRequestId": call.get("client_request_id"),
    }
    return _row("AmlOnlineEndpointTrafficLog", known)


def _models_own(call: Mapping[str, Any]) -> int | None:
    """Return what a model answered in place of 424; in any other answer it wrote that itself."""
    said = str(call.get("model_status"))
    if call.get("status") == _MODEL_ERROR and said.isascii() and said.isdigit():
        return int(said)
    return None


def event_row(workspace: str, event: Event) -> Row:
    """Return an event as a row; one of the router has no deployment."""
    endpoint, _, deployment = event.deployment.partition("/")
    known = {
        "TimeGenerated": event.time.isoformat(timespec="milliseconds"),
        "AzureMLWorkspaceName": workspace,
        "EndpointName": endpoint,
        "DeploymentName": deployment,
        "InstanceId": event.instance,
        "Name": event.name,
        "Message": event.message,
    }
    return _row("AmlOnlineEndpointEventLog", known)


def console_row(deployment: ResourceId, line: LogLine, container: str = "") -> Row:
    """Return a line that an instance has printed as a row."""
    endpoint, _, name = deployment.name.partition("/")
    known = {
        "TimeGenerated": line.time.isoformat(timespec="milliseconds") if line.time else None,
        "AzureMLWorkspaceName": deployment.workspace,
        "EndpointName": endpoint,
        "DeploymentName": name,
        "InstanceId": line.instance,
        "ContainerName": container or "inference-server",
    }
    return {**_row("AmlOnlineEndpointConsoleLog", known), "Message": line.text}


def _row(table: str, known: Mapping[str, Any]) -> Row:
    return {_TYPE: table, **{name: one for name, one in known.items() if one not in _NONE}}
