"""`inferctl up` and `inferctl drift` where nothing changed, at 1, 10 and 100 endpoints.

Real processes against the real local target. The deployments have no instances: 100 endpoints are
100 records and routes, not 100 servers.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml
from measure import BIN, Table, median, skipped, timed

COUNTS, ROUNDS, LIMIT_S = (1, 10, 100), 3, 120
Seconds = tuple[float, float, float]
"""First up, unchanged up, drift."""
TITLE = "A stack where nothing changed"


def measure() -> list[Table]:
    found: dict[int, Seconds] = {}
    notes = []
    for count in COUNTS:
        try:
            found[count] = _measured(count)
        except subprocess.TimeoutExpired:
            notes.append(f"{count} endpoints: more than {LIMIT_S} s for one command, given up.")
    if 1 not in found:
        return [skipped(TITLE, "one endpoint could not be measured")]
    header = "endpoints", "first up s", "up s", "of 1", "drift s", "of 1"
    rows = [_row(count, seconds, found[1]) for count, seconds in found.items()]
    notes.append(
        f"Wall time of whole processes, their start included; median of {ROUNDS} (first up: once). "
        "Each endpoint has one deployment with no instances."
    )
    return [Table(TITLE, header, rows, notes)]


def _row(count: int, found: Seconds, one: Seconds) -> tuple[str, ...]:
    (first_s, up_s, drift_s), (_, one_up_s, one_drift_s) = found, one
    return (
        str(count),
        f"{first_s:.1f}",
        f"{up_s:.2f}",
        f"{up_s / one_up_s:.1f}",
        f"{drift_s:.2f}",
        f"{drift_s / one_drift_s:.1f}",
    )


def _measured(count: int) -> Seconds:
    # a Unix socket's path has a limit of 107 bytes
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        folder = Path(text)
        (folder / "code").mkdir()
        (folder / "code" / "serve.py").write_text("")
        (folder / "stack.yaml").write_text(yaml.safe_dump(_stack(count)))
        first = _inferctl(folder, "up", "-y")
        try:
            ups = [_inferctl(folder, "up", "-y") for _ in range(ROUNDS)]
            drifts = [_inferctl(folder, "drift") for _ in range(ROUNDS)]
        finally:
            _inferctl(folder, "stop")
        return first, median(ups), median(drifts)


def _inferctl(folder: Path, *words: str) -> float:
    more = {"INFERENCE_STATE_DIR": str(folder / "s")}
    return timed((str(BIN / "inferctl"), *words), folder, more, LIMIT_S)


def _stack(count: int) -> dict[str, Any]:
    route = {"path": "/health", "port": 8080}
    return {
        "name": "bench",
        "workspaces": [{"name": "bench"}],
        "environments": [
            {
                "name": "plain",
                "command": ["python", "serve.py", "{port}"],
                "inference_config": {
                    "liveness_route": route,
                    "readiness_route": route,
                    "scoring_route": {"path": "/score", "port": 8080},
                },
            }
        ],
        "endpoints": [{"name": f"bench-{number}"} for number in range(count)],
        "deployments": [_deployment(number) for number in range(count)],
    }


def _deployment(number: int) -> dict[str, Any]:
    return {
        "endpoint": f"bench-{number}",
        "name": "blue",
        "environment": "plain@latest",
        "code_configuration": {"code": "code"},
        "instance_count": 0,
    }
