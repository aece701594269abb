"""Files <-> the tar archives that Docker's API takes and gives."""

import io
import tarfile
from collections.abc import Mapping

PRIVATE = 0o600


def packed(files: Mapping[str, bytes], mode: int = PRIVATE, time: int = 0) -> bytes:
    """Return an archive of files by path; missing folders are made from their names.

    Args:
        files: Their contents.
        mode: What may be done with each.
        time: When each was changed last, as its archive says; seconds since 1970.
    """
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(content), mode, time
            archive.addfile(info, io.BytesIO(content))
    return found.getvalue()


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Return the regular files of an archive, by the path below its one folder."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for info in opened:
            content = opened.extractfile(info) if info.isreg() else None
            if content is not None:
                found[info.name.partition("/")[2] or info.name] = content.read()
    return found
