"""A split on its way to the one that is recorded: where it is, and what that means for requests."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from inference_provider.canary import weights_at
from inference_provider.observed import Actor, Frozen, Record
from inference_provider.spec.rollout_plan import RolloutPlan


class Phase(StrEnum):
    """What becomes of it."""

    MOVING = "moving"
    HELD = "held"
    """An alarm fired, and it stays at its step."""
    BACK = "back"
    """An alarm fired, and the split is the one from before."""


class Step(Frozen):
    """One step of the plan by which it moves."""

    share: int
    bake_minutes: float


class Shift(Frozen):
    """A split on its way; the record of the same Traffic says where to, by which alarms."""

    origin: dict[str, int]
    """The split that was in force when it began."""
    goal: dict[str, int]
    """The one that was recorded then; another one in the record makes this void."""
    steps: tuple[Step, ...]
    step: int = 0
    since: datetime
    """When its step began to bake, or when it ended."""
    began: datetime
    actor: Actor
    """Who began it."""
    phase: Phase = Phase.MOVING
    why: str = ""
    """Why it moves no more."""

    @property
    def in_force(self) -> dict[str, int]:
        """The split that requests go by."""
        if self.phase == Phase.BACK:
            return self.origin
        return weights_at(self.origin, self.goal, self.steps[self.step].share)

    def is_of(self, record: Record) -> bool:
        """Whether it leads to what is recorded."""
        return bool(self.goal == record.properties.get("traffic"))

    def on_the_way(self, record: Record) -> Record:
        """Return a record that says what requests go by.

        Who is on the way to answer requests is not mirrored to at the same time.
        """
        weights, properties = self.in_force, record.properties
        mirror = properties.get("mirror_traffic", {})
        left = {name: share for name, share in mirror.items() if not weights.get(name)}
        shown = {**properties, "traffic": weights, "mirror_traffic": left}
        return record.model_copy(update={"properties": shown})

    def told(self, minute: int) -> str:
        """Say where it is, at some minute since 1970."""
        if self.phase == Phase.BACK:
            return f"the rollout went back: {self.why}"
        at = f"step {self.step + 1} of {len(self.steps) + 1} ({self.steps[self.step].share} %)"
        if self.phase == Phase.HELD:
            return f"the rollout is held at {at}: {self.why}"
        baked = max(0.0, minute - self.since.timestamp() / 60)
        left = self.steps[self.step].bake_minutes - baked
        rest = f"{left:.0f} min left" if left >= 1 else "less than a minute left"
        return f"rollout {at}, {rest}"


def steps_of(plan: RolloutPlan) -> tuple[Step, ...]:
    """Return the steps of a plan."""
    return tuple(Step(share=one.share, bake_minutes=one.bake_minutes) for one in plan.steps)


def is_whole(split: Mapping[str, int]) -> bool:
    """Whether a split serves; of one that serves nobody there is no way to another."""
    return sum(split.values()) == 100
