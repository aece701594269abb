"""Files a spec names -> faults: missing ones, and scoring scripts that cannot work.

Goes in: one spec and the folder its paths are relative to. The scripts are parsed, never run.
"""

import os
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

from inference_provider.errors import Fault
from inference_provider.files.conda import read_conda
from inference_provider.files.digest import unreadable
from inference_provider.files.dockerfile import builds_nothing, unfit_mounts
from inference_provider.files.jwks import jwks_faults
from inference_provider.files.left_out import CODE_IGNORES, BadContent, ignore_file
from inference_provider.files.mlmodel import Broken, read_mlmodel
from inference_provider.files.program import Served, absolute_program_fault, program_fault
from inference_provider.files.reading import (
    RELATIVE,
    SCRIPT_MIB,
    Unreadable,
    is_text,
    read_bytes,
)
from inference_provider.files.requirements import requirement_faults
from inference_provider.files.script import Python, python_of, script_faults
from inference_provider.files.source_folder import SourceFolder
from inference_provider.files.tree import Content
from inference_provider.secret_stores.opened import store_fault
from inference_provider.spec import (
    AnyDeployment,
    BatchDeploymentSpec,
    DeploymentSpec,
    EnvironmentSpec,
    ModelSpec,
    SpecModel,
    WorkspaceSpec,
)
from inference_provider.spec.connection import vault_secrets_in
from inference_provider.spec.deployment import CodeConfiguration
from inference_provider.spec.environment import BuildContext

_UNKNOWN = Served()
_WITHOUT = {
    "secret": "name packages of a private index under dependencies, or build the image yourself",
    "ssh": "copy what it fetches into the folder, or build the image yourself",
}
"""What to do without a mount that an image's builder takes from its client."""


def file_faults(
    spec: SpecModel, folder: SourceFolder, served: Served = _UNKNOWN
) -> tuple[Fault, ...]:
    """Return what is wrong with the files and packages a spec needs; paths relative to the spec.

    Args:
        spec: Names files.
        folder: What its paths are relative to.
        served: What a deployment is served with and where, as far as it is known.
    """
    if isinstance(spec, ModelSpec):
        return _faults(_model_faults(spec, folder), "path")
    if isinstance(spec, EnvironmentSpec):
        found = absolute_program_fault(spec) if served.on_this_machine else None
        program = (Fault("command.0", *found),) if found else ()
        build = _faults(_build_faults(spec.build, folder), "build") if spec.build else ()
        conda = read_conda(spec, folder.path).faults
        return (*program, *requirement_faults(spec, folder.path), *conda, *build)
    if isinstance(spec, WorkspaceSpec):
        store = store_fault(spec.secret_store.kind)
        missing = (Fault("secret_store.kind", *store),) if store else ()
        provider = spec.identity_provider
        return (*missing, *(jwks_faults(provider, folder.path) if provider else ()))
    if isinstance(spec, DeploymentSpec | BatchDeploymentSpec):
        return _faults(_deployment_faults(spec, folder, served), "code_configuration")
    return ()


def _deployment_faults(
    spec: AnyDeployment, folder: SourceFolder, served: Served
) -> Iterator[Fault]:
    if spec.code_configuration is not None:
        yield from _code_faults(spec.code_configuration, folder, python_of(served.environments))
    # a preview may not know the variables yet
    if spec.kind == "online" and any(vault_secrets_in(spec.environment_variables or {})):
        store = store_fault("azure_key_vault")
        yield from (Fault("environment_variables", *store),) if store else ()
    found = program_fault(spec, served, folder) if spec.kind == "online" else None
    if found:
        yield Fault("environment", *found)


def _faults(found: Iterator[Fault], field: str) -> tuple[Fault, ...]:
    """Collect faults; a path that cannot be checked is one (no permission, a name too long)."""
    try:
        return tuple(found)
    except OSError as exc:
        return (Fault(field, f"cannot be checked: {exc.strerror}", RELATIVE),)
    except ValueError as exc:  # a null byte
        return (Fault(field, f"not a path: {exc}", RELATIVE),)


