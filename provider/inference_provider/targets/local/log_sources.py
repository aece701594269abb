"""The logs of a workspace of this machine, and the rows that their lines are."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.envoy.log_bound import ACCESS_LOG_BACKUPS
from inference_provider.targets.event_log import log_of
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.log_times import Written, logs_of_instances, parts
from inference_provider.targets.log_tail import Line, Source
from inference_provider.workspace.log_rows import TYPE, Row, console_row, event_row, traffic_row
from inference_provider.workspace.logged import LogLine
from inference_provider.workspace.statuses import Event


def log_sources(folders: Folders) -> Iterator[Source]:
    """Yield the access log, the events, and the log of each instance."""
    calls = folders.router_folder / "access.log"
    older = (calls.with_name(f"{calls.name}.{i}") for i in range(1, ACCESS_LOG_BACKUPS + 1))
    yield Source("router/access.log", (calls, *older), partial(_call, folders.workspace))
    events = log_of(folders.folder)
    both = (events, events.with_name(f"{events.name}.1"))
    yield Source("logs/events.jsonl", both, partial(_event, folders.workspace))
    for log in logs_of_instances(folders.folder / "logs"):
        name = "/".join(("logs", *log.parts[-3:]))
        yield Source(name, parts(log), _console(folders.workspace, log))


def _call(workspace: str, line: Line) -> Row:
    read = _object(line)
    if "endpoint" not in read:  # of an instance's way out, or cut short by a full disk
        return _raw("outbound" if "outbound" in read else "traffic", line, read)
    return traffic_row(workspace, read)


def _event(workspace: str, line: Line) -> Row:
    try:
        return event_row(workspace, Event.model_validate(_object(line)))
    except ValueError:
        return _raw("events", line, {})


def _console(workspace: str, log: Path) -> Callable[[Line], Row]:
    written: dict[Path, Written] = {}
    deployment = ResourceId(
        kind=Kind.DEPLOYMENT, workspace=workspace, name="/".join(log.parts[-3:-1])
    )

    def row(line: Line) -> Row:
        if line.part not in written:
            written[line.part] = Written(line.part)
        text = line.text.decode(errors="replace").rstrip("\r")
        return console_row(deployment, LogLine(log.stem, text, written[line.part].before(line.end)))

    return row


def _object(line: Line) -> dict[str, Any]:
    try:
        read = json.loads(line.text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _raw(table: str, line: Line, read: dict[str, Any]) -> Row:
    text = line.text.decode(errors="replace")
    return {TYPE: table, "TimeGenerated": read.get("ts"), "Message": text}
