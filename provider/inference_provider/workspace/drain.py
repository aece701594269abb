"""Instances that get no new request -> ended, once their last one has."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from inference_provider.errors import Busy, Interrupted
from inference_provider.observed import Record, ResourceId
from inference_provider.router.table import Backend
from inference_provider.workspace.ports import Clock, Ports, Records
from inference_provider.workspace.state import State, deployment_lock

POLL_S, LONGEST_POLL_S = 0.05, 0.5
"""First pause between two questions, and the longest: each may be a request to every router."""
_STOP_WAIT_S = 5.0
"""Time that an instance which never had a request has to end by itself, seconds."""
_HURRIED_STOP_WAIT_S = 0.5
"""The same when a person waits."""


def stop_wait_after(fault: BaseException) -> float:
    """Return the seconds that an instance has to end which a fault kept from serving."""
    hurried = isinstance(fault, Interrupted | KeyboardInterrupt)
    return _HURRIED_STOP_WAIT_S if hurried else _STOP_WAIT_S


def end_unadmitted(  # noqa: PLR0917 - what is ended, and how long each step may take
    ports: Ports,
    clock: Clock,
    deployment: str,
    record: Record | None,
    drain_s: float,
    stop_wait_s: float,
    spared: Collection[str] = (),
) -> int:
    """End every instance that is not admitted after its last request; return how many there were.

    Args:
        ports: The workspace's.
        clock: Its clock.
        deployment: `<endpoint>/<deployment>`.
        record: What is published of it; None admits nothing.
        drain_s: Longest wait for the last request, seconds.
        stop_wait_s: Time that each then has to end by itself, seconds.
        spared: Those that somebody else ends.
    """
    leaving = {n: at for n, at in unadmitted(ports, deployment, record).items() if n not in spared}
    if leaving:
        backends = [backend for found in leaving.values() for backend in found]
        wait_until(lambda: not ports.router.is_connected(backends), drain_s, clock)
        ports.compute.retire(deployment, leaving.keys(), stop_wait_s)
    return len(leaving)


def unadmitted(
    ports: Ports, deployment: str, record: Record | None
) -> Mapping[str, tuple[Backend, ...]]:
    """Return what runs of a deployment and gets no requests, by name; None admits nothing."""
    return {
        instance.name: instance.backends
        for instance in ports.compute.instances(deployment).get(deployment, ())
        if record is None or not record.admits(instance.name, instance.generation)
    }


def drain_lock(deployment: str) -> str:
    """Return the lock of who ends a deployment's instances beside those who change it.

    Who holds the deployment's lock never waits for it.
    """
    return f"drain.{deployment.replace('/', '.')}"


def is_drained_now(records: Records, deployment: str) -> bool:
    """Whether somebody ends instances of a deployment, after their last requests."""
    with suppress(Busy), records.lock(drain_lock(deployment), 0):
        return False
    return True


class Leaving:
    """Ends what a change of the count has left, while others may change the deployment again.

    For a caller that has the lock `drain_lock`; that of the deployment is taken for moments.
    """

    def __init__(self, ports: Ports, state: State, clock: Clock, deployment: ResourceId) -> None:
        self._ports = ports
        self._state = state
        self._clock = clock
        self._id = deployment

    def now(self) -> Mapping[str, tuple[Backend, ...]]:
        """Return what is to end; call it under the deployment's lock."""
        return unadmitted(self._ports, self._id.name, self._state.record(self._id))

    def end(self, drain_s: float, stop_wait_s: float, change_wait_s: float) -> int:
        """End what is there and was not admitted again meanwhile, until nothing is left.

        Returns:
            How many have ended.

        Raises:
            Busy: Somebody else changes the deployment, and ends or uses what is left.
        """
        ended = 0
        while leaving := self._alone():
            backends = [backend for found in leaving.values() for backend in found]
            quiet = self._is_quiet(backends, drain_s)
            with self._ports.records.lock(deployment_lock(self._id.name), change_wait_s):
                still = self.now().keys() & leaving.keys()
                given_s = stop_wait_s if quiet else drain_s + stop_wait_s
                self._ports.compute.retire(self._id.name, still, given_s)
            ended += len(still)
        return ended

    def _alone(self) -> Mapping[str, tuple[Backend, ...]]:
        with self._ports.records.lock(deployment_lock(self._id.name), 0):
            return self.now()

    def _is_quiet(self, backends: Collection[Backend], drain_s: float) -> bool:
        """Whether the last request has ended within some time."""
        router = self._ports.router
        wait_until(lambda: not router.is_connected(backends), drain_s, self._clock)
        return not router.is_connected(backends)


def wait_until(done: Callable[[], bool], limit_s: float, clock: Clock) -> None:
    """Wait until something is done, or the time is over."""
    until_s, pause_s = clock.monotonic_s() + limit_s, POLL_S
    while not done() and (left_s := until_s - clock.monotonic_s()) > 0:
        clock.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.25, LONGEST_POLL_S)
