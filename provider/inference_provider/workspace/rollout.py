"""How a deployment changes: reserve, start, admit and publish new instances, retire the old.

Every step is recorded before it is taken, so the next call can finish what a killed caller left:
an instance that is not admitted is a leftover, to be used or ended.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from inference_provider.compare import with_generation
from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError, Interrupted, TargetError
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.ownership import record_of, refuse_others
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.dependencies import refuse_unmet
from inference_provider.workspace.drain import (
    end_unadmitted,
    is_drained_now,
    stop_wait_after,
    unadmitted,
)
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import MakeRoom, Progress, Unit, side_by_side
from inference_provider.workspace.quota import CHANGE_WAIT_S, reserved
from inference_provider.workspace.ruled import serving_of
from inference_provider.workspace.state import State, deployment_lock
from inference_provider.workspace.units import Units, recorded_deployment

DRAIN_SLACK_S = 2.0
"""Extra time a last request may take beyond its timeout, seconds."""
SLOW_STOP_WAIT_S = 8.0
"""Time beyond its longest request that an instance has to end by itself, seconds."""


def _nothing() -> None:
    """Change no record."""


class Rollout:
    """Changes one deployment from what runs to what is desired."""

    def __init__(self, workspace: Workspace, actor: Actor, progress: Progress) -> None:
        self._workspace = workspace
        self._ports = ports = workspace.ports
        self._records, self._compute = ports.records, ports.compute
        self._router, self._content = ports.router, ports.content
        self._state = workspace.state
        self._convergence = workspace.convergence
        self._clock = workspace.clock
        self._units = Units(workspace)
        self._actor = actor
        self._progress = progress

    def run(self, desired: DesiredResource, *, recorded: bool = False) -> Record | None:
        """Serve exactly what `desired` says, with its number of instances.

        Args:
            desired: The deployment.
            recorded: Whether this restarts a recorded deployment; nothing happens if it was
                deleted in the meantime.

        Returns:
            The record that this replaced.

        Raises:
            Busy: Another changes the deployment for too long.
            NotReady: A new instance did not become ready; the old ones keep serving.
            OutOfCapacity: The workspace's quota, or the target, has no room.
        """
        with self._records.lock(deployment_lock(desired.id.name), CHANGE_WAIT_S):
            before = self._state.record(desired.id)
            if recorded:
                if before is None:
                    return None
                now = self.recorded(before)  # another may have applied it since it was read
                desired = now.model_copy(update={"gpus": desired.gpus})
            left = self._left(before)
            drain_s, fewer = self.change(desired, before, recorded=recorded)
            # who drains what was left before needs no second one to wait for it
            drained = left and is_drained_now(self._records, desired.id.name)
            self._retire(desired.id, drain_s, fewer, spared=left if drained else ())
            return before

    def _left(self, before: Record | None) -> Collection[str]:
        """Return instances that get no requests already, as while a rule's scale-in drains them."""
        if before is None or self._compute.replaces_instances or before.admitted is None:
            return ()
        return unadmitted(self._ports, before.id.name, before).keys()

    def change(
        self,
        desired: DesiredResource,
        before: Record | None,
        *,
        recorded: bool,
        scaled_to: int | None = None,
    ) -> tuple[float, int]:
        """Start, admit and publish what is desired; the deployment's lock is held.

        Returns:
            How long what it left may take for its last requests, in seconds; and how many of them a
            target ends that replaces instances by itself.
        """
        name = desired.id.name
        refuse_others("update", desired, before)
        if before is not None and not self._compute.replaces_instances:
            self._name_admitted(before)
        with self._state.secrets.still():  # or its digest may be of another value
            injected = self._units.with_injected(desired, before if recorded else None)
            desired = with_generation(injected, before)
            unit = self._units.of(desired, recorded=recorded)
        if scaled_to is not None and before and before.generation != unit.generation:
            self._refuse_to_roll(desired.id)
        drain_s = self._drain_s(desired, before)
        count = self._count(unit, before, scaled_to)
        with reserved(self._workspace, desired, self._actor):
            if count:
                self._convergence.ensure_up()
            with self._room(unit, before, drain_s) as make_room:
                serving = self._compute.ensure(unit, count, self._progress, make_room)
                self._admit(desired, serving, count, scales=scaled_to is not None)
        if count:
            self._router.wait_healthy(name, self._kept(unit, before, count))
            if before and before.admitted == () and not (unit.rule and unit.rule.least_ever == 0):
                with suppress(InferenceError):  # its requests need wait no more; or a later one
                    self._convergence.change(_nothing, Publish.WHILE_IT_RUNS)
        self._progress(desired.id, f"{counted(count, 'instance')} admitted by the router")
        return drain_s, self._compute.scale_in(unit, count, drain_s + SLOW_STOP_WAIT_S)

    def run_recorded(self, resource: ResourceId) -> None:
        """Have a recorded deployment run as it is recorded, if it is there.

        Raises TargetError when its blueprint is gone.
        """
        record = self._state.record(resource)
        if record is None or record.variant != "online":
            return
        self.run(self.recorded(record), recorded=True)

    @staticmethod
    def _refuse_to_roll(resource: ResourceId) -> NoReturn:
        """Raise: a rule adds instances of what runs, and replaces none."""
        reason = "its secrets have changed since it was applied, so all instances would be replaced"
        raise TargetError("scale", str(resource), reason, "apply the stack again")

    def recorded(self, record: Record) -> DesiredResource:
        """Return a deployment as it is recorded.

        Raises:
            TargetError: Its blueprint is gone, or of a newer release.
        """
        desired = recorded_deployment(self._state, record)
        if desired is None:
            reason = "its blueprint is gone, or of a newer release"
            remedy = "apply the stack again, or run this with that release"
            raise TargetError("scale", str(record.id), reason, remedy)
        return desired

    def _count(self, unit: Unit, before: Record | None, scaled_to: int | None = None) -> int:
        """Return how many instances are wanted: under a rule as many as serve, within its limits.

        The record has the count that is declared, for the day on which the rule goes.
        """
        declared = unit.spec.instance_count
        if unit.rule is None:
            return declared
        if scaled_to is not None:
            return unit.rule.within_any(scaled_to)
        serving = serving_of(self._compute, before) if before else ()
        count = sum(i.stands_for for i in serving)
        runs_on = before is not None and before.generation == unit.generation
        if runs_on and before and (serving or before.admitted == ()):
            # a schedule of it may be open now: who keeps the rule knows
            return unit.rule.within_any(count or (declared if unit.rule.least_ever else 0))
        # of one that has no instance now, too, one must have started before it is admitted
        return max(unit.rule.within(count or declared), 1)

    def _kept(self, unit: Unit, before: Record | None, count: int) -> int:
        """Return how many of those surely stay: a rule may end some of them at any time."""
        runs_on = before is not None and before.generation == unit.generation
        least = unit.rule.min_instances if unit.rule and self._compute.replaces_instances else count
        return min(count, least) if runs_on else count

    @contextmanager
    def _room(self, unit: Unit, before: Record | None, drain_s: float) -> Iterator[MakeRoom]:
        """Without surge, end the old instances first; start them again when the new ones fail.

        Yields:
            What ends those of the same generation that are not used again, before others start.
        """
        if before is None or unit.spec.surge != 0:
            yield side_by_side
            return
        if not self._gives_way(unit, before):
            try:
                yield lambda kept: self._end_all_but(kept, before, drain_s)
            except BaseException:
                self._say_if_none_is_left(unit.id)
                raise
            return
        old = self._units.recorded(before)
        count = self._count(old, before) if old else 0
        self._admit_alone(before, ())  # when this fails, nothing has changed
        try:
            self._end_old(before.id, drain_s)
            yield side_by_side
        except (Interrupted, KeyboardInterrupt):  # nothing more may be started
            self._progress(unit.id, "no instance serves: run this again, or with the old file")
            raise
        except Exception:
            self._bring_back(before, old, count)
            raise
        self._content.prune(self._state.named_content())

    def _end_all_but(self, kept: Collection[str], before: Record, drain_s: float) -> None:
        there = {one.name for one in self._compute.instances().get(before.id.name, ())}
        if there - {*kept}:
            self._admit_alone(before, tuple(kept))
            self._end_old(before.id, drain_s)

    def _say_if_none_is_left(self, deployment: ResourceId) -> None:
        """Say so: what ran of the same generation cannot come back, for its image may be gone."""
        with suppress(InferenceError):
            if not self._compute.instances().get(deployment.name):
                self._progress(deployment, "no instance serves: fix the cause and run this again")

    def _end_old(self, deployment: ResourceId, drain_s: float) -> None:
        ended = self._end_unadmitted(deployment, drain_s, drain_s + SLOW_STOP_WAIT_S)
        if ended:
            said = f"{counted(ended, 'old instance')} drained and stopped, to make room"
            self._progress(deployment, said)

    def _gives_way(self, unit: Unit, before: Record) -> bool:
        """Whether what runs must end before new instances start; a cluster restarts in place."""
        renewed = unit.afresh and not self._compute.replaces_instances
        rolls = renewed or unit.generation != before.generation
        left_so = before.admitted == ()  # by somebody who was killed or interrupted
        there = left_so or unit.id.name in self._compute.instances()
        return rolls and there

    def _bring_back(self, before: Record, old: Unit | None, count: int) -> None:
        """Let the old instances serve again. The first error is the one to raise."""
        try:
            if old is None:
                raise TargetError("start", str(before.id), "its blueprint is gone")
            self._progress(before.id, "starting the old instances again")
            serving = self._compute.ensure(old, count, self._progress)
            self._admit_alone(before, serving)
            self._compute.scale_in(old, count, SLOW_STOP_WAIT_S)
        except InferenceError as fault:
            said = f"the old instances do not serve again: {str(fault).splitlines()[0]}"
            self._progress(before.id, said)

    def _admit_alone(self, record: Record, names: tuple[str, ...] | None) -> None:
        """Let requests reach only some instances of what is recorded already."""

        def edit() -> None:
            self._workspace.refuse_absent()
            now = self._state.record(record.id) or record  # others write its owner meanwhile
            admitted = now.model_copy(update={"admitted": names})
            self._state.put_record(admitted, self._state.placeholders(record.id))

        self._convergence.change(edit, Publish.ALWAYS)

    def remove(self, resource: ResourceId, drain_s: float, forget: Callable[[], None]) -> None:
        """Call `forget`, then drain and end every instance.

        Args:
            resource: The deployment.
            drain_s: Longest wait for its last request.
            forget: Unpublishes the deployment; when it returns, no new request is sent to it.
        """
        with self._records.lock(deployment_lock(resource.name), CHANGE_WAIT_S):
            forget()
            self._retire(resource, drain_s)
            self._compute.forget(resource.name)

    def _name_admitted(self, older: Record) -> None:
        """Name the instances that a record of an older release admits.

        It admits all of its generation: those too that this rollout starts, before they are ready.
        """
        if older.admitted is not None:
            return
        there = self._compute.instances().get(older.id.name, ())
        names = tuple(i.name for i in there if older.admits(i.name, i.generation))

        def edit() -> None:
            now = self._state.record(older.id)
            if now is not None:
                named = now.model_copy(update={"admitted": names})
                self._state.put_record(named, self._state.placeholders(older.id))

        self._convergence.change(edit, Publish.NEVER)

    def _admit(
        self,
        desired: DesiredResource,
        serving: tuple[str, ...] | None,
        count: int,
        *,
        scales: bool,
    ) -> None:
        """Let the router send requests only to `serving`, or to all of the generation if None.

        Undone when it refuses.
        """
        name = desired.id.name

        def edit() -> None:
            self._workspace.refuse_absent()  # it may have been deleted meanwhile
            refuse_unmet(self._state, desired)
            before = self._state.record(desired.id)
            record = record_of(desired, before, self._actor, self._clock.now())
            if scales and before is not None:  # nobody has applied anything
                record = record.model_copy(update={"actor": before.actor, "time": before.time})
            self._state.put_blueprint(name, desired.spec)
            admitted = record.model_copy(update={"admitted": serving})
            self._state.put_record(admitted, desired.placeholders)
            self._state.drop_reservation(name)

        # the router was started before new instances; if it has ended since, this fails
        publish = Publish.STARTED if count else Publish.ALWAYS
        try:
            self._convergence.change(edit, publish)
        except BaseException as fault:
            stop_wait_s = stop_wait_after(fault)
            self._end_unadmitted(desired.id, 0, stop_wait_s)
            if self._compute.replaces_instances:
                self._scale_back(desired.id, stop_wait_s)
            raise

    def _scale_back(self, resource: ResourceId, stop_wait_s: float) -> None:
        """Have no more instances than are recorded. The first error is the one to raise."""
        with suppress(InferenceError):
            record = self._state.record(resource)
            recorded = self._units.recorded(record) if record else None
            if recorded is not None:
                self._compute.scale_in(recorded, self._count(recorded, record), stop_wait_s)

    def _drain_s(self, desired: DesiredResource, before: Record | None) -> float:
        """Return how long a request to an old instance may take, by the old limit and the new.

        A request through the split may take the longest timeout of the endpoint's deployments.
        """
        own = request_timeout_s(desired.properties)
        old = longest_request_s(self._state, desired.id) if before else 0.0
        return max(own, old) + DRAIN_SLACK_S

    def _end_unadmitted(
        self, resource: ResourceId, drain_s: float, stop_wait_s: float, spared: Collection[str] = ()
    ) -> int:
        record, name = self._state.record(resource), resource.name
        waits = (drain_s, stop_wait_s, spared)
        return end_unadmitted(self._ports, self._clock, name, record, *waits)

    def _retire(
        self, resource: ResourceId, drain_s: float, ended: int = 0, spared: Collection[str] = ()
    ) -> None:
        ended += self._end_unadmitted(resource, drain_s, drain_s + SLOW_STOP_WAIT_S, spared)
        if ended:
            self._content.prune(self._state.named_content())
            self._progress(resource, f"{counted(ended, 'old instance')} drained and stopped")


def longest_request_s(state: State, deployment: ResourceId) -> float:
    """Return how long a request to any recorded deployment of the same endpoint may take."""
    records = state.of_kind(Kind.DEPLOYMENT, "online")
    same = (record for record in records if record.id.endpoint == deployment.endpoint)
    return max((request_timeout_s(record.properties) for record in same), default=0.0)


def request_timeout_s(properties: Mapping[str, Any]) -> float:
    """Return how long one request to a deployment may take."""
    return float(properties["request_settings"]["request_timeout_ms"]) / 1000


def counted(count: int, noun: str) -> str:
    """Format a count with its noun: `1 instance`, `2 instances`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
