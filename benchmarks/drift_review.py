"""What a drift review takes as a stack grows, in memory: no process, no file but the two it reads.

Two deployments an endpoint, each with a variable, and its traffic. First as declared, then with the
split of every endpoint changed by hand, half of it waived, and a history of what was seen before.
"""

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from measure import Table, median

from inference_provider.cli.entry import COLLECT_EVERY
from inference_provider.drift import DriftReport
from inference_provider.observed import Actor
from inference_provider.reviewed import noted, waived
from inference_provider.spec import StackSpec
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.memory import MemoryTarget
from inference_provider.waivers import Waiver

SIZES = (125, 1000)
ROUNDS = 5
ROUTE = {"path": "/health", "port": 8080}


def stack_of(count: int, share: int = 90) -> Stack:
    names = [f"e{i:04}x" for i in range(count)]
    routes = ("liveness_route", "readiness_route", "scoring_route")
    document = {
        "name": "bench",
        "workspaces": [{"name": "default", "target": "memory"}],
        "environments": [
            {
                "name": "plain",
                "command": ["python", "-m", "http.server"],
                "inference_config": dict.fromkeys(routes, ROUTE),
                "content_hash": "a" * 64,
            }
        ],
        "endpoints": [{"name": name} for name in names],
        "deployments": [
            {"endpoint": name, "name": one, "environment": "plain:1", "tags": {"team": "ml"},
             "environment_variables": {"LEVEL": "info"}}
            for name in names for one in ("blue", "green")
        ],
        "traffic": [
            {"endpoint": name, "traffic": {"blue": share, "green": 100 - share}} for name in names
        ],
    }  # fmt: skip
    return Stack.of(StackSpec.model_validate(document))


def measure() -> list[Table]:
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY)  # as inferctl does
    rows = [_row(count) for count in SIZES]
    gc.set_threshold(*before)
    header = ("endpoints", "deployments", "as declared s", "each split changed s", "with waivers s")
    note = f"Medians of {ROUNDS}, in seconds of processor time, which other programs do not change."
    return [Table("A drift review in memory", header, rows, (note,))]


def _row(count: int) -> list[str]:
    pipeline = Pipeline(MemoryTarget(), Actor(user="ann"))
    pipeline.apply(pipeline.plan(stack_of(count)), parallel=64)
    clean, changed = stack_of(count), stack_of(count, share=80)
    now = datetime.now(UTC)
    accepted = [
        Waiver(
            address=f"Traffic/default/e{i:04}x",
            field="traffic",
            owner="ann",
            reason="canary",
            expires=now.date() + timedelta(days=30),
        )
        for i in range(count // 2)
    ]
    _, history = noted(pipeline.drift(changed), {}, now)

    def reviewed() -> DriftReport:
        report, _ = noted(pipeline.drift(changed), history, now)
        return waived(report, accepted, now)

    found = reviewed()
    if (found.waived, found.counts["drifted"]) != (count // 2, count - count // 2):
        raise RuntimeError(f"not what was changed: {found.counts}")
    spent = [
        _cpu_s(lambda: pipeline.drift(clean)), _cpu_s(lambda: pipeline.drift(changed)),
        _cpu_s(reviewed),
    ]  # fmt: skip
    return [f"{count:,}", f"{2 * count:,}", *(f"{one:.2f}" for one in spent)]


def _cpu_s(review: Callable[[], DriftReport]) -> float:
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        review()
        spent.append(time.process_time() - began)
    return median(spent)
