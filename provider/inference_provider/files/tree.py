"""A path -> the files that are its content, and their names in it.

Goes in: a folder or a file as written by a person. Comes out: `Content`. Hashing, copying and
checking all use this one list. Links are followed wherever they lead, for models (Hugging Face's
cache links to its blobs) and for code (a shared module of a monorepo), as Azure ML does: files are
stored under the names as written, not where they came from.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inference_provider.files.left_out import (
    BUILD_IGNORES,
    CODE_IGNORES,
    MODEL_IGNORES,
    BadContent,
    LeftOut,
)


@dataclass(frozen=True)
class Content:
    """The files of a model or of code."""

    files: tuple[tuple[str, Path], ...]
    """Name (with `/`) and path of each, in the order of names."""
    name: str = ""
    """A model's folder or file, which is part of its hash; empty for code."""
    folder: str = ""
    """Subfolder of the files in the place that stores them; empty when there is none."""

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """Sha256 in hex of each file's bytes."""
        return tuple(_sha256(file) for _, file in self.files)

    @property
    def digest(self) -> str:
        """Sha256 in hex over names, bytes and executable bits; not over other modes or times."""
        return self.digest_of(self.hashes)

    def digest_of(self, hashes: Sequence[str]) -> str:
        """Return what `digest` is if the files' bytes have these hashes."""
        marks = [":x" if _is_executable(file) else "" for _, file in self.files]
        return self._digest(hashes, marks)

    @property
    def digest_without_bits(self) -> str:
        """`digest` without the executable bits, under which an older release stored content."""
        return self._digest(self.hashes, [""] * len(self.files))

    def _digest(self, hashes: Sequence[str], marks: Sequence[str]) -> str:
        digest = hashlib.sha256()
        for (name, _), content, mark in zip(self.files, hashes, marks, strict=True):
            # The length before the name: no two trees give the same text.
            digest.update(f"{len(name.encode())}:{name}:{content}{mark}\n".encode())
        files = digest.hexdigest()
        # A script reads `$AZUREML_MODEL_DIR/<name>`, so a model's name is content.
        return hashlib.sha256(f"{self.name}:{files}".encode()).hexdigest() if self.name else files

    def placed(self, place: Path) -> "Content":
        """Return the same content with its paths in the place that stores it."""
        inside = place / self.folder
        files = tuple((name, inside / name) for name, _ in self.files)
        return Content(files, self.name, self.folder)


def model_content(path: str, base_dir: Path, stack_file: str | None = None) -> Content:
    """Return a model's content, named by the last part of its path, even if that is a link.

    Args:
        path: The model's folder or file.
        base_dir: What `path` is relative to.
        stack_file: Name of the stack file in that folder; None when it is elsewhere.

    Raises:
        OSError: Something cannot be read.
        BadContent: A link is broken or circular, or an ignore file cannot be read.
    """
    found = base_dir / path
    name = os.path.basename(os.path.normpath(path))
    if name in ("", ".", ".."):
        name = os.path.basename(os.path.realpath(found))
    if found.is_dir():
        return Content(tree_files(found, MODEL_IGNORES, stack_file), name, folder=name)
    return Content(((name, _regular(found, path)),), name)


def code_content(folder: str, base_dir: Path, stack_file: str | None = None) -> Content:
    """Return the content of a folder of code; arguments and faults are as for `model_content`."""
    return Content(tree_files(base_dir / folder, CODE_IGNORES, stack_file))


def build_content(
    folder: str, base_dir: Path, stack_file: str | None = None, dockerfile: str = "Dockerfile"
) -> Content:
    """Return the content of a folder that an image is built of, its Dockerfile always included.

    An ignore file of the Dockerfile's own takes the place of the folder's, as for BuildKit.
    """
    ignores = (f"{dockerfile}.dockerignore", *BUILD_IGNORES)
    found = dict(tree_files(base_dir / folder, ignores, stack_file))
    file = base_dir / folder / dockerfile
    files = {**found, dockerfile: file} if file.is_file() else found
    return Content(tuple(sorted(files.items())))


def tree_files(
    folder: Path, ignores: tuple[str, ...] = (), stack_file: str | None = None
) -> tuple[tuple[str, Path], ...]:
    """Return relative name (with `/`) and path of every file that belongs to a folder's content."""
    left_out = LeftOut(folder, ignores, stack_file)
    return tuple(sorted(_walk(folder, "", left_out, (os.path.realpath(folder),))))


def _walk(
    folder: Path, prefix: str, left_out: LeftOut, above: tuple[str, ...]
) -> Iterator[tuple[str, Path]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            if not left_out.leaves_out_folder(name):
                yield from _walk(entry, f"{name}/", left_out, (*above, _real(entry, name, above)))
        elif not left_out.leaves_out_file(name) and not left_out.is_report(_regular(entry, name)):
            yield name, entry


def _real(folder: Path, name: str, above: tuple[str, ...]) -> str:
    real = os.path.realpath(folder)
    if real in above:
        raise BadContent(f"the link '{name}' leads back to a folder that contains it; remove it")
    return real


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_executable(file: Path) -> bool:
    """Whether its owner may execute it, which is all that git keeps of a mode too."""
    return bool(file.stat().st_mode & stat.S_IXUSR)


def _regular(path: Path, name: str) -> Path:
    """Return the path of a regular file; reading a pipe or a device might never end.

    Raises:
        OSError: It is neither a file nor a link to one.
        BadContent: It is a broken link.
    """
    if path.is_file():
        return path
    if path.is_symlink() and not path.exists():
        reason = f"the link '{name}' leads to '{os.readlink(path)}', which is not there"
        raise BadContent(f"{reason}; restore that file or folder, or remove the link")
    if path.exists():
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device; remove it", str(path))
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
