"""What a workspace needs its service for, and what its status says of that."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from inference_provider.spec.base import SpecModel
from inference_provider.spec.logs import LogSettings, Table, recorded_days
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.spec.traces import TraceSettings
from inference_provider.workspace.kept_alerts import rules_in
from inference_provider.workspace.shifts import is_any_moving
from inference_provider.workspace.state import State

_Settings = TypeVar("_Settings", bound=SpecModel)


@dataclass(frozen=True)
class Needs:
    """What nobody but the service does, of what there is to do now."""

    rules: bool
    """Whether there are autoscale rules to keep."""
    moving: bool
    """Whether a split is on its way."""
    metrics: MetricsSettings | None
    """Where what is measured goes; None where it goes nowhere."""
    logs: str
    """The URL that logs go to; empty where they go nowhere."""
    alerts: bool
    """Whether endpoints have alerts to watch."""
    webhooks: bool
    """Whether some of them tell a webhook."""
    ages: bool = False
    """Whether it ends old events; `local` has that done by who watches its processes."""

    def __bool__(self) -> bool:
        goes = self.metrics is not None or self.logs != ""
        return self.rules or self.moving or self.alerts or self.ages or goes

    @property
    def connects(self) -> bool:
        """Whether it has to be in a network, to send something or to serve it."""
        return self.metrics is not None or self.logs != "" or self.webhooks

    @property
    def name(self) -> str:
        """What the service is called."""
        return "autoscaler" if self.rules else "workspace service"

    @property
    def lost(self) -> str:
        """Say what happens while it does not run."""
        said = ["counts stay as they are"] * self.rules
        said += ["splits stay where they are on their way"] * self.moving
        said += ["metrics go nowhere"] * bool(self.metrics)
        said += ["logs are not sent"] * bool(self.logs)
        said += ["nobody watches alerts"] * self.alerts
        said += ["old events stay"] * self.ages
        return ", ".join(said)

    def running(self, sent: Iterable[str]) -> str:
        """Say that it runs, and what there is to say of its metrics and logs."""
        told = [*sent]
        plain = ["workspace service runs"] * (self.moving or self.alerts or self.ages or not told)
        return "; ".join((*(["autoscaler runs"] if self.rules else plain), *told))


def needs_of(state: State) -> Needs:
    """Return what the service of a workspace is needed for."""
    alerts = [one for some in rules_in(state).values() for one in some.values()]
    return Needs(
        rules=bool(state.rules()),
        moving=is_any_moving(state),
        metrics=metrics_of(state),
        logs=sent_to(state),
        alerts=bool(alerts),
        webhooks=any(one.webhook for one in alerts),
    )


def metrics_of(state: State) -> MetricsSettings | None:
    """Return where what is measured goes; None where it goes nowhere."""
    return _settings(state, "metrics", MetricsSettings)


def logs_of(state: State) -> LogSettings | None:
    """Return what is declared of logs; None for nothing."""
    return _settings(state, "logs", LogSettings)


def days_of(state: State, table: Table) -> int:
    """Return for how many days the lines of a table stay; 0 for as long as they have room."""
    return recorded_days(state.of_workspace("logs"), table)


def sent_to(state: State) -> str:
    """Return the URL that logs go to; empty where they go nowhere."""
    found = logs_of(state)
    return (found.otlp_endpoint or "") if found else ""


def traces_of(state: State) -> TraceSettings | None:
    """Return where spans go; None where they go nowhere."""
    return _settings(state, "traces", TraceSettings)


def _settings(state: State, field: str, model: type[_Settings]) -> _Settings | None:
    with suppress(ValidationError):  # of a newer release
        said = state.of_workspace(field)
        return model.model_validate(said) if said else None
    return None
