"""A line of a workspace's logs -> the row that it is."""

import json
from typing import Any

from inference_provider.targets.log_tail import Line
from inference_provider.workspace.log_rows import TYPE, Row, event_row, traffic_row
from inference_provider.workspace.statuses import Event


def call(workspace: str, line: Line) -> Row:
    """Return what a line of an access log is."""
    read = _object(line)
    if "endpoint" not in read:  # of an instance's way out, or cut short by a full disk
        return raw("outbound" if "outbound" in read else "traffic", line, read)
    return traffic_row(workspace, read)


def event(workspace: str, line: Line) -> Row:
    """Return what a line of events is."""
    try:
        return event_row(workspace, Event.model_validate(_object(line)))
    except ValueError:
        return raw("events", line, {})


def _object(line: Line) -> dict[str, Any]:
    try:
        read = json.loads(line.text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def raw(table: str, line: Line, read: dict[str, Any]) -> Row:
    """Return a line that is no row of a table as it is; `read` is what of it could be."""
    text = line.text.decode(errors="replace")
    return {TYPE: table, "TimeGenerated": read.get("ts"), "Message": text}
