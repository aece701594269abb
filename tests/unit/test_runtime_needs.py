"""The image of routers and services has what their own code imports."""

import ast
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from inference_provider.targets.images import OTLP_NEEDS, RUNTIME_NEEDS, SERVICE_NEEDS

PACKAGE = Path(__file__).parents[2] / "provider" / "inference_provider"
BESIDE = {"azure", "requests"}
"""An extra, for a workspace whose secret_store needs it; and what comes with an exporter."""


def with_what_they_need(names):
    """Return distributions, and all that these bring."""
    found, left = set(), [canonicalize_name(Requirement(one).name) for one in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needed = [Requirement(one) for one in requires(name) or ()]
        except PackageNotFoundError:
            continue
        left += [
            canonicalize_name(one.name)
            for one in needed
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return found


def imported_in(room):
    """Return the top-level names that a room's modules import, wherever in them."""
    for path in (PACKAGE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((one.name.partition(".")[0], path.name) for one in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0], path.name


@pytest.mark.parametrize(
    "room", ["web", "console", "service", "router", "workspace", "metrics", "targets/envoy"]
)
def test_what_runs_in_it_imports_nothing_that_is_not_in_it(room):
    there = with_what_they_need((*RUNTIME_NEEDS, *SERVICE_NEEDS, *OTLP_NEEDS))
    known = packages_distributions()
    lacking = {
        (name, file)
        for name, file in imported_in(room)
        if name not in sys.stdlib_module_names | {"inference_provider"} | BESIDE
        and not there.intersection(map(canonicalize_name, known.get(name, ())))
    }
    assert lacking == set()
