"""Instances that get no new request -> ended, once their last one has."""

from collections.abc import Callable

from inference_provider.workspace.ports import Clock, Ports

POLL_S = 0.05
STOP_WAIT_S = 5.0
"""Time that an idle instance has to end by itself, seconds."""
SLOW_STOP_WAIT_S = 8.0
"""Time beyond its longest request that an instance has which may still have one, seconds."""


def end_unadmitted(
    ports: Ports, clock: Clock, deployment: str, drain_s: float, *, everything: bool = False
) -> int:
    """End every instance that is not admitted after its last request; return how many there were.

    Args:
        ports: The workspace's.
        clock: Its clock.
        deployment: `<endpoint>/<deployment>`.
        drain_s: Longest wait for the last request, seconds.
        everything: Whether to end admitted ones too: the deployment is no longer published.
    """
    leaving = ports.compute.unadmitted(deployment, everything=everything)
    if leaving:
        wait_until(lambda: not ports.router.is_connected(leaving), drain_s, clock)
    stop_wait_s = drain_s + SLOW_STOP_WAIT_S if drain_s else STOP_WAIT_S
    return ports.compute.retire(deployment, stop_wait_s, everything=everything)


def wait_until(done: Callable[[], bool], limit_s: float, clock: Clock) -> None:
    """Wait until something is done, or the time is over."""
    until_s = clock.monotonic_s() + limit_s
    while not done() and clock.monotonic_s() < until_s:
        clock.sleep(POLL_S)
