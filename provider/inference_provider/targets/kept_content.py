"""What every target that keeps content does alike: where it is read from, and what is said of it.

How content is kept, in folders, volumes or elsewhere, is each target's own.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from inference_provider.errors import TargetError
from inference_provider.files.left_out import BadContent
from inference_provider.files.tree import Content, build_content, code_content, model_content
from inference_provider.observed import Record
from inference_provider.spec import DeploymentSpec, ModelSpec, Reference
from inference_provider.spec.environment import BuildContext

SECTION = "content"
"""Of the records: what is kept where."""
MODEL, CODE = "model", "code"
MOUNTED = "/var/azureml"
"""Folder of a container with the folders `code` and `model`; `content` in each is the content."""
INSIDE = "content"
PRUNE_AGE_S = 7200.0
"""Unreferenced content is kept this long: it is copied before the instances that need it start, and
referenced only once they are ready, which may take an hour."""


class Source(NamedTuple):
    """Content on the client's machine, and the hash that it had when the plan was made."""

    find: Callable[[], Content]
    content_hash: str
    written: str
    """Its path as a person wrote it."""


def source_of_model(spec: ModelSpec, base_dir: str | None) -> Source:
    if base_dir is None:
        return Source(_unknown, spec.content_hash, spec.path)
    find = partial(model_content, spec.path, Path(base_dir), spec.stack_file)
    return Source(find, spec.content_hash, spec.path)


def source_of_code(spec: DeploymentSpec, base_dir: str | None) -> Source | None:
    """Return a deployment's code; None when it has none."""
    if spec.code_configuration is None:
        return None
    code = spec.code_configuration
    if base_dir is None:
        return Source(_unknown, code.content_hash, code.code)
    find = partial(code_content, code.code, Path(base_dir), code.stack_file)
    return Source(find, code.content_hash, code.code)


def source_of_build(build: BuildContext, base_dir: str | None) -> Source:
    if base_dir is None:
        return Source(_unknown, build.content_hash, build.path)
    file = os.path.normpath(build.dockerfile_path)
    find = partial(build_content, build.path, Path(base_dir), build.stack_file, file)
    return Source(find, build.content_hash, build.path)


def _unknown() -> Content:
    raise BadContent("its source is not known here; run `inferctl up`, which restores it")


@contextmanager
def reading(source: Source, was: str = "") -> Iterator[None]:
    """Say of content that cannot be read what to do about it.

    Args:
        source: What is read.
        was: What was wrong with the kept copy, if anything was; begins the reason.
    """
    try:
        yield
    except BadContent as bad:
        reason, _, remedy = str(bad).partition("; ")
        raise _unkept(source, was + reason, remedy) from bad
    except FileNotFoundError as missing:
        remedy = "put it back and run `inferctl up`"
        raise _unkept(source, f"{was}it no longer exists", remedy) from missing


def changed_meanwhile(source: Source, was: str = "") -> TargetError:
    """Return the error for content that is no longer what was planned; `was` as in `reading`."""
    return _unkept(source, f"{was}it changed while it was applied", "run this again")


def unreadable(source: Source, fault: OSError) -> TargetError:
    """Return the error for content of which a file cannot be read."""
    reason = f"cannot read '{fault.filename}': {fault.strerror}"
    return _unkept(source, reason, "make it readable for this user")


def _unkept(source: Source, reason: str, remedy: str) -> TargetError:
    return TargetError("copy", f"'{source.written}'", reason, remedy)


def missing(kind: str, pinned: str) -> TargetError:
    """Return the error for a model or environment that is not kept."""
    asked = Reference.parse(pinned)
    return TargetError(
        "find",
        f"{kind} '{asked.asset}'",
        f"its content {asked.digest[:12]} is not in the workspace",
        f"apply the {kind} before the deployment",
    )


def document_of(kind: str, digest: str) -> str:
    """Return the name of the document that says what is kept."""
    return f"{kind}.{digest[:32]}"


def pinned_of(record: Record) -> list[tuple[str, str]]:
    """Return kind and hash of the code and the model of a deployment."""
    model, code = (record.properties.get(name) for name in ("model", "code_configuration"))
    found = [(CODE, code["content_hash"])] if code else []
    return [*found, (MODEL, Reference.parse(model).digest)] if model else found


def documents_in_use(named: Iterable[str]) -> set[str]:
    """Return the documents of content that is still referenced: pinned models, hashes of code."""
    pinned = [(Reference.parse(one).digest, one) for one in named]
    return {document_of(MODEL, d) if d else document_of(CODE, one) for d, one in pinned}
