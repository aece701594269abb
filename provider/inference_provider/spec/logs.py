"""LogSettings: where the logs of a workspace go, and how long they stay."""

from contextlib import suppress
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from inference_provider.spec.base import NO_SECRET, SpecModel
from inference_provider.spec.identity_provider import Url

Table = Literal["traffic", "events", "console"]
"""Calls, what happens to instances and endpoints, and what instances print."""

_TABLES: tuple[Table, ...] = ("traffic", "events", "console")


class LogSettings(SpecModel):
    """Where the logs of a workspace go, and how long they stay.

    Calls, events of instances, and what instances print.
    """

    otlp_endpoint: Annotated[Url | None, NO_SECRET] = None
    """URL of an OpenTelemetry collector, which gets them by OTLP over HTTP as they are written:
    `http://127.0.0.1:4318`. `/v1/logs` is added where it has no path."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Days after which a line is gone at the latest, and half of them at the earliest unless its
    log grows too long before; it is the length alone when left out."""

    retention_of: Annotated[tuple[Table, ...], Field(min_length=1)] = _TABLES
    """Tables whose lines `retention_days` bounds. A Docker Engine and a kubelet bound `console` by
    size alone: there, name `traffic`, `events` or both."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.otlp_endpoint is None and self.retention_days is None:
            raise ValueError("set otlp_endpoint or retention_days, or leave logs out")
        return self

    @model_validator(mode="after")
    def _of_some_days(self) -> Self:
        # a record has every field, so what is said is known by its value
        if self.retention_of != _TABLES and self.retention_days is None:
            raise ValueError("retention_of says of which lines; set retention_days too")
        return self

    def days_of(self, table: Table) -> int:
        """Return for how many days the lines of a table stay; 0 for as long as they have room."""
        return self.retention_days or 0 if table in self.retention_of else 0


def recorded_days(recorded: Any, table: Table) -> int:
    """Return for how many days the lines of a table stay, by a record; 0 where it does not say."""
    with suppress(ValidationError):  # of a newer release
        return LogSettings.model_validate(recorded).days_of(table) if recorded else 0
    return 0
