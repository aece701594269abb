"""The MLmodel file of a model of MLflow -> whether it can be served, and what that needs installed.

Goes in: the path of a model. Comes out: where its MLmodel file is, and the fields of an environment
that the files beside it ask for. The model itself is not read.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.errors import Fault
from inference_provider.files.conda import read_conda
from inference_provider.files.lines import LineMap, read_document
from inference_provider.files.reading import REQUIREMENTS_MIB, STACK_FILE_MIB, Unreadable, read_text
from inference_provider.files.requirements import requirement_lines
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.pins import name_of

MLMODEL, PYFUNC = "MLmodel", "python_function"
"""The file that describes a model, and the flavor by which MLflow serves all others."""
_PYTHON = re.compile(r"(3\.\d+)(\.\d+)*")
_OF_MLFLOW = frozenset({"mlflow", "mlflow-skinny", "azureml-mlflow"})
_RELEASE = re.compile(r"\d+(\.\w+)*")
_LOGGED = "name the folder that MLflow wrote, with its MLmodel file"
_OWN = "give the deployment a code_configuration with a scoring_script, and an environment"


class MlModel(NamedTuple):
    """What an MLmodel file says."""

    folder: str
    """The folder that has it: the model's path, or a folder in that."""
    value: Mapping[str, Any]
    lines: LineMap

    @property
    def requirement(self) -> str:
        """What installs the MLflow that wrote it, as far as it says which one that was."""
        version = str(self.value.get("mlflow_version", ""))
        return f"mlflow=={version}" if _RELEASE.fullmatch(version) else "mlflow"

    @property
    def python_function(self) -> Mapping[str, Any] | None:
        """What is written of the flavor that serves it; None without it."""
        found = self.value.get("flavors", {}).get(PYFUNC)
        return found if isinstance(found, Mapping) else None


