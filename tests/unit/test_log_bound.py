"""The bound of Envoy's access log."""

import os
import subprocess
import sys
from pathlib import Path

from inference_provider.targets.envoy import log_bound
from inference_provider.targets.envoy.log_bound import bound_log


def test_all_access_logs_together_are_bounded_and_the_newest_are_kept(tmp_path: Path):
    log = tmp_path / "access.log"
    for number in range(1, 9):
        log.write_bytes(bytes([number]) * 110)
        bound_log(log, 100)
    kept = {path.name: path.read_bytes()[0] for path in tmp_path.iterdir()}
    assert kept == {"access.log.1": 8, "access.log.2": 7, "access.log.3": 6}
    log.write_bytes(bytes(80))  # 410 bytes in all
    bound_log(log, 100)
    assert sorted(os.listdir(tmp_path)) == ["access.log", "access.log.1", "access.log.2"]
    log.write_bytes(bytes(999))  # more in one look than all may have
    bound_log(log, 100)
    assert os.listdir(tmp_path) == []


def test_the_bound_needs_nothing_but_the_standard_library(tmp_path: Path):
    command = [sys.executable, "-I", "-S", log_bound.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
