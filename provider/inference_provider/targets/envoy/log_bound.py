"""Envoy's access log, kept from growing without end.

Whoever looks after a router calls this every few seconds. Imports only the standard library: one of
the callers is `targets/local/watch.py`.
"""

import socket
from contextlib import suppress
from pathlib import Path

ACCESS_LOG_BYTES = 64_000_000
"""Size at which a log is set aside."""
ACCESS_LOG_BACKUPS = 3
ADMIN_TIMEOUT_S = 2.0


def parts(log: Path) -> tuple[Path, ...]:
    """Return the files of an access log, the newest first."""
    return (log, *(log.with_name(f"{log.name}.{i}") for i in range(1, ACCESS_LOG_BACKUPS + 1)))


def bound_log(log: Path, limit: int) -> None:
    """Rotate an access log that has reached `limit` bytes, dropping the oldest as needed.

    Together the logs stay below 4 * `limit` bytes and what is written until the next check. Envoy
    has no rotation of its own: it keeps writing to the renamed file until told to open a new one,
    and is told again as long as there is none.
    """
    older = parts(log)[1:]
    if _size(log) >= limit:
        for newer, path in reversed([*zip([log, *older], older, strict=False)]):
            with suppress(FileNotFoundError):
                newer.rename(path)
    total = _size(log)
    for path in older:
        total += _size(path)
        if total > limit * (ACCESS_LOG_BACKUPS + 1):
            path.unlink(missing_ok=True)
    admin = log.with_name("admin.sock")
    if admin.exists() and not log.exists():
        _reopen_logs(admin)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _reopen_logs(admin: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as router:
        router.settimeout(ADMIN_TIMEOUT_S)
        router.connect(str(admin))
        router.sendall(b"POST /reopen_logs HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n")
        router.recv(1024)
