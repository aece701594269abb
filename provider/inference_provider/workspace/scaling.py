"""Counts that a rule's metrics ask for -> instances; and the end of what such a change has left.

What a change starts is admitted under the deployment's lock, as in any rollout. What it ends is
drained without it: an `up`, or more load, waits for no request that an instance still answers.
"""

from collections.abc import Callable
from contextlib import ExitStack

from inference_provider.errors import Busy
from inference_provider.observed import Actor, Record, ResourceId
from inference_provider.workspace.drain import Leaving, drain_lock
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import silent
from inference_provider.workspace.quota import CHANGE_WAIT_S
from inference_provider.workspace.rollout import (
    DRAIN_SLACK_S,
    SLOW_STOP_WAIT_S,
    Rollout,
    longest_request_s,
)
from inference_provider.workspace.ruled import serving_of
from inference_provider.workspace.state import deployment_lock


def _nothing() -> None:
    """Tell nobody."""


class Scaling:
    """Changes the counts of one workspace's deployments, as their rules decide."""

    def __init__(self, workspace: Workspace, actor: Actor) -> None:
        self._workspace = workspace
        self._state = workspace.state
        self._records = workspace.ports.records
        self._rollout = Rollout(workspace, actor, silent)

    def scale(
        self,
        deployment: ResourceId,
        count: int,
        made: Callable[[], None] = _nothing,
        wait_s: float = 0.0,
        decided_on: int | None = None,
    ) -> None:
        """Have as many instances as a rule's metrics ask for; without a rule those declared.

        Another change knows better what is wanted. Nothing happens when the deployment is gone.

        Args:
            deployment: Which.
            count: How many it shall have.
            made: Called when others may change the deployment again, and what leaves still drains.
            wait_s: Longest wait for another change, seconds.
            decided_on: The count from which this one was decided.

        Raises:
            Busy: Another changes the deployment now, or has changed its count meanwhile.
            TargetError: Its blueprint is gone, or it would have to be replaced.
        """
        name, leaving = deployment.name, self._leaving(deployment)
        with ExitStack() as drain:
            with self._records.lock(deployment_lock(name), wait_s):
                before = self._state.record(deployment)
                if before is None or before.variant != "online":
                    return
                if decided_on is not None:
                    self._refuse_outdated(before, decided_on)
                desired = self._rollout.recorded(before)
                drain_s, _ = self._rollout.change(desired, before, recorded=True, scaled_to=count)
                mine = bool(leaving.now()) and self._begin_to_drain(name, drain)
            made()
            if mine:
                self._end(leaving, drain_s)

    def _refuse_outdated(self, deployment: Record, decided_on: int) -> None:
        """Refuse what was decided before an `up` that has ended by now."""
        serving = serving_of(self._workspace.ports.compute, deployment)
        if sum(one.stands_for for one in serving) != decided_on:
            raise Busy("scale", str(deployment.id), "its count has changed meanwhile")

    def _begin_to_drain(self, name: str, drain: ExitStack) -> bool:
        """Whether nobody else drains this deployment; who does ends also what leaves it now."""
        try:
            drain.enter_context(self._records.lock(drain_lock(name), 0))
        except Busy:
            return False
        return True

    def end_left(self, deployment: ResourceId) -> None:
        """End what somebody who was killed has left of a deployment, after its last requests.

        Raises:
            Busy: Somebody else changes the deployment, or ends what is left.
        """
        with self._records.lock(drain_lock(deployment.name), 0):
            there = self._state.record(deployment)
            longest_s = longest_request_s(self._state, deployment) if there else 0.0
            self._end(self._leaving(deployment), longest_s + DRAIN_SLACK_S)

    def _end(self, leaving: Leaving, drain_s: float) -> None:
        if leaving.end(drain_s, SLOW_STOP_WAIT_S, CHANGE_WAIT_S):
            self._workspace.ports.content.prune(self._state.named_content())

    def _leaving(self, deployment: ResourceId) -> Leaving:
        return Leaving(self._workspace.ports, self._state, self._workspace.clock, deployment)
