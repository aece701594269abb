"""Where a split is on its way to another one, and whether it goes on, ends or goes back. Pure.

Goes in: a plan, the step at which it is, what was measured now, and what the decision before
remembered. Comes out: what to do, and why in a sentence.

Time goes by a clock that never decreases. What was not measured is no good sign: meanwhile a step
does not bake, and what stays unmeasured for too long is taken for an alarm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict

from inference_provider.digits import exact
from inference_provider.spec.rollout_plan import USUAL_PERCENTILE, RolloutAlarm, RolloutPlan

UNMEASURED_S = 600.0
"""How long in all a step may stay unmeasured."""
_TIMED_LATE_S = 5.0
"""How late a router may count how long a request took; the request itself counts at once."""
_SAMPLES = 60
"""How many of a window are remembered, about."""


class Move(StrEnum):
    """What is done to a split on its way; the words are those of the journal."""

    STAY = "stay"
    AGAIN = "begin again the rollout of"
    STEP = "step on"
    FINISH = "finish the rollout of"
    BACK = "roll back"
    HOLD = "hold the rollout of"


class Counts(BaseModel):
    """What a router has ever counted of one deployment's requests."""

    model_config = ConfigDict(frozen=True)

    requests: int = 0
    """Those that the deployment answered, failed or refused; not what the router refused before."""
    failed: int = 0
    timed: int = 0
    """Those whose duration is known, with what the router refused before, which took no time."""
    within: tuple[tuple[float, int], ...] = ()
    """How many of them took at most so many milliseconds, by rising milliseconds."""
    refused: int = 0
    """What the router refused before it asked the deployment: in `timed`, not in `requests`."""


class Sample(BaseModel):
    """The counts of all deployments that gain requests, at one moment."""

    model_config = ConfigDict(frozen=True)

    at_s: float
    """Of a clock that never decreases."""
    counts: Mapping[str, Counts]


class Known(BaseModel):
    """What a decision knows of those before; nothing when a watch begins."""

    model_config = ConfigDict(frozen=True)

    last_s: float | None = None
    """When the decision before was made."""
    baked_s: float = 0.0
    unmeasured_s: float = 0.0
    samples: tuple[Sample, ...] = ()
    timed_from_s: float = 0.0
    """From when on the samples have all that took its time before they were measured first."""
    of_step: Mapping[str, Counts] = {}
    """What was counted of each deployment since the step began; requests and failures."""

    def at_next_step(self) -> "Known":
        """Return what is known at the beginning of another step."""
        return self.model_copy(update={"baked_s": 0.0, "unmeasured_s": 0.0, "of_step": {}})


@dataclass(frozen=True)
class Decision:
    """What to do, why, and what the next decision has to know."""

    move: Move
    why: str
    known: Known


# -- the way -----------------------------------------------------------------------------------


