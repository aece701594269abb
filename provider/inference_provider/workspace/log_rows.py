"""Rows of Azure Monitor's tables of an online endpoint, with its names of the columns. Pure.

`AmlOnlineEndpointTrafficLog`, `…EventLog` and `…ConsoleLog`. A column that nothing here knows is
left out.
"""

from collections.abc import Mapping
from typing import Any

from inference_provider.observed import ResourceId
from inference_provider.workspace.logged import LogLine
from inference_provider.workspace.statuses import Event

Row = dict[str, Any]

TYPE = "Type"
"""Of each row: its table."""
TRACE = "TraceId"
"""Of a call that has a span; Azure has no such column."""
_MODEL_ERROR = 424
_NONE = (None, "", "-")


def traffic_row(workspace: str, call: Mapping[str, Any]) -> Row:
    """Return a call of a router's access log as a row."""
    reached = call.get("upstream") not in _NONE
    status = _models_own(call) or (call.get("status") if reached else None)
    known = {
        "TimeGenerated": call.get("ts"),
        "AzureMLWorkspaceName": workspace,
        "EndpointName": call.get("endpoint"),
        "DeploymentName": call.get("deployment"),
        "Protocol": call.get("protocol"),
        "Method": call.get("method"),
        "Path": call.get("path"),
        "UserAgent": call.get("user_agent"),
        "ResponseCode": call.get("status"),
        "ResponseCodeReason": call.get("details"),
        "ModelStatusCode": status,
        "RequestPayloadSize": call.get("bytes_in"),
        "ResponsePayloadSize": call.get("bytes_out"),
        "TotalDurationMs": call.get("ms"),
        "RequestDurationMs": call.get("request_ms"),
        "ResponseDurationMs": call.get("ttfb_ms"),
        "IdentityData": call.get("identity"),
        "XRequestId": call.get("request_id"),
        "XMSClientRequestId": call.get("client_request_id"),
        TRACE: call.get("trace_id"),
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
    return {TYPE: table, **{name: one for name, one in known.items() if one not in _NONE}}
