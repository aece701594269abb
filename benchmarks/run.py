"""Run all benchmarks, or those named, and print their tables as Markdown.

`benchmarks/run.py [router] [weights] [stack] [pulumi]`
"""

import sys
from collections.abc import Callable

import pulumi_overhead
import router
import stack
import weights
from measure import Table

SUITES: dict[str, Callable[[], list[Table]]] = {
    "router": router.measure,
    "weights": weights.measure,
    "stack": stack.measure,
    "pulumi": pulumi_overhead.measure,
}


def main() -> None:
    names = sys.argv[1:] or list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        sys.exit(f"benchmarks: no '{unknown[0]}'; there are {', '.join(SUITES)}")
    for name in names:
        for table in SUITES[name]():
            print(table, flush=True)


if __name__ == "__main__":
    main()
