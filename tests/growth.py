"""How the time of a computation grows with the size of its input: a ratio within one run.

A limit in seconds fails on a slow machine and passes a slow way on a fast one.
"""

import time
from collections.abc import Callable

EIGHT_TIMES = 30.0
"""Most that eight times the input may cost: up to 13 was measured of what is linear, with the work
of a garbage collector in it; the square is 64."""


def growth(compute: Callable[[int], object], small: int) -> float:
    """Return how many times the CPU time of `compute(small)` that of `compute(8 * small)` is."""
    return cpu_s(lambda: compute(8 * small)) / cpu_s(lambda: compute(small))


def cpu_s(compute: Callable[[], object]) -> float:
    """Return the CPU time of the fastest of three runs, in seconds."""
    found: list[float] = []
    for _ in range(3):
        began_s = time.process_time()
        compute()
        found.append(time.process_time() - began_s)
    return min(found)
