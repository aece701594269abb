"""Debian's programs of Prometheus: those of PATH, else unpacked once from its package."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

_PLACE = Path("/var/tmp/inference-prometheus-tests")


def program(name: str) -> str:
    """Return the path of `promtool` or `prometheus`; skips where there is none."""
    unpacked = _PLACE / "usr" / "bin" / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else "")
    if not found and shutil.which("apt-get") and os.access("/var/tmp", os.W_OK):
        found = _unpacked(unpacked)
    if not found:
        pytest.skip(f"no {name}: it is neither on PATH nor in a Debian package that is reached")
    return found


def _unpacked(wanted: Path) -> str:
    _PLACE.mkdir(parents=True, exist_ok=True)
    with FileLock(_PLACE / "lock"):
        if wanted.exists():
            return str(wanted)
        got = subprocess.run(
            ["apt-get", "download", "-qq", "prometheus"],
            cwd=_PLACE,
            capture_output=True,
            timeout=120,
            check=False,
        )
        for package in _PLACE.glob("prometheus_*.deb") if got.returncode == 0 else ():
            subprocess.run(["dpkg", "-x", str(package), str(_PLACE)], check=True, timeout=120)
            package.unlink()
    return str(wanted) if wanted.exists() else ""
