"""The core says nothing that is true of one target or of one way in only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import inference_provider

ROOT = Path(inference_provider.__file__).parent
CORE = (
    "spec",
    "router",
    "desired",
    "compare",
    "capabilities",
    "drift",
    "outputs",
    "sharing",
    "apply",
    "access",
    "errors",
    "observed",
)
WORDS = ("127.0.0.1", "this machine", "the machine", "inferctl", "supervisord", "'local'")


def texts(module: Path) -> Iterator[str]:
    """Yield the strings of a module that people read: sentences, no docstrings."""
    tree = ast.parse(module.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = getattr(node, "value", None) if id(node) not in docstrings else None
        if isinstance(text, str) and " " in text:
            yield text


@pytest.mark.parametrize("part", CORE)
def test_no_message_of_the_core_names_a_target_or_a_way_in(part):
    modules = sorted((ROOT / part).glob("*.py")) or [ROOT / f"{part}.py"]
    found = [
        f"{module.relative_to(ROOT)}: {text}"
        for module in modules
        for text in texts(module)
        if any(word in text for word in WORDS)
    ]
    assert found == []
