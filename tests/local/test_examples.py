"""Every example runs from a copy, as its README says; with an engine and without."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ENGINE = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
DYNAMIC_HOST = "pulumi-resource-pulumi-python"


def test_the_listing_of_examples_is_known():
    found = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert found == ["01-quickstart", "ci", "observability"]


def test_the_quickstart_is_at_most_40_lines():
    assert len((EXAMPLES / "01-quickstart" / "stack.yaml").read_text().splitlines()) <= 40


@pytest.mark.parametrize("project", [ROOT, EXAMPLES / "01-quickstart"], ids=["root", "quickstart"])
def test_no_project_lets_the_engine_ask_for_uv(project):
    # Left to itself the engine takes uv.lock, above, for a wish to use uv.
    options = yaml.safe_load((project / "Pulumi.yaml").read_text())["runtime"]["options"]
    assert options["toolchain"] == "pip"


def test_the_quickstart_serves_its_split_and_goes_without_a_trace():
    with _quickstart("/usr/bin:/bin") as demo:
        first = demo()
        assert "20 on the split" in first
        assert "pinned to green  iris-forest" in first
        assert "without a key    401" in first
        assert "no changes; 8 unchanged" in demo()


@pytest.mark.pulumi
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi engine on PATH")
def test_an_engine_drives_the_quickstart_where_no_uv_is_on_the_path(tmp_path):
    for name in (*ENGINE, DYNAMIC_HOST):
        (tmp_path / name).symlink_to(shutil.which(name) or "missing")
    with _quickstart(f"{tmp_path}:/usr/bin:/bin") as demo:
        first = demo()
        assert "+ 9 created" in first
        assert "without a key    401" in first
        assert "9 unchanged" in demo()


@contextmanager
def _quickstart(path: str) -> Iterator[Callable[..., str]]:
    """Give what runs `demo.py` in a copy of the repository's shape, and take all down after it."""
    root = Path(tempfile.mkdtemp(prefix="inf-"))  # short: a socket lies below it
    folder = root / "examples" / "q"
    ignored = shutil.ignore_patterns(".pulumi-state", "Pulumi.demo.yaml")
    shutil.copytree(EXAMPLES / "01-quickstart", folder, ignore=ignored)
    shutil.copy(ROOT / "uv.lock", root)
    (root / ".venv").symlink_to(sys.prefix)
    env = {**os.environ, "INFERENCE_STATE_DIR": str(root / "s"), "PATH": path}

    def demo(*arguments: str) -> str:
        command = [sys.executable, str(folder / "demo.py"), *arguments]
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    try:
        yield demo
    finally:
        demo("--down")
        assert list((root / "s" / "workspaces").glob("*")) == []
        shutil.rmtree(root, ignore_errors=True)
