"""A stack file without a fault, and what reading one answers."""

from pathlib import Path

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_stack

GOOD = """\
name: demo
workspaces:
  - name: lab
models:
  - {name: iris, path: model}
environments:
  - {name: sklearn, dependencies: [six]}
endpoints:
  - name: iris-ep
    traffic: {blue: 100}
    mirror_traffic: {green: 10}
deployments:
  - &blue
    endpoint: iris-ep
    name: blue
    model: iris@latest
    environment: sklearn:1
    code_configuration: {code: src, scoring_script: score.py}
  - <<: *blue
    name: green
"""


def load(folder: Path, text: str):
    """Write a stack file into a folder, and load it."""
    (folder / "stack.yaml").write_text(text)
    return load_stack(folder / "stack.yaml")


def faults(folder: Path, text: str) -> list[str]:
    """Return every fault that loading a stack file reports."""
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    return [str(fault) for fault in caught.value.faults]
