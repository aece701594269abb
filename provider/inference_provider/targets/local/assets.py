"""The Content of a workspace of this machine: folders of models, code and environments.

A model is kept at `assets/models/<name>/<version>/<hash>/<folder or file>`, so that its parent can
be the AZUREML_MODEL_DIR that a scoring script expects; an environment's spec is kept at
`assets/environments/<hash>.json`. `content.py` makes an instance's view of it.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetError
from inference_provider.files.left_out import BadContent
from inference_provider.files.tree import Content, tree_files
from inference_provider.observed import Kind, Record
from inference_provider.serving.environments import build_environment, built_note
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, Reference
from inference_provider.targets.kept_content import (
    PRUNE_AGE_S,
    Source,
    changed_meanwhile,
    missing,
    reading,
    source_of_code,
    source_of_model,
)
from inference_provider.targets.local import content
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.locks import workspace_lock
from inference_provider.targets.private_file import no_space, write_private
from inference_provider.workspace.corrupt import corrupt


class Assets:
    """Kept content of one workspace."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._assets = folders.folder / "assets"
        self._environments: dict[Path, tuple[int, EnvironmentSpec]] = {}

    def keep(self, desired: DesiredResource, tell: Callable[[str], None]) -> None:
        spec = desired.spec
        if isinstance(spec, ModelSpec):
            self.keep_model(spec, desired.base_dir)
        elif isinstance(spec, EnvironmentSpec):
            build_environment(spec, self._folders.environments, tell, desired.placeholders)
            self.keep_environment(spec)
        elif isinstance(spec, DeploymentSpec):
            self.keep_code(spec, desired.base_dir)

    def keep_model(self, spec: ModelSpec, base_dir: str | None) -> None:
        """Copy a model's content into the workspace, unless an unchanged copy is kept."""
        folder = self._model_folder(spec.name, spec.version, spec.content_hash)
        self._keep(source_of_model(spec, base_dir), folder)

    def keep_environment(self, spec: EnvironmentSpec) -> None:
        """Save an environment's spec."""
        write_private(self._environment_path(spec.content_hash), spec.model_dump_json())

    def keep_code(self, spec: DeploymentSpec, base_dir: str | None) -> Path | None:
        """Keep a deployment's code, as `keep_model` does, and return its folder; None without."""
        source = source_of_code(spec, base_dir)
        if source is None:
            return None
        folder = self._code_folder(source.content_hash)
        self._keep(source, folder)
        return folder

    # -- what is kept --------------------------------------------------------------------------

    def environment(self, pinned: str) -> EnvironmentSpec:
        path = self._environment_path(Reference.parse(pinned).digest)
        try:
            stamp = path.stat().st_mtime_ns
            known = self._environments.get(path)
            if known is None or known[0] != stamp:
                known = stamp, EnvironmentSpec.model_validate_json(path.read_text())
                self._environments[path] = known
        except FileNotFoundError as gone:
            raise missing("environment", pinned) from gone
        except ValueError:
            raise corrupt(str(path)) from None
        return known[1]

    def holds(self, kind: Kind, pinned: str) -> bool:
        if kind == Kind.MODEL:
            return self._model_folder_of(pinned).is_dir()
        return self._environment_path(Reference.parse(pinned).digest).is_file()

    def kept_content(self, spec: DeploymentSpec, base_dir: str | None) -> dict[str, Path]:
        """Return where a deployment's code and model are kept, by `code` and `model`."""
        places = {"code": self.keep_code(spec, base_dir), "model": self._model_dir_of(spec)}
        return {name: place for name, place in places.items() if place}

    def _model_dir_of(self, spec: DeploymentSpec) -> Path | None:
        """Return where the deployment's model is kept; None for a deployment without one.

        Raises:
            TargetError: It is missing, or was changed.
        """
        if spec.model is None:
            return None
        folder = self._model_folder_of(spec.model)
        if not folder.is_dir():
            raise missing("model", spec.model)
        model = Reference.parse(spec.model)
        fault = _changed(folder, model.digest)
        if fault:
            reason = f"its kept content was changed: {fault}"
            remedy = "run `inferctl up`, which restores it"
            raise TargetError("use", f"model '{model.asset}'", reason, remedy)
        return folder

    def _model_folder(self, name: str, version: str, content_hash: str) -> Path:
        return self._assets / "models" / name / version / content_hash[:16]

    def _model_folder_of(self, pinned: str) -> Path:
        name, version, digest = Reference.parse(pinned)
        return self._model_folder(name, str(version), digest)

    def _code_folder(self, content_hash: str) -> Path:
        return self._assets / "code" / content_hash[:16]

    def _environment_path(self, content_hash: str) -> Path:
        return self._assets / "environments" / f"{content_hash[:16]}.json"

    def fault(self, record: Record) -> str:
        fields = record.properties
        code = fields.get("code_configuration")
        if record.id.kind == Kind.MODEL:
            content_hash = fields["content_hash"]
            place = self._model_folder(fields["name"], fields["version"], content_hash)
            fault = _changed(place, content_hash)
            return f"its kept content was changed: {fault}" if fault else ""
        if record.id.kind == Kind.DEPLOYMENT and code:
            fault = _changed(self._code_folder(code["content_hash"]), code["content_hash"])
            return f"its kept code was changed: {fault}" if fault else ""
        if record.id.kind == Kind.ENVIRONMENT:
            kept = self._environment_path(fields["content_hash"]).is_file()
            return "" if kept else "what it is built from is gone"
        return ""

    def note(self, record: Record) -> str:
        """Say which Python an environment was built with in place of the one it asks for."""
        if record.id.kind != Kind.ENVIRONMENT:
            return ""
        try:
            spec = self.environment(record.pinned)
        except TargetError:
            return ""  # `fault` says it
        return built_note(spec, self._folders.environments)

    # -- what goes -----------------------------------------------------------------------------

    def drop(self, record: Record) -> None:
        if record.id.kind == Kind.MODEL:
            fields = record.properties
            place = self._assets / "models" / fields["name"] / fields["version"]
            shutil.rmtree(place, ignore_errors=True)

    def prune(self, named: Iterable[str], age_s: float = PRUNE_AGE_S) -> None:
        """Remove models and code that nothing references and that were last kept longer ago."""
        used = {
            self._model_folder_of(one) if Reference.parse(one).digest else self._code_folder(one)
            for one in named
        }
        # names that begin with a dot are copies in progress
        there = (*self._assets.glob("models/*/*/[!.]*"), *self._assets.glob("code/[!.]*"))
        for folder in there:
            if folder not in used and time.time() - folder.stat().st_mtime > age_s:
                shutil.rmtree(folder, ignore_errors=True)
                content.manifest_of(folder).unlink(missing_ok=True)

    def _keep(self, source: Source, place: Path) -> None:
        """Copy content whole or not at all; a kept copy stays, unless it was changed.

        Args:
            source: The content; it may have changed since its hash was taken.
            place: Folder to keep it in, named by that hash.
        """
        content_hash = source.content_hash
        fault = _changed(place, content_hash)
        if not fault:
            os.utime(place)  # in use again, so `prune` leaves it
            return
        was = f"its kept copy was changed ({fault}), and " if place.exists() else ""
        # two deployments of one stack may keep the same code, in two threads
        beside = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}")
        aside = beside.with_suffix(".old")
        try:
            with reading(source, was):
                copy = _copied(source.find(), beside)
            if copy.digest != content_hash:
                raise changed_meanwhile(source, was)
            with self._lock():
                if _changed(place, content_hash):  # else another thread kept it in the meantime
                    if place.exists():  # moved, not deleted: an instance may be reading it
                        place.rename(aside)
                    _note_down(copy, place, beside)
                    beside.rename(place)
        except OSError as failed:
            raise no_space(failed, place) from failed
        finally:
            content.clear(beside)
            content.clear(aside)

    def _lock(self) -> AbstractContextManager[None]:
        return workspace_lock(self._folders, "content")


