"""Whether a volume still holds what was copied into it, by sizes and times of its files.

Everything in a volume is given the time 0 (`archive.py`), and only read from then on: whatever a
person edits, adds or removes in it has, or its folder has, the time of that. One who sets times
back is not found out. Asking for one file takes a millisecond, and copies nothing.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import NamedTuple

from inference_provider.targets.docker.host import DockerHost

LOOKED_AT = 200
"""Most files of one volume that are asked for; of more it is the largest."""


class Mount(NamedTuple):
    """Where a container, running or not, has a volume."""

    container: str
    folder: str


def noted(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return what to remember of the files of a volume: sizes, by path."""
    largest = sorted(sizes, key=lambda path: -sizes[path])[:LOOKED_AT]
    return {path: sizes[path] for path in sorted(largest)}


def edited(host: DockerHost, mount: Mount, files: Mapping[str, int]) -> str:
    """Say what was changed in a volume, and when; empty for nothing.

    Args:
        host: The volume's.
        mount: A container that has it.
        files: What `noted` returned when it was filled.
    """
    for path, size in (*files.items(), *_folders(files)):
        there = host.stat(mount.container, f"{mount.folder}/{path}")
        if there is None:  # or the container is
            gone = host.stat(mount.container, mount.folder) is not None
            return f"'{path}' is gone" if gone else ""
        time = datetime.fromisoformat(there["mtime"]).astimezone(UTC)  # the Engine says its own
        if time.timestamp():
            return f"'{path}' at {time:%Y-%m-%d %H:%M:%S} UTC"
        if size not in (None, there["size"]):
            return f"'{path}' has {there['size']} bytes instead of {size}"
    return ""


def _folders(files: Mapping[str, int]) -> Iterator[tuple[str, None]]:
    above = {str(folder) for path in files for folder in PurePosixPath(path).parents}
    yield from ((folder, None) for folder in sorted(above - {"."}))
