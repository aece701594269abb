"""The process: `python -m inference_provider.service STATE_FOLDER WORKSPACE VERSION`.

It keeps the rules of a workspace of this machine. The version is the package's, for who looks
whether it is still the one that is installed.

It ends with the supervisord that started it, also when that is killed: one that lived on would
change counts beside its successor. It keeps nothing that its end could lose.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from inference_provider.actor import current_actor
from inference_provider.errors import InferenceError
from inference_provider.secret_stores.opened import open_store
from inference_provider.service.autoscaler import AT_ONCE, Autoscaler
from inference_provider.service.decisions import Decisions
from inference_provider.service.faults import Faults
from inference_provider.service.metering import Metering
from inference_provider.targets.local.service_process import is_the_service
from inference_provider.targets.local.target import LocalTarget
from inference_provider.workspace.system_clock import SystemClock

PERIOD_S = 1.0
_THREADS = 4 * AT_ONCE
"""Those of changes, and of what drains after one."""


def main() -> None:
    """Keep the rules of one workspace until this process is ended."""
    parent = os.getppid()
    root, workspace = Path(sys.argv[1]), sys.argv[2]
    target = LocalTarget.open(root)
    target.open_store = open_store
    router = target.local.router(workspace)
    if not is_the_service(router.supervisor):  # or that has ended before this process looked
        sys.exit("it runs under the workspace's supervisord alone; `inferctl up` starts it")
    Metering(target.meter(workspace), router.metrics, workspace).run()
    with ThreadPoolExecutor(_THREADS) as threads:
        autoscaler = Autoscaler(
            target,
            workspace,
            target.local.samples(workspace),
            Decisions(router.folders.decisions),
            Faults(router.folders.rule_faults),
            actor=current_actor("autoscaler"),
            clock=SystemClock(),
            threads=threads,
        )
        said = ""
        while True:
            if os.getppid() != parent:
                os._exit(1)  # in the middle of changes: an `up` ends what they have left
            said = _look(autoscaler, said)
            time.sleep(PERIOD_S)


def _look(autoscaler: Autoscaler, said: str) -> str:
    """Look once; say what is wrong when it is not what was said last, and return it."""
    try:
        autoscaler.look()
    except (InferenceError, OSError) as fault:
        wrong = str(fault)
    else:
        wrong = ""
    if wrong and wrong != said:
        print(wrong, file=sys.stderr, flush=True)  # noqa: T201 - its log
    return wrong


if __name__ == "__main__":
    main()
