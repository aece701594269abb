"""Rules, counts and measurements of one workspace -> changes of counts, again and again.

On any target that does not scale by itself. `autoscale.py` decides; a change is made through the
engine, in a thread for each deployment, so that an instance that starts for minutes holds up
nothing else. While this does not run, counts stay as they are.
"""

import math
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Protocol

from inference_provider.autoscale import Decision, Memory, decide, metrics_of
from inference_provider.autoscale_samples import Sample
from inference_provider.errors import Busy, InferenceError, TargetError
from inference_provider.observed import Actor, ResourceId
from inference_provider.service.decisions import Decisions, Noted
from inference_provider.service.faults import Faults
from inference_provider.service.looking import said_of
from inference_provider.targets.rule_faults import ALL
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.ports import Clock
from inference_provider.workspace.ruled import Ruled

AT_ONCE = 16
"""Deployments whose counts change at once; others are decided again until one of them is done."""
UNCHANGED_EVERY_S = 60.0
"""How often a decision is written down that changes nothing."""
_RETRY_S, _LONGEST_RETRY_S = 5.0, 300.0
"""Pause after a change that failed; twice as long after each further failure."""
_WAKE_WAIT_S = 2.0
"""Longest wait for another change where a request waits: often it is the end of what ran before."""
_HELD = "somebody else is changing the deployment, or has just changed it"
_UNMEASURED_S = 60.0
"""How long a metric may be unknown before that is a fault; a rate needs two looks."""
_AS_WANTED_S = 600.0
"""How long a count must be as wanted, until a change before that failed is told no more."""
_SHOWN = 400
"""Characters of a fault that are kept; the log of decisions has all of it."""


class Samples(Protocol):
    """Measures deployments; what a target provides."""

    def __call__(self, deployments: Collection[Ruled]) -> Mapping[str, Sample]:
        """Return what is measured now of each deployment, by `<endpoint>/<deployment>`."""


@dataclass(frozen=True)
class _Change:
    """One that is being made."""

    at_s: float
    count: int
    before: int
    """The count from which that was decided."""
    made: Future[None] = field(default_factory=Future)
    """Done when the count is changed; what leaves may drain then for minutes."""

    @property
    def wakes(self) -> bool:
        """Whether there was no instance before."""
        return self.before == 0


@dataclass
class _Known:
    """What is known of one deployment from the decisions before."""

    memory: Memory = field(default_factory=Memory)
    change: _Change | None = None
    thread: Future[None] | None = None
    """What changes the count, or ends what such a change has left."""
    end_s: float = 0.0
    """When instances may be ended again that somebody left."""
    retry_s: float = 0.0
    """When the next change may be made, by the clock of samples."""
    failures: int = 0
    noted_s: float | None = None
    """When a decision was last written down."""
    measured_s: float | None = None
    """When all that its rule goes by was last measured, or was first looked for."""
    differed_s: float = -math.inf
    """When another count was last wanted."""
    has_failed: bool = False
    """Whether a change has failed since one was made last."""


