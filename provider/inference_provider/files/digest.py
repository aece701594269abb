"""Content -> sha256: what makes an asset the same on every machine.

Goes in: a spec and the folder its paths are relative to. Comes out: the spec with its content hash.
Names and bytes count; times, modes and the machine do not.
"""

import errno
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from inference_provider.errors import Fault, SpecError
from inference_provider.files.reading import RELATIVE, Unreadable
from inference_provider.files.requirements import requirement_lines
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, SpecModel

SKIPPED_NAMES = frozenset({"__pycache__", ".git", ".venv", ".ipynb_checkpoints"})
"""Made by tools beside the content, never part of it."""

S = TypeVar("S", bound=SpecModel)


class LinkOutside(ValueError):
    """A symbolic link leads out of the tree, or round in a circle."""


def digest_tree(path: Path) -> str:
    """Return sha256 in hex over the relative names and the bytes of a folder, or of one file.

    Raises:
        OSError: Something cannot be read.
        LinkOutside: A symbolic link leads out of the tree, or back above itself.
    """
    digest = hashlib.sha256()
    for name, file in sorted(tree_files(path)):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        # Two lengths of fixed form around the name: no two trees read as the same text.
        digest.update(f"{len(name.encode())}:{name}:{content}\n".encode())
    return digest.hexdigest()


def named_digest(name: str, digest: str) -> str:
    """Return a model's hash: a script reads `$AZUREML_MODEL_DIR/<name>`, so the name is content."""
    return hashlib.sha256(f"{name}:{digest}".encode()).hexdigest()


def tree_files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield relative name (with `/`) and path of every file that belongs to the content."""
    if path.is_dir():
        yield from _walk(path, "", path.resolve(), (path.resolve(),))
    else:
        yield path.name, _regular(path)


def _walk(
    folder: Path, prefix: str, root: Path, above: tuple[Path, ...]
) -> Iterator[tuple[str, Path]]:
    for entry in folder.iterdir():
        if entry.name in SKIPPED_NAMES or entry.suffix == ".pyc":
            continue
        name, real = prefix + entry.name, entry.resolve()
        if entry.is_symlink() and (not real.is_relative_to(root) or real in above):
            raise LinkOutside(f"the link '{name}' leads out of the folder; copy the file in")
        if entry.is_dir():
            yield from _walk(entry, f"{name}/", root, (*above, real))
        else:
            yield name, _regular(entry)


def _regular(path: Path) -> Path:
    """Return the path; a pipe would be waited for without end, a device read without end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device; take it out", str(path))
    return path


def with_content_hash(spec: S, base_dir: Path) -> S:
    """Return a copy with its content hash filled in; other kinds as they are.

    An environment's requirements_file is merged into its dependencies on the way; doing it twice
    changes nothing.

    Raises:
        SpecError: The content cannot be read.
    """
    if isinstance(spec, ModelSpec):
        found = named_digest(
            (base_dir / spec.path).resolve().name, _hash_of(base_dir / spec.path, "path")
        )
        return spec.model_copy(update={"content_hash": found})
    if isinstance(spec, DeploymentSpec) and spec.code_configuration is not None:
        found = _hash_of(base_dir / spec.code_configuration.code, "code_configuration.code")
        code = spec.code_configuration.model_copy(update={"content_hash": found})
        return spec.model_copy(update={"code_configuration": code})
    if isinstance(spec, EnvironmentSpec):
        merged = _with_requirements(spec, base_dir)
        return spec.model_copy(
            update={"dependencies": merged, "content_hash": _environment_hash(spec, merged)}
        )
    return spec


def _hash_of(path: Path, field: str) -> str:
    try:
        return digest_tree(path)
    except (OSError, LinkOutside) as exc:
        raise SpecError((unreadable(exc, field),)) from exc


def unreadable(exc: OSError | LinkOutside, field: str) -> Fault:
    """Say that content cannot be read, and why."""
    if isinstance(exc, OSError):
        where = f"cannot read '{exc.filename}': {exc.strerror}"
        return Fault(field, where, RELATIVE)
    reason, _, remedy = str(exc).partition("; ")
    return Fault(field, reason, remedy)


def _with_requirements(spec: EnvironmentSpec, base_dir: Path) -> tuple[str, ...]:
    if spec.requirements_file is None:
        return spec.dependencies
    try:
        lines = requirement_lines(base_dir / spec.requirements_file)
    except Unreadable as exc:
        raise SpecError((exc.fault("requirements_file", RELATIVE),)) from exc
    return tuple(dict.fromkeys((*spec.dependencies, *(text for _, text in lines))))


def _environment_hash(spec: EnvironmentSpec, dependencies: tuple[str, ...]) -> str:
    routes = spec.inference_config.model_dump(mode="json") if spec.inference_config else None
    decides = {
        "dependencies": dependencies,
        "python_version": spec.python_version,
        "image": spec.image,
        "command": spec.command,
        "inference_config": routes,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