def _changed(place: Path, content_hash: str) -> str:
    """Say which kept file was changed, and how; empty when none was."""
    try:
        return content.changed(place)
    except (FileNotFoundError, ValueError):
        return _adopt(place, content_hash)


def _adopt(place: Path, content_hash: str) -> str:
    """Write the manifest of content kept by a release without manifests; say what is wrong."""
    if not place.is_dir():
        return "all of it is missing"
    try:
        for lying in _lying(place):
            if content_hash in (lying.digest, lying.digest_without_bits):
                with suppress(PermissionError):  # read-only access by another user is enough
                    _note_down(lying, place, place)
                return ""
    except (OSError, BadContent):
        return "some of it cannot be read"
    return "its content does not match its hash"


def _lying(place: Path) -> Iterator[Content]:
    """Yield what may be the content of a folder: each entry, for a model; all of it, for code."""
    for path in place.iterdir():
        if path.is_dir():
            yield Content(tree_files(path), path.name, folder=path.name)
        else:
            yield Content(((path.name, path),), path.name)
    yield Content(tree_files(place))


def _note_down(found: Content, place: Path, lying_in: Path) -> None:
    names = (str(file.relative_to(lying_in)) for _, file in found.files)
    content.write_manifest(place, lying_in, dict(zip(names, found.hashes, strict=True)))


def _copied(source: Content, place: Path) -> Content:
    copy = source.placed(place)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for (_, file), (_, to) in zip(source.files, copy.files, strict=True):
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(file, to)
    return copy
