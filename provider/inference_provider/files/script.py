"""A scoring script -> what keeps it from working, as its environment's Python sees it.

Goes in: the script's bytes and the Python that it will run in. It is parsed, never run. Syntax that
only a newer Python than ours has is checked by that Python, later (`serving/script_check.py`).
"""

import ast
import sys
from collections.abc import Iterable, Iterator

from inference_provider.errors import Fault
from inference_provider.spec import EnvironmentSpec

Python = tuple[int, int]
"""Major and minor version."""
OUR_PYTHON: Python = sys.version_info[:2]


def python_in(version: str | None) -> Python:
    """Return the Python of an environment's `python_version`; ours when it is left out."""
    if version is None:
        return OUR_PYTHON
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def python_of(environments: Iterable[EnvironmentSpec]) -> Python | None:
    """Return the Python of environments; None if they differ, or there are none."""
    found = {python_in(environment.python_version) for environment in environments}
    return found.pop() if len(found) == 1 else None


def script_faults(
    content: bytes, written: str, field: str, python: Python | None
) -> Iterator[Fault]:
    """Yield what is wrong with a script, as far as our own Python can tell.

    Args:
        content: The file, in any encoding that Python knows.
        written: Its path as a person wrote it.
        field: The field that names it.
        python: What it runs in; None if unknown.
    """
    newer = python is None or python > OUR_PYTHON
    try:
        tree = ast.parse(content, feature_version=None if newer else python)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        if not newer:
            line = getattr(exc, "lineno", None)
            where = f"'{written}' line {line}" if line else f"'{written}'"
            reason = getattr(exc, "msg", "") or str(exc) or "nested too deeply"
            yield Fault(field, f"{where} is not valid Python: {reason}", "fix the script")
        return
    names = set(_bound_names(tree.body))
    missing = [] if "*" in names else [f"{name}()" for name in ("init", "run") if name not in names]
    if missing:
        reason = f"'{written}' defines no {' and no '.join(missing)}"
        yield Fault(field, reason, "define init(), called once, and run(data), called per request")


def _bound_names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield names bound at the top level, also under `if`, `try` and `with`."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.Assign(targets=targets):
                yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                yield name
            case _:
                for block in ("body", "orelse", "finalbody"):
                    yield from _bound_names(getattr(statement, block, ()))
                for handler in getattr(statement, "handlers", ()):
                    yield from _bound_names(handler.body)
