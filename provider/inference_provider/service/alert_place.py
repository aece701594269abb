"""A workspace -> the place of its alerts, as its engine knows it; the same on every target."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from inference_provider.observed import Kind, ResourceId
from inference_provider.service.alerting import Place, Tell
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.measured import Meter
from inference_provider.workspace.system_clock import SystemClock


def place_of(
    engine: Engine,
    workspace: str,
    *,
    meter: Meter,
    file: Path,
    tell: Tell,
    also: Callable[[str], None] = lambda _states: None,
    most_bytes: int = 8_000_000,
) -> Place:
    """Return where the alerts of a workspace are of.

    Args:
        engine: That of its target.
        workspace: Its name.
        meter: Measures what its alerts go by.
        file: Where it is kept how they stand.
        tell: Writes down an event of an endpoint.
        most_bytes: Of what it may say.
        also: Writes down what the file says where others read it. It may raise InferenceError.
    """

    def of(endpoint: str) -> ResourceId:
        return ResourceId(kind=Kind.ENDPOINT, workspace=workspace, name=endpoint)

    return Place(
        workspace=workspace,
        meter=meter,
        rules=partial(engine.alert_rules, workspace),
        unreadable=partial(engine.unreadable_alerts, workspace),
        incarnations=partial(engine.alert_incarnations, workspace),
        webhooks=lambda endpoint: engine.alert_webhooks(of(endpoint)),
        digest=lambda endpoint, name: engine.alert_webhook_digest(of(endpoint), name),
        file=file,
        tell=tell,
        clock=SystemClock(),
        also=also,
        most_bytes=most_bytes,
    )
