"""The program that an environment's own command starts -> why it can never start.

Goes in: a deployment and what it is served with. Reports only what is certain: which programs the
packages of an environment bring is not known before it is built.
"""

import os
import posixpath
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference_provider.files.left_out import BadContent
from inference_provider.files.source_folder import SourceFolder
from inference_provider.files.tree import Content
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec

_REMEDY = "put it there, make it executable, or name another in the environment's command"


@dataclass(frozen=True)
class Served:
    """What a deployment may be served with: everything known that fits its references."""

    environments: tuple[EnvironmentSpec, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    on_this_machine: bool = False
    """Whether instances start programs of this machine; others bring programs that nobody sees."""


def absolute_program_fault(spec: EnvironmentSpec) -> tuple[str, str] | None:
    """Return why an environment's command cannot start on this machine, and what to do."""
    program = _program(spec)
    if program is None or not program.startswith("/") or _executable(Path(program)):
        return None
    return f"no program '{program}' on this machine", "install it, or name another"


def program_fault(
    spec: DeploymentSpec, served: Served, folder: SourceFolder
) -> tuple[str, str] | None:
    """Return why a deployment's server can never start, and what to do; None if it may."""
    found = [_fault(spec, environment, served, folder) for environment in served.environments]
    return found[0] if found and all(found) else None


def _fault(
    spec: DeploymentSpec, environment: EnvironmentSpec, served: Served, folder: SourceFolder
) -> tuple[str, str] | None:
    program = _program(environment)
    if program is None:
        return None
    missing_in = _missing_in(program, spec, environment, served, folder)
    if not missing_in:
        return None
    return f"its command starts '{program}', which is not {missing_in}", _REMEDY


def _missing_in(
    program: str,
    spec: DeploymentSpec,
    environment: EnvironmentSpec,
    served: Served,
    folder: SourceFolder,
) -> str:
    """Return where the program would have to be and is not; empty if it may be there."""
    place, slash, inside = program.partition("/")
    if not slash:
        here = served.on_this_machine
        found = _may_be_found(program, spec, environment) if here else bool(program)
        return "" if found else "on PATH"
    if place == "{model_dir}":
        missing = served.models and not any(
            _holds(partial(folder.model, model), inside) for model in served.models
        )
        return "in the model" if missing else ""
    elsewhere = not place or ("{" in place and place != "{code_dir}")
    if spec.code_configuration is None or elsewhere:
        return ""
    # An instance's working directory is its code.
    code = spec.code_configuration
    found = _holds(partial(folder.code, code), inside if place == "{code_dir}" else program)
    return "" if found else "in the code"


def _holds(find: Callable[[], Content], inside: str) -> bool:
    """Whether content holds a file that can be executed, at a path as it lies for an instance."""
    wanted = posixpath.normpath(inside)
    try:
        content = find()
    except (OSError, BadContent):
        return True  # reported as a fault of the content
    return any(
        posixpath.join(content.folder, name) == wanted and _executable(file)
        for name, file in content.files
    )


def _program(environment: EnvironmentSpec) -> str | None:
    """Return what the command starts; None without a command, or if an image has it."""
    return environment.command[0] if environment.command and not environment.has_image else None


def _executable(file: Path) -> bool:
    return os.access(file, os.X_OK) and file.is_file()


def _may_be_found(program: str, spec: DeploymentSpec, environment: EnvironmentSpec) -> bool:
    """Whether a bare name may be found: by a package, in the virtual environment, or on PATH."""
    if environment.installs or program.startswith("python"):
        return bool(program)
    given = spec.environment_variables.get("PATH")
    path = given.get_secret_value() if given else os.environ.get("PATH", os.defpath)
    if not all(map(os.path.isabs, path.split(os.pathsep))):
        return True  # relative to the instance's folder
    return shutil.which(program, path=path) is not None
