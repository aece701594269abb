"""The logs of a deployment's instances, the last lines of each."""

from typing import NamedTuple

from starlette.responses import Response

from inference_provider.console.answers import Refused
from inference_provider.console.opened import Asked
from inference_provider.console.seen import seen
from inference_provider.errors import InferenceError
from inference_provider.observed import Kind, ResourceId
from inference_provider.printable import uncoloured
from inference_provider.workspace.logged import LogQuery

LINES, MOST_LINES = 200, 2000
LONGEST_LINE = 4000
"""Characters of a line that are shown."""


class Logged(NamedTuple):
    """What instances have printed."""

    instances: tuple[str, ...]
    lines: tuple[str, ...]


def logs(asked: Asked) -> Response:
    there, observed = asked.endpoint()
    found = seen(there, observed)
    names = [one.name for one in found.deployments]
    deployment = asked.part("deployment") or (names[0] if names else "")
    if names and deployment not in names:
        raise Refused(404, f"There is no deployment '{deployment}' behind '{there.id.name}'.")
    instance, lines = asked.part("instance"), _lines(asked.part("lines"))
    name = f"{there.id.name}/{deployment}"
    id_ = ResourceId(kind=Kind.DEPLOYMENT, workspace=there.id.workspace, name=name)
    told, logged = "", Logged((), ())
    if names:
        try:
            logged = _logged(asked, id_, instance, lines)
        except InferenceError as exc:
            told = str(exc)
    return asked.page(
        "logs",
        status=503 if told else 200,  # so a page that shows lines keeps them
        seen=found,
        deployment=deployment,
        instance=instance,
        lines=lines,
        logged=logged,
        told=told,
    )


def _lines(text: str) -> int:
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else LINES
    return min(max(asked, 1), MOST_LINES)


def _logged(asked: Asked, deployment: ResourceId, instance: str, lines: int) -> Logged:
    instances: dict[str, None] = {}
    shown = []
    for line in asked.console.target.logs(deployment, LogQuery(lines=lines)):
        instances[line.instance] = None
        if instance in ("", line.instance):
            prefix = "" if instance else f"{line.instance}: "
            shown.append(prefix + _short(uncoloured(line.text)))
    return Logged(tuple(instances), tuple(shown))


def _short(line: str) -> str:
    left = len(line) - LONGEST_LINE
    return line if left <= 0 else f"{line[:LONGEST_LINE]} ({left} more characters)"
