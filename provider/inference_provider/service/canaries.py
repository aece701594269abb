"""Splits on their way in one workspace -> their next steps, or back, again and again.

`canary.py` decides; a move is made through the engine, which waits for no step. What is remembered
here may be lost at any moment: a step then bakes again.
"""

import os
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from inference_provider.canary import Counts, Known, Move, decide
from inference_provider.observed import Actor
from inference_provider.service.looking import Beat, look, unheard
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.kept_shift import NEWER_PLAN
from inference_provider.workspace.shifting import UnderWay

PERIOD_S = 1.0

Measure = Callable[[Collection[str]], Mapping[str, Counts] | None]
"""What is counted now of deployments, by `<endpoint>/<deployment>`; None when it cannot be."""

Tell = Callable[[str, str, str], None]
"""Told an endpoint, the name of an event, and a sentence."""


def _nobody(_endpoint: str, _name: str, _message: str) -> None:
    pass


@dataclass(frozen=True)
class _Watched:
    """A split at one step, and what is known of that."""

    began: datetime
    step: int
    goal: dict[str, int]
    known: Known = field(default_factory=Known)

    @classmethod
    def of(cls, one: UnderWay) -> "_Watched":
        return cls(one.shift.began, one.shift.step, one.shift.goal)

    def is_of(self, one: UnderWay) -> bool:
        return replace(self, known=Known()) == self.of(one)


class Canaries:
    """Watches the splits of one workspace that are on their way."""

    def __init__(
        self,
        engine: Engine,
        workspace: str,
        measure: Measure,
        *,
        actor: Actor,
        clock_s: Callable[[], float] = time.monotonic,
        unreadable: Callable[[], Mapping[str, str]] = dict,
        tell: Tell = _nobody,
    ) -> None:
        """Prepare to watch.

        Args:
            engine: Moves splits.
            workspace: Whose.
            measure: Counts what deployments answered.
            actor: Who moves them.
            clock_s: Seconds of a clock that never decreases.
            unreadable: Returns why what is kept of a split cannot be read, by endpoint.
            tell: Writes down what happened to an endpoint.
        """
        self._engine = engine
        self._workspace = workspace
        self._measure = measure
        self._actor = actor
        self._clock_s = clock_s
        self._unreadable, self._tell = unreadable, tell
        self._lost: set[str] = set()
        """Endpoints of which that was told."""
        self._watched: dict[str, _Watched] = {}

    @property
    def any_moves(self) -> bool:
        """Whether a split was on its way at the last look."""
        return bool(self._watched)

    def look(self) -> None:
        """Measure all deployments that gain requests, decide, and move what is to move.

        Raises:
            Exception: One could not be moved, or nothing could be read; the next look tries
                it again, and the others have moved.
        """
        self._tell_lost(self._unreadable())
        there = self._engine.shifts(self._workspace)
        names = {one.id.name for one in there}
        self._watched = {name: one for name, one in self._watched.items() if name in names}
        if not there:
            return
        counts = self._measure(sorted({name for one in there for name in one.gaining}))
        faults = list[Exception]()
        for one in there:
            try:
                self._look_at(one, counts)
            except Exception as fault:  # noqa: BLE001 - raised when the others were looked at
                faults.append(fault)
        if faults:
            raise faults[0]

    def _tell_lost(self, found: Mapping[str, str]) -> None:
        for endpoint in found.keys() - self._lost:
            self._tell(endpoint, "RolloutUnreadable", found[endpoint])
        self._lost = {*found}

    def _look_at(self, one: UnderWay, counts: Mapping[str, Counts] | None) -> None:
        name = one.id.name
        if one.plan is None:
            self._move(one, Move.HOLD, NEWER_PLAN)
            return
        if one.renewed:
            names = ", ".join(f"'{one.id.name}/{each}'" for each in one.renewed)
            self._move(one, Move.AGAIN, f"{names} is another version now")
            return
        watched = self._watched.get(name)
        if watched is None or not watched.is_of(one):
            self._move(one, Move.STAY)
            watched = _Watched.of(one)
        own = None if counts is None else {each: counts[each] for each in one.gaining}
        step, now_s = one.shift.step, self._clock_s()
        decided = decide(one.plan, step, now_s, own, watched.known)
        self._watched[name] = replace(watched, known=decided.known)
        if decided.move == Move.STAY:
            return
        self._move(one, decided.move, decided.why)
        if decided.move == Move.STEP:
            known = decided.known.at_next_step()
            self._watched[name] = replace(watched, step=step + 1, known=known)

    def _move(self, one: UnderWay, what: Move, why: str = "") -> None:
        self._engine.move(one, what, why, self._actor)


def watch(canaries: Canaries, beat: Beat = unheard) -> None:
    """Look in a thread of its own, beside what else the process does, as long as that lives."""
    threading.Thread(target=partial(_keep_looking, canaries, beat), daemon=True).start()


def _keep_looking(canaries: Canaries, beat: Beat) -> None:
    said = ""
    try:
        while True:
            said = look(canaries, said)
            beat(said)
            time.sleep(PERIOD_S)
    except BaseException:  # noqa: BLE001 - the process lives on, and nobody would watch
        traceback.print_exc()
        os._exit(1)