def weights_at(origin: Mapping[str, int], goal: Mapping[str, int], share: int) -> dict[str, int]:
    """Return the split at a percentage of the way between two that each sum to 100.

    Who gains gets one percent at least; who loses gives that up in proportion to what it loses.
    """
    names = sorted({*origin, *goal})
    wide = {name: goal.get(name, 0) - origin.get(name, 0) for name in names}
    moved = {name: -(-by * share // 100) for name, by in wide.items() if by > 0}
    lost = _parts(sum(moved.values()), {name: -by for name, by in wide.items() if by < 0})
    return {n: origin.get(n, 0) + moved.get(n, 0) - lost.get(n, 0) for n in names}


def _parts(whole: int, by: Mapping[str, int]) -> dict[str, int]:
    """Divide a whole in proportion, no part above its own; rests go to the largest remainders."""
    total = sum(by.values())
    if not total:
        return {}
    parts = {name: whole * one // total for name, one in by.items()}
    order = sorted(by, key=lambda name: (-(whole * by[name] % total), name))
    for name in order[: whole - sum(parts.values())]:
        parts[name] += 1
    return parts


def gaining(origin: Mapping[str, int], goal: Mapping[str, int]) -> tuple[str, ...]:
    """Return the deployments that get more requests at the end of the way, sorted."""
    return tuple(sorted(name for name, share in goal.items() if share > origin.get(name, 0)))


# -- the decision ------------------------------------------------------------------------------


def decide(
    plan: RolloutPlan, step: int, at_s: float, counts: Mapping[str, Counts] | None, known: Known
) -> Decision:
    """Return what to do with a split on its way.

    Args:
        plan: How it moves.
        step: The number of its step, from 0.
        at_s: Now, by a clock that never decreases.
        counts: What is measured now of each deployment that gains; None where it cannot be.
        known: What the decision before returned.
    """
    known = _remembered(plan, at_s, counts, known)
    away = Move.BACK if plan.on_alarm == "revert" else Move.HOLD
    if counts is not None and (fired := _fired(plan, known)):
        return Decision(away, fired, known)
    if known.unmeasured_s > UNMEASURED_S:
        return Decision(away, f"it was not measured for {UNMEASURED_S / 60:.0f} min", known)
    if counts is None:  # a step that has baked is judged, and moved, by what is measured
        return Decision(Move.STAY, "", known)
    if step < len(plan.steps) and known.baked_s < 60 * plan.steps[step].bake_minutes:
        return Decision(Move.STAY, "", known)
    if failed := _failed(plan, known):
        return Decision(away, failed, known)
    move = Move.STEP if step + 1 < len(plan.steps) else Move.FINISH
    return Decision(move, _went_well(plan, step, known.samples), known)


def _remembered(
    plan: RolloutPlan, at_s: float, counts: Mapping[str, Counts] | None, known: Known
) -> Known:
    past_s = max(0.0, at_s - known.last_s) if known.last_s is not None else 0.0
    if counts is None:  # the time until it is measured again counts as unmeasured
        silent_s = known.unmeasured_s + past_s
        return known.model_copy(update={"last_s": at_s, "unmeasured_s": silent_s, "samples": ()})
    now, samples = Sample(at_s=at_s, counts=counts), known.samples
    if samples and _began_again(samples[-1].counts, counts):
        samples = ()
    baked: dict[str, Any] = {"unmeasured_s": known.unmeasured_s + past_s}
    if samples:
        of_step = _added(known.of_step, samples[-1].counts, counts)
        baked = {"baked_s": known.baked_s + past_s, "of_step": of_step}
    else:
        baked["timed_from_s"] = at_s + _TIMED_LATE_S
    windows = sorted({alarm.window_s for alarm in plan.alarms})
    kept = _thinned(_since((*samples, now), at_s - windows[-1]), windows)
    return known.model_copy(update={"last_s": at_s, "samples": kept, **baked})


def _added(
    whole: Mapping[str, Counts], before: Mapping[str, Counts], now: Mapping[str, Counts]
) -> dict[str, Counts]:
    """Return counts with what was counted in between."""
    found = dict[str, Counts]()
    for name, one in now.items():
        more, so_far = _more(before.get(name, Counts()), one), whole.get(name, Counts())
        found[name] = Counts(
            requests=so_far.requests + more.requests, failed=so_far.failed + more.failed
        )
    return found


def _thinned(samples: tuple[Sample, ...], windows: Sequence[int]) -> tuple[Sample, ...]:
    """Leave out what no window needs: each, by rising seconds, is told by some samples."""
    *older, last = samples
    kept = list[Sample]()
    for one in older:
        window_s = next((w for w in windows if last.at_s - one.at_s <= w), windows[-1])
        if not kept or one.at_s - kept[-1].at_s >= window_s / _SAMPLES:
            kept.append(one)
    return (*kept, last)


def _began_again(before: Mapping[str, Counts], now: Mapping[str, Counts]) -> bool:
    """Whether a router was started again, which counts from 0."""
    return any(
        now.get(name, Counts()).requests < one.requests or now.get(name, Counts()).timed < one.timed
        for name, one in before.items()
    )


def _since(samples: tuple[Sample, ...], since_s: float) -> tuple[Sample, ...]:
    """Return samples since some time, and the last one before, from which those count."""
    before = sum(one.at_s <= since_s for one in samples)
    return samples[max(before - 1, 0) :]


def _fired(plan: RolloutPlan, known: Known) -> str:
    """Return what is wrong with a deployment, by the first alarm that fires; empty if nothing."""
    now = known.samples[-1]
    for alarm in plan.alarms:
        since_s = known.timed_from_s if alarm.metric == "RequestLatency" else 0.0
        samples = tuple(one for one in known.samples if one.at_s >= since_s)
        if not samples:
            continue
        first = _since(samples, now.at_s - alarm.window_s)[0]
        for name in sorted(now.counts):
            found = _more(first.counts.get(name, Counts()), now.counts[name])
            if said := _OF_METRIC[alarm.metric](alarm, found):
                over_s = math.ceil(now.at_s - first.at_s)
                return f"'{name}': {said} in {over_s} s"
    return ""


def _failed(plan: RolloutPlan, known: Known) -> str:
    """Return by which alarm the whole step failed, whose windows had too few requests each."""
    for alarm in (one for one in plan.alarms if one.metric == "ErrorRate"):
        for name in sorted(known.of_step):
            if said := _errors(alarm, known.of_step[name]):
                return f"'{name}': {said} in the whole step, {math.ceil(known.baked_s)} s"
    return ""


def _more(before: Counts, now: Counts) -> Counts:
    """Return what was counted in between."""
    known = dict(before.within)
    return Counts(
        requests=now.requests - before.requests,
        failed=now.failed - before.failed,
        timed=now.timed - before.timed,
        refused=now.refused - before.refused,
        within=tuple((limit, count - known.get(limit, 0)) for limit, count in now.within),
    )


def _errors(alarm: RolloutAlarm, found: Counts) -> str:
    if found.requests < alarm.min_requests:
        return ""
    rate = 100 * found.failed / found.requests
    if rate <= alarm.above:
        return ""
    return f"ErrorRate {rate:.3g} % above {exact(alarm.above)} %, of {found.requests} requests"


def _slowness(alarm: RolloutAlarm, found: Counts) -> str:
    # durations are counted late, so that of a window they are those of other requests
    own = found.timed - max(found.refused, 0)
    requests = min(found.timed, max(own, found.requests))
    if min(own, requests) < alarm.min_requests:
        return ""
    percentile = alarm.percentile or USUAL_PERCENTILE
    slower = found.timed - _within(found, alarm.above)
    if slower <= requests * (100 - percentile) / 100:
        return ""
    return (
        f"RequestLatency, percentile {percentile}, above {exact(alarm.above)} ms:"
        f" {slower:.0f} of {requests} requests took longer"
    )


_OF_METRIC = {"ErrorRate": _errors, "RequestLatency": _slowness}


def _within(found: Counts, limit_ms: float) -> float:
    """Return how many took at most so long; between two steps of the counts in proportion."""
    for (low, fewer), (high, more) in pairwise(((0.0, 0), *found.within)):
        if limit_ms < high:
            return fewer + (more - fewer) * (limit_ms - low) / (high - low)
    return found.timed


def _went_well(plan: RolloutPlan, step: int, samples: tuple[Sample, ...]) -> str:
    if step >= len(plan.steps):
        return "its plan has fewer steps now"
    first, last = samples[0].counts, samples[-1].counts
    found = [_more(first.get(name, Counts()), one) for name, one in last.items()]
    requests = sum(one.requests for one in found)
    seen_s = samples[-1].at_s - samples[0].at_s
    baked = f"no alarm for {plan.steps[step].bake_minutes:g} min"
    return f"{baked}; {requests} requests in the last {seen_s:.0f} s"
