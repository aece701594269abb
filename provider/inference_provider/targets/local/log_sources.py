"""The logs of a workspace of this machine, and the rows that their lines are."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.envoy.log_bound import parts as access_logs
from inference_provider.targets.event_log import log_of
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.log_times import Written, logs_of_instances, parts
from inference_provider.targets.log_lines import call, event
from inference_provider.targets.log_tail import Line, Source, new_lines
from inference_provider.workspace.log_rows import Row, console_row
from inference_provider.workspace.logged import LogLine


def log_sources(folders: Folders) -> Iterator[Source]:
    """Yield the access log, the events, and the log of each instance."""
    calls = partial(new_lines, access_logs(folders.router_folder / "access.log"))
    yield Source("router/access.log", calls, partial(call, folders.workspace))
    events = log_of(folders.folder)
    both = (events, events.with_name(f"{events.name}.1"))
    yield Source("logs/events.jsonl", partial(new_lines, both), partial(event, folders.workspace))
    for log in logs_of_instances(folders.folder / "logs"):
        name = "/".join(("logs", *log.parts[-3:]))
        yield Source(name, partial(new_lines, parts(log)), _console(folders.workspace, log))


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
