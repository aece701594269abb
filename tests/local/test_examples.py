"""Every example runs, as its README says, from a copy."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.local

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_listing_of_examples_is_known():
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()) == ["01-quickstart"]


def test_the_quickstart_is_at_most_40_lines():
    assert len((EXAMPLES / "01-quickstart" / "stack.yaml").read_text().splitlines()) <= 40


def test_the_quickstart_serves_its_split_and_goes_without_a_trace():
    folder = Path(tempfile.mkdtemp(prefix="inf-"))
    ignored = shutil.ignore_patterns(".pulumi-state", "Pulumi.demo.yaml")
    shutil.copytree(EXAMPLES / "01-quickstart", folder / "q", ignore=ignored)
    env = {
        **os.environ,
        "INFERENCE_STATE_DIR": str(folder / "s"),
        "PATH": "/usr/bin:/bin",  # without a Pulumi engine: the engine has tests of its own
    }

    def demo(*arguments: str) -> str:
        command = [sys.executable, str(folder / "q" / "demo.py"), *arguments]
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    try:
        first = demo()
        assert "20 on the split" in first
        assert "pinned to green  iris-forest" in first
        assert "without a key    401" in first
        assert "no changes; 8 unchanged" in demo()
    finally:
        demo("--down")
        assert list((folder / "s" / "workspaces").iterdir()) == []
        shutil.rmtree(folder, ignore_errors=True)
