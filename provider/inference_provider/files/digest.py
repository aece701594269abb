"""Content -> sha256: what makes an asset the same on every machine.

Goes in: a spec and the folder its paths are relative to. Comes out: the spec with its content hash.
Which files are content, and what is hashed of them, is decided in `tree.py`.
"""

import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from inference_provider.errors import Fault, SpecError
from inference_provider.files.conda import read_conda
from inference_provider.files.jwks import with_keys
from inference_provider.files.left_out import BadContent
from inference_provider.files.reading import RELATIVE, Unreadable
from inference_provider.files.requirements import requirement_lines
from inference_provider.files.source_folder import SourceFolder
from inference_provider.files.tree import Content
from inference_provider.spec import EnvironmentSpec, ModelSpec, SpecModel, WorkspaceSpec
from inference_provider.spec.deployment import CodeConfiguration
from inference_provider.spec.identity_provider import IdentityProvider

S = TypeVar("S", bound=SpecModel)


def with_stack_file(spec: S, base_dir: Path, file_name: str) -> S:
    """Return a copy that says where in its content the stack file is; the spec if it is not."""
    if isinstance(spec, ModelSpec):
        name = _name_inside(base_dir / spec.path, base_dir / file_name)
        return spec.model_copy(update={"stack_file": name}) if name else spec
    if isinstance(spec, EnvironmentSpec) and spec.build is not None:
        name = _name_inside(base_dir / spec.build.path, base_dir / file_name)
        context = spec.build.model_copy(update={"stack_file": name})
        return spec.model_copy(update={"build": context}) if name else spec
    code = getattr(spec, "code_configuration", None)
    if isinstance(code, CodeConfiguration):
        name = _name_inside(base_dir / code.code, base_dir / file_name)
        noted = code.model_copy(update={"stack_file": name})
        return spec.model_copy(update={"code_configuration": noted}) if name else spec
    return spec


def _name_inside(folder: Path, file: Path) -> str | None:
    try:
        real, inside = Path(os.path.realpath(file)), Path(os.path.realpath(folder))
    except ValueError:  # a null byte; the path's own fault says so
        return None
    return real.relative_to(inside).as_posix() if inside in real.parents else None


def with_content_hash(spec: S, folder: SourceFolder) -> S:
    """Return a copy with its content hash filled in; other kinds unchanged.

    Of a workspace it is the keys of its identity provider. What an environment's requirements_file
    and conda_file ask for is merged into it; doing that twice changes nothing.

    Raises:
        SpecError: The content cannot be read.
    """
    if isinstance(spec, ModelSpec):
        model = _hash_of(partial(folder.model, spec), "path")
        return spec.model_copy(update={"content_hash": model})
    code = getattr(spec, "code_configuration", None)
    if isinstance(code, CodeConfiguration):
        found = _hash_of(partial(folder.code, code), "code_configuration.code")
        hashed = code.model_copy(update={"content_hash": found})
        return spec.model_copy(update={"code_configuration": hashed})
    if isinstance(spec, EnvironmentSpec):
        return spec.model_copy(update=_decided(spec, folder))
    if isinstance(spec, WorkspaceSpec) and spec.identity_provider is not None:
        provider = _with_keys(spec.identity_provider, folder.path)
        return spec.model_copy(update={"identity_provider": provider})
    return spec


def _with_keys(provider: IdentityProvider, base_dir: Path) -> IdentityProvider:
    try:
        return with_keys(provider, base_dir)
    except Unreadable as exc:
        raise SpecError((exc.fault("identity_provider.jwks_file", RELATIVE),)) from exc


def _decided(spec: EnvironmentSpec, folder: SourceFolder) -> dict[str, object]:
    """Return the fields of an environment that its files decide."""
    conda = read_conda(spec, folder.path)
    if conda.faults:
        raise SpecError(conda.faults)
    merged = (*_with_requirements(spec, folder.path), *conda.requirements)
    found: dict[str, object] = {
        "dependencies": tuple(dict.fromkeys(merged)),
        "python_version": spec.python_version or conda.python_version,
    }
    if spec.build is not None:
        context = _hash_of(partial(folder.build, spec.build), "build.path")
        found["build"] = spec.build.model_copy(update={"content_hash": context})
    return {**found, "content_hash": _environment_hash(spec.model_copy(update=found))}


def _hash_of(find: Callable[[], Content], field: str) -> str:
    try:
        return find().digest
    except (OSError, BadContent) as exc:
        raise SpecError((unreadable(exc, field),)) from exc


def unreadable(exc: OSError | BadContent, field: str) -> Fault:
    """Return the fault of content that cannot be read."""
    if isinstance(exc, OSError):
        where = f"cannot read '{exc.filename}': {exc.strerror}"
        return Fault(field, where, RELATIVE)
    reason, _, remedy = str(exc).partition("; ")
    return Fault(field, reason, remedy)


def _with_requirements(spec: EnvironmentSpec, base_dir: Path) -> tuple[str, ...]:
    if spec.requirements_file is None:
        return spec.dependencies
    try:
        lines = requirement_lines(base_dir, spec.requirements_file)
    except Unreadable as exc:
        raise SpecError((exc.fault("requirements_file", RELATIVE),)) from exc
    return tuple(dict.fromkeys((*spec.dependencies, *(text for _, text in lines))))


def _environment_hash(spec: EnvironmentSpec) -> str:
    routes = spec.inference_config.model_dump(mode="json") if spec.inference_config else None
    decides: dict[str, object] = {
        "dependencies": spec.dependencies,
        "python_version": spec.python_version,
        "image": spec.image,
        "command": spec.command,
        "inference_config": routes,
    }
    if spec.build is not None:  # what an older release hashed stays what it was
        decides["build"] = [spec.build.dockerfile_path, spec.build.content_hash]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
