"""How the alerts of a workspace stand, as its service writes it down.

The service writes one document, and `status`, `alerts` and the console of any client read it. It
has no webhook in it, only what of an alert nobody could be told.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, TypeAdapter

from inference_provider.alerts import FIRED, Standing
from inference_provider.observed import Frozen
from inference_provider.spec.alert import AlertRule, recorded_alerts
from inference_provider.workspace.shown_time import shown_time


def _known(rule: Any) -> AlertRule | None:
    """Return a rule that was written down; None for one that only a newer release knows."""
    if isinstance(rule, AlertRule):
        return rule
    return recorded_alerts({"alerts": {"": rule}}).get("") if isinstance(rule, Mapping) else None


KnownRule = Annotated[AlertRule | None, BeforeValidator(_known)]
_OLD = timedelta(seconds=30)
"""Since a look that is of now no more; one comes each 5 s, and may take 20."""


class Message(Frozen):
    """What a webhook is told: that an alert has fired, or is resolved."""

    id: str
    """Of the alert that fired; the same when it resolves."""
    condition: Literal["Fired", "Resolved"]
    time: datetime
    fired_at: datetime
    rule: KnownRule = None
    """Of which it tells; None where an older release wrote it, then it is the one of now."""
    value: float | None = None
    why: str = ""
    tries: int = 0
    """How often it was sent in vain."""


class AlertState(Frozen):
    """How one alert stands."""

    standing: Standing = Standing()
    id: str = ""
    """Of what fired last."""
    value: float | None = None
    """What was measured last."""
    said: str = ""
    """What the last look says: the value, or why there is none."""
    looked: datetime | None = None
    rule: KnownRule = None
    """By which it stands so; None where nobody knows."""
    incarnation: str = ""
    """Of the endpoint that it is of; empty where nobody knows."""
    pending: tuple[Message, ...] = ()
    """What its webhook is still to be told, oldest first."""
    given_up: int = 0
    """Messages that nobody is told any more, for want of room, since its webhook took one."""
    told: datetime | None = None
    """When its webhook took a message last."""
    fault: str = ""
    """Why it does not take one; empty when it does."""
    fault_of: str = ""
    """Which webhook that was: its name, and the digest of its URL."""

    def unwatched(self, now: datetime) -> str:
        """Say since when nobody has looked; empty where somebody does."""
        if self.looked is None:
            return "nobody has looked yet"
        return (
            f"nobody has looked since {shown_time(self.looked)}" if now - self.looked > _OLD else ""
        )

    @property
    def without_room(self) -> str:
        """Say how much of it nobody is told any more."""
        many = f"{self.given_up} older messages were"
        one = "an older message was" if self.given_up == 1 else many
        return f"{one} given up: no room is left for what its webhook does not take"

    def notes(self, name: str, now: datetime) -> Iterator[str]:
        """Yield what a person should know of it."""
        old = self.unwatched(now) if self.looked else ""
        if self.standing.has_fired:
            said = f"alert '{name}' fired at {shown_time(self.standing.since)}: {self.standing.why}"
            yield f"{said}; {old}" if old else said
        elif old:
            yield f"alert '{name}': {old}"
        if self.fault:
            yield f"alert '{name}': {self.fault}"
        if self.given_up:
            yield f"alert '{name}': {self.without_room}"


States = Mapping[str, Mapping[str, AlertState]]
"""By endpoint, and by the alert's name there."""
_STATES = TypeAdapter(dict[str, dict[str, AlertState]])


def written(states: States) -> str:
    """Return the document of states."""
    return _STATES.dump_json({of: {**some} for of, some in states.items()}).decode()


def read(document: bytes) -> dict[str, dict[str, AlertState]]:
    """Return the states of a document; none where it cannot be read."""
    try:
        return _STATES.validate_json(document)
    except ValueError:
        return {}


def fired_in(states: States) -> int:
    """Return how many alerts have fired and are not resolved."""
    return sum(one.standing.condition == FIRED for some in states.values() for one in some.values())


def notes_of(states: States, now: datetime) -> dict[str, tuple[str, ...]]:
    """Return what a person should know of the alerts of endpoints that have something to say."""
    return {
        endpoint: notes
        for endpoint, some in states.items()
        if (notes := tuple(note for name, one in some.items() for note in one.notes(name, now)))
    }
