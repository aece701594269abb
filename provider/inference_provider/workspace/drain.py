"""Instances that get no new request -> ended, once their last one has."""

from collections.abc import Callable

from inference_provider.errors import Interrupted
from inference_provider.observed import Record
from inference_provider.workspace.ports import Clock, Ports

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
) -> int:
    """End every instance that is not admitted after its last request; return how many there were.

    Args:
        ports: The workspace's.
        clock: Its clock.
        deployment: `<endpoint>/<deployment>`.
        record: What is published of it; None admits nothing.
        drain_s: Longest wait for the last request, seconds.
        stop_wait_s: Time that each then has to end by itself, seconds.
    """
    leaving = {
        instance.name: instance.backends
        for instance in ports.compute.instances(deployment).get(deployment, ())
        if record is None or not record.admits(instance.name, instance.generation)
    }
    if leaving:
        backends = [backend for found in leaving.values() for backend in found]
        wait_until(lambda: not ports.router.is_connected(backends), drain_s, clock)
        ports.compute.retire(deployment, leaving.keys(), stop_wait_s)
    return len(leaving)


def wait_until(done: Callable[[], bool], limit_s: float, clock: Clock) -> None:
    """Wait until something is done, or the time is over."""
    until_s, pause_s = clock.monotonic_s() + limit_s, POLL_S
    while not done() and (left_s := until_s - clock.monotonic_s()) > 0:
        clock.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.25, LONGEST_POLL_S)
