"""What a drift review keeps of one finding: since when, how often, and who accepts it. Pure.

A finding is one differing field, or a resource that is missing, unmanaged or not running.
"""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from inference_provider.observed import Frozen, ResourceId


def _known_address(value: str) -> str:
    try:
        ResourceId.parse(value)
    except ValueError:
        hint = "write it like 'Deployment/default/iris/blue'"
        raise ValueError(f"not an address; {hint}") from None
    return value


def _day(value: Any) -> Any:
    """Take a day alone: pydantic would read a number as seconds since 1970."""
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("not a day; write it like 2026-12-31") from None


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("empty; write at least one word")
    return value


_Words = Annotated[str, Field(max_length=500), AfterValidator(_said)]


class Waiver(BaseModel):
    """Somebody accepts one finding until a day; it is shown, and does not fail a review."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    address: Annotated[str, Field(max_length=500), AfterValidator(_known_address)]
    """`Kind/workspace/name` of the resource."""
    field: Annotated[str, Field(max_length=500)] = ""
    """Dotted; it covers what lies below it too. Empty for a resource that is missing, unmanaged or
    not running, which covers none of its fields."""
    owner: _Words
    """Who answers for it."""
    reason: _Words
    expires: Annotated[date, BeforeValidator(_day)]
    """The last day on which it counts, in UTC."""

    def covers(self, address: str, field: str) -> bool:
        """Whether it is of a finding; `field` is empty for one of the resource itself."""
        below = bool(self.field) and field.startswith(f"{self.field}.")
        return self.address == address and (self.field == field or below)

    def __str__(self) -> str:
        return f"{self.address}{f' {self.field}' if self.field else ''}"


class Sighting(Frozen):
    """Since when reviews have seen a finding, and how often."""

    first_seen: datetime
    times_seen: int = Field(ge=1)
    last_seen: datetime


class Finding(Frozen):
    """What reviews know of a finding beside what it is."""

    sighting: Sighting | None = None
    """None where no history is kept."""
    waiver: Waiver | None = None
    """In force."""
    expired_waiver: Waiver | None = None
    """One that was; the finding counts again."""
