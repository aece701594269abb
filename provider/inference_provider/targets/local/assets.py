"""Content of models, code and environments in a workspace's folder, by content hash.

A model lies as `assets/models/<name>/<version>/<hash>/<folder or file>`, so AZUREML_MODEL_DIR,
the parent, is what a scoring script expects; an environment's spec lies as
`assets/environments/<hash>.json`.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from inference_provider.errors import TargetError
from inference_provider.files.left_out import BadContent
from inference_provider.files.tree import Content, code_content, model_content
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, asset_name
from inference_provider.targets.local.store import Store, no_space, spoilt, write_private

PRUNE_AGE_S = 7200.0
"""Content that nothing names is kept this long: a copy is made before the instances that need it
start, and named once they are ready, which may take an hour."""


def keep_model(store: Store, spec: ModelSpec, base_dir: str) -> None:
    """Copy a model's content into the workspace; nothing happens when it is there."""
    folder = model_folder(store, spec.name, spec.version, spec.content_hash)
    source = partial(model_content, spec.path, Path(base_dir), spec.stack_file)
    _copy(source, folder, spec.content_hash, spec.path)


def drop_model(store: Store, name: str, version: str) -> None:
    shutil.rmtree(store.folder / "assets" / "models" / name / version, ignore_errors=True)


def model_folder(store: Store, name: str, version: str, content_hash: str) -> Path:
    return store.folder / "assets" / "models" / name / version / content_hash[:16]


def keep_environment(store: Store, spec: EnvironmentSpec) -> None:
    path = _environment_path(store, spec.content_hash)
    write_private(path, spec.model_dump_json())


def environment_of(store: Store, pinned: str) -> EnvironmentSpec:
    """Return the environment that a pinned reference names. Raises TargetError if not there."""
    path = _environment_path(store, pinned.partition("@sha256:")[2])
    try:
        return EnvironmentSpec.model_validate_json(path.read_text())
    except FileNotFoundError as missing:
        raise _missing("environment", pinned) from missing
    except ValueError:
        raise spoilt(path) from None


def _environment_path(store: Store, content_hash: str) -> Path:
    return store.folder / "assets" / "environments" / f"{content_hash[:16]}.json"


def model_dir_of(store: Store, spec: DeploymentSpec) -> Path | None:
    """Return what AZUREML_MODEL_DIR shall be; None for a deployment without a model."""
    if spec.model is None:
        return None
    folder = _model_folder_of(store, spec.model)
    if not folder.is_dir():
        raise _missing("model", spec.model)
    return folder


def holds(store: Store, kind: Kind, pinned: str) -> bool:
    """Whether a pinned model's or environment's content is in the workspace."""
    if kind == Kind.MODEL:
        return _model_folder_of(store, pinned).is_dir()
    return _environment_path(store, pinned.partition("@sha256:")[2]).is_file()


def keep_code(store: Store, spec: DeploymentSpec, base_dir: str) -> Path | None:
    """Copy a deployment's code into the workspace and return its folder; None without code."""
    if spec.code_configuration is None:
        return None
    code = spec.code_configuration
    folder = code_folder(store, code.content_hash)
    source = partial(code_content, code.code, Path(base_dir), code.stack_file)
    _copy(source, folder, code.content_hash, code.code)
    return folder


def code_folder(store: Store, content_hash: str) -> Path:
    return store.folder / "assets" / "code" / content_hash[:16]


def prune(store: Store, age_s: float = PRUNE_AGE_S) -> None:
    """Remove models and code that no record and no deployment names any more.

    Args:
        store: The workspace.
        age_s: Only what was last kept longer ago than this, seconds.
    """
    used = set(_used(store))
    assets = store.folder / "assets"
    # without those that begin with a dot: they are being copied
    for folder in (*assets.glob("models/*/*/[!.]*"), *assets.glob("code/[!.]*")):
        if folder not in used and time.time() - folder.stat().st_mtime > age_s:
            shutil.rmtree(folder, ignore_errors=True)


def _used(store: Store) -> Iterator[Path]:
    for record in store.records():
        fields = record.properties
        if record.id.kind == Kind.MODEL:
            yield model_folder(store, fields["name"], fields["version"], fields["content_hash"])
        blueprint = record.id.kind == Kind.DEPLOYMENT and store.blueprint(record.id.name)
        if blueprint:
            spec = DeploymentSpec.model_validate(blueprint)
            if spec.model is not None:
                yield _model_folder_of(store, spec.model)
            if spec.code_configuration is not None:
                yield code_folder(store, spec.code_configuration.content_hash)


def _model_folder_of(store: Store, pinned: str) -> Path:
    name, version = asset_name(pinned)
    return model_folder(store, name, str(version), pinned.partition("@sha256:")[2])


def _copy(source: Callable[[], Content], place: Path, content_hash: str, written: str) -> None:
    """Copy content whole or not at all; what is there already is the same content.

    Args:
        source: Finds what is copied.
        place: Folder of the content, named by its hash.
        content_hash: What the copy has to be: its source may have changed since it was read.
        written: The content's path, for a message.
    """
    if place.exists():
        os.utime(place)  # named again: `prune` leaves it
        return
    # two deployments of one stack may bring the same code, each in a thread of its own
    beside = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        if _copied(source(), beside).digest != content_hash:
            raise _unkept(written, "it changed while it was applied", "run this again")
        beside.rename(place)
    except BadContent as fault:
        raise _unkept(written, *str(fault).split("; ", 1)) from fault
    except FileNotFoundError as missing:
        remedy = "put it back and run this again"
        raise _unkept(written, "it is not there any more", remedy) from missing
    except OSError as fault:
        if not place.exists():  # else another thread copied the same content in the meantime
            raise no_space(fault, place) from fault
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _copied(source: Content, place: Path) -> Content:
    copy = source.placed(place)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for (_, file), (_, to) in zip(source.files, copy.files, strict=True):
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(file, to)
    return copy


def _unkept(written: str, reason: str, remedy: str) -> TargetError:
    return TargetError("copy", f"'{written}'", reason, remedy)


def _missing(kind: str, pinned: str) -> TargetError:
    name, _, digest = pinned.partition("@sha256:")
    return TargetError(
        "find",
        f"{kind} '{name}'",
        f"its content {digest[:12]} is not in the workspace",
        f"apply the {kind} before the deployment",
    )
