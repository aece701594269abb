"""What a workspace's service over HTTP says of itself while it runs, wherever it runs.

It writes that beside the keys of identity providers that it keeps. Who asks how the workspace is
reads it there, and tells it.
"""

from contextlib import suppress
from pathlib import Path

from inference_provider.printable import one_line
from inference_provider.targets.private_file import write_private

CERTIFICATE = "certificate.fault"
"""File with why the workspace's certificate cannot be shown; there only while it cannot."""
UNSHOWN = "the certificate of the workspace cannot be shown"
UNLISTENED, TAKEN = "cannot be listened on", "Address already in use"
"""What the log says of a port, and the reason where another process has it."""
_MOST = 300


def note_shown(folder: Path) -> None:
    """Write down that the certificate of the workspace is shown."""
    (folder / CERTIFICATE).unlink(missing_ok=True)


def note_unshown(folder: Path, reason: str) -> str:
    """Write down why it cannot be, while the one before is; return what is told of it.

    Raises:
        OutOfCapacity: The disk is full.
    """
    said = f"{UNSHOWN}, and the one before stays: {one_line(reason)[:_MOST]}"
    if said != unshown(folder):
        write_private(folder / CERTIFICATE, said)
    return said


def unshown(folder: Path) -> str:
    """Return what was written down of the certificate; empty while it is shown."""
    with suppress(OSError):
        return (folder / CERTIFICATE).read_text(errors="replace")
    return ""
