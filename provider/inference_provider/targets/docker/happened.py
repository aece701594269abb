"""What the Engine says of containers -> what happened to instances. Pure.

The Engine keeps no list of events for long: it forgets all but the last 256 of the whole host, and
each question of a HEALTHCHECK is three. So they are read off the containers.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from inference_provider.targets.docker import names
from inference_provider.targets.docker.health import told
from inference_provider.workspace.statuses import Event

_NEVER = "0001-"
"""Beginning of the time of what has not happened."""


def happened(container: Mapping[str, Any], log: str = "") -> Iterator[Event]:
    """Yield what happened to an instance, in no order.

    Args:
        container: What `inspect` says of it.
        log: Its last lines, each with its time before it.
    """
    state, count = container["State"], int(container["RestartCount"])
    yield from _at(container, container["Created"], "Created", "Created container")
    yield from _at(container, state["StartedAt"], "Started", "Started container")
    if count:
        # the Engine keeps only the time of the last start
        message = "Back-off restarting failed container"
        yield from _at(container, state["StartedAt"], "BackOff", message, count)
    if state["Status"] in ("exited", "dead", "restarting"):
        why = "it used more memory than its limit" if state.get("OOMKilled") else "it ended"
        message = f"Its container ended with status {state['ExitCode']}: {why}"
        yield from _at(container, state["FinishedAt"], "ContainerCrash", message)
    for one in (state.get("Health") or {}).get("Log") or ():
        if one["ExitCode"]:
            message = f"Readiness probe failed: {' '.join(one['Output'].split())}".rstrip(": ")
            yield from _at(container, one["End"], "ReadinessProbeFailed", message)
    for event in filter(None, map(told, log.split("\n"))):
        yield from _at(container, event.time.isoformat(), event.name, event.message)


def _at(
    container: Mapping[str, Any], time: str, name: str, message: str, count: int = 1
) -> Iterator[Event]:
    if time and not time.startswith(_NEVER):
        labels = container["Config"]["Labels"]
        yield Event(
            time=datetime.fromisoformat(time),
            deployment=labels[names.DEPLOYMENT],
            instance=container["Name"].removeprefix("/"),
            name=name,
            message=message,
            count=count,
        )
