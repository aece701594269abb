"""A split on its way to the one that is recorded: where it is, and what that means for requests."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from inference_provider.canary import gaining, weights_at
from inference_provider.observed import Actor, Frozen, Record
from inference_provider.spec.rollout_plan import RolloutPlan

NEWER_PLAN = "its plan is of a newer release; apply the stack again with that release"
"""Why one is held whose plan nobody here can go by."""


class Phase(StrEnum):
    """What becomes of it."""

    MOVING = "moving"
    HELD = "held"
    """An alarm fired, and it stays at its step."""
    BACK = "back"
    """An alarm fired, and the split is the one from before."""


class Step(Frozen):
    """One step of the plan by which it moves."""

    share: Annotated[int, Field(ge=1, le=99)]
    bake_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)]


Shares = dict[str, Annotated[int, Field(ge=0, le=100)]]


class Shift(Frozen):
    """A split on its way; the record of the same Traffic says where to, by which alarms."""

    origin: Shares
    """The split that was in force when it began."""
    goal: Shares
    """The one that was recorded then; another one in the record makes this void."""
    generations: dict[str, str] = {}
    """Those of the deployments that gain requests, of which a step bakes; by name."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    step: Annotated[int, Field(ge=0)] = 0
    least: Annotated[int, Field(ge=0, le=99)] = 0
    """Percent of the way below which it does not go: where it was by an earlier plan."""
    since: datetime
    """When its step began to bake, or when it ended."""
    began: datetime
    actor: Actor
    """Who began it."""
    phase: Phase = Phase.MOVING
    why: str = ""
    """Why it moves no more."""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "Shift":
        rising = all(one.share < other.share for one, other in pairwise(self.steps))
        if not rising or self.step >= len(self.steps):
            raise ValueError("it is at no step of its plan")
        if not is_whole(self.origin) or not is_whole(self.goal):
            raise ValueError("its splits are no splits")
        return self

    @property
    def share(self) -> int:
        """Percent of the way at which it is."""
        return max(self.least, self.steps[self.step].share)

    @property
    def gaining(self) -> tuple[str, ...]:
        """The deployments whose health decides, by name."""
        return gaining(self.origin, self.goal)

    @property
    def in_force(self) -> dict[str, int]:
        """The split that requests go by."""
        if self.phase == Phase.BACK:
            return self.origin
        return weights_at(self.origin, self.goal, self.share)

    def renewed(self, now: Mapping[str, str]) -> tuple[str, ...]:
        """Return who gains and is not what has baked, by the generations as far as known."""
        there = (name for name in self.gaining if name in now)
        return tuple(name for name in there if now[name] != self.generations.get(name))

    def following(self, there: "Shift", *, as_planned: bool) -> "Shift":
        """Return how it begins where another one of the same origin and goal was.

        Args:
            there: The other one.
            as_planned: Whether the plan of both is the same.
        """
        if there.renewed(self.generations):
            return self
        moves_on = there.phase == Phase.MOVING and there.steps == self.steps
        if (as_planned and there.why != NEWER_PLAN) or moves_on:
            return there.model_copy(update={"goal": self.goal})
        if there.phase == Phase.BACK:
            return self
        begun = [i for i, one in enumerate(self.steps) if one.share <= there.share]
        return self.model_copy(update={"step": max(begun, default=0), "least": there.share})

    def again(self, now: Mapping[str, str], at: datetime) -> "Shift":
        """Return it at its first step, for other generations."""
        known = {**self.generations, **now}
        begun = {"generations": known, "step": 0, "least": 0, "since": at, "began": at}
        return self.model_copy(update=begun)

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

    @property
    def at(self) -> str:
        """Say at which step it is."""
        return f"rollout {self._place}"

    @property
    def _place(self) -> str:
        return f"step {self.step + 1} of {len(self.steps) + 1} ({self.share} %)"

    def told(self, minute: int) -> str:
        """Say where it is, at some minute since 1970."""
        if self.phase == Phase.BACK:
            return f"the rollout went back: {self.why}"
        if self.phase == Phase.HELD:
            return f"the rollout is held at {self._place}: {self.why}"
        baked = max(0.0, minute - self.since.timestamp() / 60)
        left = self.steps[self.step].bake_minutes - baked
        # what was not measured does not count, and is known to whoever watches alone
        rest = f"at least {left:.0f} min left" if left >= 1 else "to go on once it has baked"
        return f"{self.at}, {rest}"


def steps_of(plan: RolloutPlan) -> tuple[Step, ...]:
    """Return the steps of a plan."""
    return tuple(Step(share=one.share, bake_minutes=one.bake_minutes) for one in plan.steps)


def served(split: Mapping[str, int]) -> dict[str, int]:
    """Return the shares of a split that are above 0."""
    return {name: share for name, share in split.items() if share}


def is_whole(split: Mapping[str, int]) -> bool:
    """Whether a split serves; of one that serves nobody there is no way to another."""
    return sum(split.values()) == 100