def _model_faults(spec: ModelSpec, folder: SourceFolder) -> Iterator[Fault]:
    path = folder.path / spec.path
    if not spec.path or not (path.exists() or path.is_symlink()):
        yield Fault("path", f"no file or folder '{spec.path}'", RELATIVE)
        return
    yield from _content_faults(partial(folder.model, spec), spec.path, "path")
    if spec.type == "mlflow_model":
        try:
            read_mlmodel(folder.path, spec.path)
        except Broken as broken:
            yield from broken.faults


def _build_faults(build: BuildContext, folder: SourceFolder) -> Iterator[Fault]:
    field, base = "build.dockerfile_path", folder.path / build.path
    if not base.is_dir():
        yield Fault("build.path", f"no folder '{build.path}'", RELATIVE)
    elif os.path.isabs(build.dockerfile_path) or ".." in Path(build.dockerfile_path).parts:
        yield Fault(field, f"'{build.dockerfile_path}' is outside '{build.path}'", "move it in")
    elif not (base / build.dockerfile_path).is_file():
        reason = f"no file '{build.dockerfile_path}' in '{build.path}'"
        yield Fault(field, reason, "write its path relative to build.path")
    else:
        find = partial(folder.build, build)
        content = yield from _content_faults(find, build.path, "build.path")
        if content is not None:
            yield from _dockerfile_faults(base / build.dockerfile_path, build)


def _dockerfile_faults(file: Path, build: BuildContext) -> Iterator[Fault]:
    field = "build.dockerfile_path"
    try:
        text = read_bytes(file, build.dockerfile_path, SCRIPT_MIB).decode(errors="replace")
    except Unreadable as fault:
        yield fault.fault(field, "make it a readable text file")
        return
    if builds_nothing(text):  # UTF-16, as PowerShell writes it, is half null bytes
        why = "is not UTF-8 text" if "\0" in text else "has no FROM"
        remedy = "save it as UTF-8" if "\0" in text else "name an image to build on"
        yield Fault(field, f"'{build.dockerfile_path}' {why}", remedy)
    for mount in unfit_mounts(text):
        named = "a secret" if mount.type == "secret" else mount.type
        reason = f"line {mount.line} mounts {named}, which no build gets"
        yield Fault(field, reason, _WITHOUT[mount.type])


def _content_faults(
    find: Callable[[], Content], written: str, field: str
) -> Generator[Fault, None, Content | None]:
    try:
        content = find()
    except (OSError, BadContent) as exc:
        yield unreadable(exc, field)
        return None
    for name, _ in content.files:
        if not is_text(name):
            shown = name.encode(errors="backslashreplace").decode()
            yield Fault(field, f"the name of the file '{shown}' is not UTF-8", "rename the file")
    if not content.files:
        yield Fault(field, f"the folder '{written}' is empty", "put the files in it first")
    return content


def _code_faults(
    code: CodeConfiguration, base: SourceFolder, python: Python | None
) -> Iterator[Fault]:
    folder = base.path / code.code
    if not folder.is_dir():
        yield Fault("code_configuration.code", f"no folder '{code.code}'", RELATIVE)
        return
    found = partial(base.code, code)
    files = yield from _content_faults(found, code.code, "code_configuration.code")
    if code.scoring_script is None:  # the environment's own command starts the server
        return
    field, script = "code_configuration.scoring_script", folder / code.scoring_script
    # As it is written: a link inside may lead anywhere.
    if not Path(os.path.abspath(script)).is_relative_to(os.path.abspath(folder)):
        yield Fault(field, f"'{code.scoring_script}' is outside '{code.code}'", "move it in")
    elif not script.is_file():
        reason = f"no file '{code.scoring_script}' in '{code.code}'"
        yield Fault(field, reason, "write its path relative to code")
    elif files and os.path.relpath(script, folder) not in dict(files.files):
        by = ignore_file(folder, CODE_IGNORES)
        reason = f"'{code.scoring_script}' is left out by {by.name if by else 'its name'}"
        remedy = f"change {by.name}: the script is part of the code" if by else "rename it"
        yield Fault(field, reason, remedy)
    else:
        try:
            content = read_bytes(script, code.scoring_script, SCRIPT_MIB)
        except Unreadable as exc:
            yield exc.fault(field, "write its path relative to code")
            return
        yield from script_faults(content, code.scoring_script, field, python)
