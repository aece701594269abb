"""Which Python of this machine an environment is built with.

Goes in: the Python that it asks for, and where there are which. A `python_version` is taken by its
word. What a conda file pins, conda would install; where that Python is not there, the nearest is
taken, and said. Packages and scripts rarely depend on it, and the resolver tells where they do.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.spec import EnvironmentSpec


class Chosen(NamedTuple):
    """A Python to build with."""

    program: str
    """What uv takes for `--python`."""
    note: str = ""
    """Why it is not the one that was asked for; empty where it is."""
    suffix: str = ""
    """What sets an environment with it apart from one with the Python that was asked for."""


def choose(spec: EnvironmentSpec, installed: Mapping[str, str]) -> Chosen | None:
    """Return the Python for an environment; None where there is none for it.

    Args:
        spec: An environment that names a Python.
        installed: Programs by version, `3.12`.
    """
    asked = spec.python_version or ""
    if asked in installed:
        return Chosen(installed[asked])
    if spec.conda_file is None or not installed:
        return None
    near = min(installed, key=lambda one: (abs(_minor(one) - _minor(asked)), -_minor(one)))
    known = ", ".join(sorted(installed, key=_minor))
    note = f"Python {near} in place of {asked} of the conda file: this machine has {known}"
    return Chosen(installed[near], note, f"-python{near}")


def known_to_uv(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return programs by version, of what `uv python list --output-format json` says."""
    found: dict[str, str] = {}
    for one in listed:
        parts = one["version_parts"]
        if one.get("implementation", "cpython") == "cpython" and parts["major"] == 3:
            found.setdefault(f"3.{parts['minor']}", one["path"])
    return found


def of_pyenv(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what pyenv has installed, by version: uv sees only those that pyenv puts on PATH."""
    root = Path(variables.get("PYENV_ROOT") or Path(variables.get("HOME", "/")) / ".pyenv")
    return {version: program for _, version, program in sorted(_in(root / "versions"))}


def _in(folder: Path) -> Iterator[tuple[tuple[int, ...], str, str]]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        numbers = name.split(".")
        program = folder / name / "bin" / "python"
        is_release = all(map(str.isdecimal, numbers)) and numbers[0] == "3" and len(numbers) > 1
        if is_release and os.access(program, os.X_OK):
            yield tuple(map(int, numbers)), f"3.{numbers[1]}", str(program)


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