class Broken(Exception):
    """A model of MLflow that cannot be read, or not be served; carries the faults of its path."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults


def read_mlmodel(base_dir: Path, written: str) -> MlModel:
    """Read the MLmodel file of a model.

    Args:
        base_dir: What its path is relative to.
        written: Its path.

    Raises:
        Broken: There is none, or several, or it is no MLmodel file.
        OSError: The folder cannot be read.
    """
    folder = _folder_of(base_dir, written)
    name = f"{folder}/{MLMODEL}"
    try:
        text = read_text(base_dir / folder / MLMODEL, name, STACK_FILE_MIB)
    except Unreadable as exc:
        raise Broken(exc.fault("path", _LOGGED)) from exc
    document = read_document(text)
    if document.faults:
        raise Broken(*(_at(name, one.line, one.reason, one.remedy) for one in document.faults))
    value = document.value
    if not isinstance(value, Mapping) or not isinstance(value.get("flavors"), Mapping):
        line = document.lines.line("flavors") if isinstance(value, Mapping) else 1
        raise Broken(_at(name, line or 1, "no mapping `flavors:`", _LOGGED))
    return MlModel(folder, value, document.lines)


def _folder_of(base_dir: Path, written: str) -> str:
    top = base_dir / written
    if not top.is_dir():
        reason = f"'{written}' is a file, and a model of MLflow is a folder"
        raise Broken(Fault("path", reason, _LOGGED))
    if (top / MLMODEL).is_file():
        return Path(written).as_posix()
    inside = sorted(one.name for one in top.iterdir() if (one / MLMODEL).is_file())
    if len(inside) == 1:
        return (Path(written) / inside[0]).as_posix()
    if inside:
        reason = f"'{written}' has several folders with an MLmodel file: {', '.join(inside)}"
        raise Broken(Fault("path", reason, "name one of them"))
    reason = f"no file MLmodel in '{written}', nor in a folder of it"
    remedy = f"{_LOGGED}, or write type: custom_model"
    raise Broken(Fault("path", reason, remedy))


def _at(file: str, line: int | None, reason: str, remedy: str) -> Fault:
    where = f" line {line}" if line is not None else ""
    return Fault("path", f"'{file}'{where}: {reason}", remedy)


def refuse_without_python(model: MlModel) -> None:
    """Refuse a model that MLflow cannot serve by itself.

    Raises:
        Broken: It lacks the flavor for that.
    """
    if model.python_function is None:
        flavors = ", ".join(map(str, model.value["flavors"])) or "none"
        reason = f"its flavors are {flavors}; without code a model is served by {PYFUNC}"
        raise Broken(_at(f"{model.folder}/{MLMODEL}", model.lines.line("flavors"), reason, _OWN))


def environment_of(model: MlModel, base_dir: Path) -> dict[str, Any]:
    """Return the fields of an environment that a model's own files ask for.

    Raises:
        Broken: It has no such file, or one that cannot be read.
    """
    python = model.python_function or {}
    named = python.get("env")
    named = {"conda": named} if isinstance(named, str) else named
    named = named if isinstance(named, Mapping) else {}

    def there(*names: Any) -> str | None:
        found = (n for n in names if isinstance(n, str) and (base_dir / model.folder / n).is_file())
        return next((f"{model.folder}/{name}" for name in found), None)

    if conda := there(named.get("conda"), "conda.yaml", "conda.yml"):
        fields: dict[str, Any] = {"conda_file": conda}
    elif virtual := there(named.get("virtualenv"), "python_env.yaml"):
        fields = _of_python_env(base_dir, virtual)
    elif listed := there("requirements.txt"):
        fields = _as_conda(python.get("python_version"), _lines(base_dir, listed))
    else:
        name, line = f"{model.folder}/{MLMODEL}", model.lines.line(f"flavors.{PYFUNC}")
        reason = "neither conda.yaml, python_env.yaml nor requirements.txt lies beside it"
        raise Broken(_at(name, line, reason, "add one, or give the deployment an environment"))
    if not installs_mlflow(EnvironmentSpec.model_construct(name="model", **fields), base_dir):
        fields["dependencies"] = [model.requirement]
    return fields


def _of_python_env(base_dir: Path, file: str) -> dict[str, Any]:
    try:
        document = read_document(read_text(base_dir / file, file, REQUIREMENTS_MIB))
    except Unreadable as exc:
        raise Broken(exc.fault("path", _LOGGED)) from exc
    value = document.value
    listed = value.get("dependencies", []) if isinstance(value, Mapping) else None
    if document.faults or not isinstance(listed, list):
        line = document.faults[0].line if document.faults else document.lines.line("dependencies")
        reason = document.faults[0].reason if document.faults else "no list `dependencies:`"
        raise Broken(_at(file, line, reason, _LOGGED))
    requirements: list[str] = []
    for one in map(str, listed):
        beside = f"{Path(file).parent.as_posix()}/{one[2:].strip()}"
        requirements += _lines(base_dir, beside) if one.startswith("-r") else [one]
    return _as_conda(value.get("python"), requirements)


def _lines(base_dir: Path, file: str) -> list[str]:
    try:
        return [text for _, text in requirement_lines(base_dir, file)]
    except Unreadable as exc:
        raise Broken(exc.fault("path", _LOGGED)) from exc


def _as_conda(python: Any, requirements: list[str]) -> dict[str, Any]:
    """Return the content of a conda file: a Python that a machine lacks may then be another."""
    found = _PYTHON.fullmatch(str(python))
    pinned = [f"python={found[1]}"] if found else []
    return {"conda_file": {"dependencies": [*pinned, {"pip": requirements}]}}


def installs_mlflow(spec: EnvironmentSpec, base_dir: Path) -> bool:
    """Whether an environment names MLflow; True where what it names cannot be read."""
    try:
        return any(name_of(one) in _OF_MLFLOW for one in _requirements(spec, base_dir))
    except Unreadable:
        return True


def _requirements(spec: EnvironmentSpec, base_dir: Path) -> Iterator[str]:
    yield from spec.dependencies
    if spec.requirements_file is not None:
        yield from (text for _, text in requirement_lines(base_dir, spec.requirements_file))
    conda = read_conda(spec, base_dir)
    yield from conda.requirements
    if conda.faults:  # told elsewhere
        yield "mlflow"