class Autoscaler:
    """Keeps the rules of one workspace."""

    def __init__(
        self,
        engine: Engine,
        workspace: str,
        samples: Samples,
        decisions: Decisions,
        faults: Faults,
        *,
        actor: Actor,
        clock: Clock,
        threads: Executor,
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._samples = samples
        self._decisions = decisions
        self._faults = faults
        self._scaling = engine.scaling(workspace, actor)
        self._clock = clock
        self._threads = threads
        self._known: dict[str, _Known] = {}
        self.allows_none = True
        """Whether some rule allows no instance; until the first look, one may."""

    def look(self) -> None:
        """Measure every deployment that has a rule, decide, and begin what is to change.

        Raises:
            InferenceError: What is recorded or runs cannot be read, and nothing has changed; or one
                of them cannot be decided, which holds up no other.
        """
        try:
            for name, known in self._known.items():  # before counts are read, which it changes
                self._settle(name, known)
            wrong = self._look_at_all()
            self._faults.clear(ALL)
        except Exception as fault:
            self._fault(ALL, said_of(fault))
            raise
        finally:
            self._faults.save()
        if wrong:
            raise TargetError("keep", f"the rules of workspace '{self._workspace}'", *wrong[0])

    def _look_at_all(self) -> list[tuple[str, str]]:
        there = self._engine.ruled(self._workspace)
        self.allows_none = any(one.rule.least_ever == 0 for one in there)
        named = {one.id.name for one in there}
        gone = [n for n, known in self._known.items() if n not in named and known.change is None]
        for name in gone:
            del self._known[name]
        self._faults.keep_only({ALL, *named})
        samples = self._samples(there) if there else {}
        found = (self._looked_at(one, samples[one.id.name]) for one in there)
        return [*filter(None, found)]

    def _looked_at(self, one: Ruled, sample: Sample) -> tuple[str, str] | None:
        """Decide on one deployment; return a fault that concerns it alone, and what to do."""
        try:
            self._look_at(one, sample)
        except (ValueError, LookupError, ArithmeticError) as wrong:  # no time zones are here
            reason = f"'{one.id.name}' is not decided: {type(wrong).__name__}: {wrong}"
            self._fault(one.id.name, reason)
            return reason, "its count stays as it is, and the other rules are kept"
        return None

    def _look_at(self, one: Ruled, sample: Sample) -> None:
        known = self._known.get(one.id.name) or self._begin_with(one.id.name, sample.at_s)
        count = known.change.count if known.change else one.count
        before, now = known.memory, self._clock.now()
        decided = decide(one.rule, count, sample, before, now)
        noted = Noted(now, one, count, sample, before, decided)
        known.differed_s = sample.at_s if decided.count != count else known.differed_s
        self._tell_of(one, known, sample)
        if decided.count == count:
            known.memory = decided.memory
            self._end_left(known, one, sample.at_s)
            self._note_sometimes(known, noted, sample.at_s)
        elif known.change or sample.at_s < known.retry_s or self._changing() >= AT_ONCE:
            known.memory = decided.memory.without_change(sample.at_s)
        else:
            self._begin(known, one, decided, sample.at_s)
            known.noted_s = sample.at_s
            self._decisions.note(noted)

    def _begin_with(self, name: str, at_s: float) -> _Known:
        """Return what is known of a deployment at first; a fault is of the process before."""
        self._known[name] = _Known(differed_s=at_s, has_failed=self._faults.has(name))
        return self._known[name]

    def _tell_of(self, one: Ruled, known: _Known, sample: Sample) -> None:
        """Keep the fault of what has not been measured for a while; end one that is over."""
        missing = sorted(metrics_of(one.rule) - sample.measured) if one.count else []
        if not missing or known.measured_s is None:
            known.measured_s = sample.at_s
        if sample.at_s >= known.measured_s + _UNMEASURED_S:
            self._fault(one.id.name, f"{', '.join(missing)} cannot be measured")
        elif not known.has_failed or sample.at_s >= known.differed_s + _AS_WANTED_S:
            self._faults.clear(one.id.name)

    def _fault(self, rule: str, reason: str) -> None:
        self._faults.keep(rule, " ".join(reason.split())[:_SHOWN], self._clock.now())

    def _note_sometimes(self, known: _Known, noted: Noted, at_s: float) -> None:
        if known.noted_s is None or at_s >= known.noted_s + UNCHANGED_EVERY_S:
            known.noted_s = at_s
            self._decisions.note(noted)

    def _changing(self) -> int:
        return sum(known.change is not None for known in self._known.values())

    def _begin(self, known: _Known, one: Ruled, decided: Decision, at_s: float) -> None:
        known.memory = decided.memory
        known.change = _Change(at_s, decided.count, one.count)
        known.thread = self._threads.submit(self._make, one.id, known.change)

    def _make(self, deployment: ResourceId, change: _Change) -> None:
        """Change a count, then end what that has left."""
        made = change.made

        def is_made() -> None:
            made.set_result(None)

        try:
            wait_s = _WAKE_WAIT_S if change.wakes else 0.0
            self._scaling.scale(deployment, change.count, is_made, wait_s, change.before)
        except BaseException as fault:
            if made.done():  # what is left is ended later
                raise
            made.set_exception(fault)
            raise
        if not made.done():  # it is gone
            is_made()

    def _end_left(self, known: _Known, one: Ruled, at_s: float) -> None:
        """End what a process that was killed in a change has left of one."""
        busy = known.change or (known.thread is not None and not known.thread.done())
        if one.left and not busy and at_s >= known.end_s:
            known.end_s = at_s + _RETRY_S
            known.thread = self._threads.submit(self._scaling.end_left, one.id)

    def _settle(self, name: str, known: _Known) -> None:
        """Take note of how a change has ended, if it has."""
        change = known.change
        if change is None or not change.made.done():
            return
        known.change, fault = None, change.made.exception()
        if fault is None:
            known.failures, known.has_failed = 0, False
            self._decisions.note_end(self._clock.now(), name, change.count)
            return
        known.memory = known.memory.without_change(change.at_s)
        if isinstance(fault, Busy):
            known.retry_s = change.at_s + (0.0 if change.wakes else _RETRY_S)
        else:
            pause_s = min(_RETRY_S * 2.0**known.failures, _LONGEST_RETRY_S)
            known.failures, known.has_failed = known.failures + 1, True
            self._fault(name, _told(fault))
            known.retry_s = self._clock.monotonic_s() + pause_s
        self._decisions.note_end(self._clock.now(), name, change.count, _told(fault))


def _told(fault: BaseException) -> str:
    """Say why a change was not made; of ours only what hides secrets."""
    if isinstance(fault, Busy):
        return _HELD
    return str(fault) if isinstance(fault, InferenceError) else type(fault).__name__
