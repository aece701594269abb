"""A conda file, as Azure ML's environments name it -> a version of Python, and requirements.

Goes in: the path of the file, or what it would say, written in its place. There is no conda here:
what is under `pip:` is installed, and of conda's packages those that have the same name on PyPI.
Another may have another name there, or none, so it is refused by its name. Which numpy conda would
take beside the others is decided in `numpy_1.py`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.errors import Fault
from inference_provider.files.lines import read_document
from inference_provider.files.numpy_1 import numpy_beside
from inference_provider.files.reading import (
    RELATIVE,
    REQUIREMENTS_MIB,
    Unreadable,
    inside,
    read_text,
)
from inference_provider.files.wording import unknown_field
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.requirement import requirement_fault

_FIELDS = ("name", "channels", "dependencies", "prefix")
_PACKAGE = re.compile(r"(?:[-\w]+::)?(?P<name>[-\w.]+)\s*(?P<pin>.*)")
_SAME_ON_PYPI = frozenset(
    {
        "cloudpickle", "fastapi", "joblib", "lightgbm", "matplotlib", "mlflow", "nltk", "numpy",
        "onnx", "pandas", "pillow", "psutil", "pyarrow", "pydantic", "pyyaml", "requests",
        "scikit-learn", "scipy", "seaborn", "setuptools", "statsmodels", "tqdm", "transformers",
        "wheel", "xgboost",
    }
)  # fmt: skip
"""Packages that conda-forge builds of the release on PyPI of the same name."""
_BUILD = re.compile(r"={1,2}[^=,|<>!~\s]+=")
"""Begins a pin that names a build of conda."""
_PREFIX = re.compile(r"=?\s*(?P<version>\d[\w.]*?)(\.?\*)?")
_PIN = re.compile(r"={1,2}\s*(?P<version>3\.\d+)(\.\d+|\.?\*)*")
"""A pin of conda names a version and all that begin with it."""


class Conda(NamedTuple):
    """What a conda file asks for."""

    python_version: str | None = None
    requirements: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def read_conda(spec: EnvironmentSpec, base_dir: Path) -> Conda:
    """Read an environment's conda file, which its path or its content stands for."""
    written = spec.conda_file
    if written is None:
        return Conda()
    if not isinstance(written, str):
        return _conda(written, spec.python_version, "conda_file.")
    try:
        text = read_text(inside(base_dir, written), Path(written).name, REQUIREMENTS_MIB)
    except Unreadable as exc:
        return Conda(faults=(exc.fault("conda_file", RELATIVE),))
    document = read_document(text)
    if document.faults:
        lines = (
            Fault("conda_file", f"line {one.line}: {one.reason}", one.remedy)
            for one in document.faults
        )
        return Conda(faults=tuple(lines))
    if not isinstance(document.value, Mapping):
        fault = Fault("conda_file", f"expected a mapping with `dependencies:` in '{written}'")
        return Conda(faults=(fault,))
    found = _conda(document.value, spec.python_version, "")
    told = (
        Fault("conda_file", f"{one.path}: {one.reason}", one.remedy)
        if one.path != "python_version"
        else one
        for one in found.faults
    )
    return found._replace(faults=tuple(told))


def _conda(content: Mapping[str, Any], python: str | None, prefix: str) -> Conda:
    """Take the content of a conda file apart.

    Args:
        content: What it says.
        python: The version that the environment asks for beside it.
        prefix: Begins the path of each fault in it.
    """
    faults = [
        Fault(f"{prefix}{name}", *unknown_field(str(name), _FIELDS))
        for name in content
        if name not in _FIELDS
    ]
    versions: list[str] = []
    requirements: list[tuple[str, str]] = []
    for path, what, value in _dependencies(content.get("dependencies")):
        if what == "requirement":
            requirements.append((path, value))
            found = requirement_fault(value)
        elif what == "package":
            version, requirement, found = _package(value)
            if version and versions:
                found = f"'{value}' is a second version of Python", "leave one of them out"
            versions += [version] if version else []
            requirements += [(path, requirement)] if requirement else []
        else:
            found = (value, "list packages under `dependencies:`, and those of pip under `- pip:`")
        faults += [Fault(f"{prefix}{path}", *found)] if found else []
    version = versions[0] if versions else None
    if version and python and version != python:
        reason = f"'{python}', and the conda file asks for {version}"
        faults.append(Fault("python_version", reason, "leave one of them out"))
    numpy, conflict = numpy_beside(requirements)
    faults += [replace(conflict, path=f"{prefix}{conflict.path}")] if conflict else []
    texts = (*(text for _, text in requirements), *([numpy] if numpy else []))
    return Conda(version, texts, tuple(faults))


def _dependencies(listed: Any) -> Iterator[tuple[str, str, str]]:
    """Yield path, meaning and text of everything that a conda file lists."""
    if not isinstance(listed, list | tuple):
        yield "dependencies", "fault", "not a list"
        return
    for i, item in enumerate(listed):
        pip = item.get("pip") if isinstance(item, Mapping) and list(item) == ["pip"] else None
        if isinstance(item, str):
            yield f"dependencies.{i}", "package", item
        elif isinstance(pip, list | tuple) and all(isinstance(one, str) for one in pip):
            for j, one in enumerate(pip):
                yield f"dependencies.{i}.pip.{j}", "requirement", one
        else:
            yield f"dependencies.{i}", "fault", "neither a package nor a list of those of pip"


def _package(text: str) -> tuple[str | None, str | None, tuple[str, str] | None]:
    """Return the version of Python or the requirement that a package stands for, or a fault."""
    found = _PACKAGE.fullmatch(text.strip())
    name, pin = (found["name"].lower(), found["pin"]) if found else (text, "")
    if name == "pip" or (name == "python" and not pin):
        return None, None, None
    if name in _SAME_ON_PYPI:
        requirement = f"{name}{_for_pip(pin)}"
        unfit = bool(_BUILD.match(pin)) or "|" in pin or requirement_fault(requirement) is not None
        if not unfit:
            return None, requirement, None
        reason = f"'{text}' is pinned in a way that pip does not know"
        return None, None, (reason, f"write it like {name}=1.2.3 or {name}>=1.2,<2")
    if name != "python":
        remedy = "list it under `- pip:`, by its name on PyPI"
        return None, None, (f"there is no conda here to install '{name}'", remedy)
    asked = _PIN.fullmatch(pin)
    if asked is None:
        fault = (f"'{text}' names no single version of Python", "write it like python=3.12")
        return None, None, fault
    return asked["version"], None, None


def _for_pip(pin: str) -> str:
    """Return a pin of conda as one of pip: `=1.2` names 1.2 and all that begin with it."""
    prefix = _PREFIX.fullmatch(pin)
    return f"=={prefix['version']}.*" if prefix else pin.replace(" ", "")
