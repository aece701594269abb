"""What this machine and its user allow: one lock for all workspaces, paths, limits."""

import os
import pwd
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import platformdirs

from inference_provider.errors import TargetError
from inference_provider.targets.local import own_network
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.locks import file_lock

SOCKET_PATH_LIMIT = 96
"""Bytes: a Unix socket's path may have 107, and supervisord adds a suffix while it binds."""
OPEN_FILES = 1024
"""Open files that supervisord asks for: it needs three per program, and Envoy two per request."""
MORE_FILES = (
    "run this where the limit is higher, or have it raised: `nofile` in /etc/security/limits.conf,"
    " LimitNOFILE= of a systemd service"
)
_SWITCHES = {
    "kernel.apparmor_restrict_unprivileged_userns": "1",
    "kernel.unprivileged_userns_clone": "0",
    "user.max_user_namespaces": "0",
    "user.max_net_namespaces": "0",
}
"""Settings of Linux, and the value with which they forbid a network of one's own."""
_ELSEWHERE = "use target docker or kubernetes"
_TRY_S = 20
OTHER_FOLDER = "set INFERENCE_STATE_DIR to another folder"


def machine_lock() -> AbstractContextManager[None]:
    """Lock what all of this user's workspaces share, those of other state folders included.

    The jobs of a CI runner have separate state folders, but share the machine's ports.

    Raises:
        TargetError: There is no folder that only this user can write.
    """
    return file_lock(_own_folder() / "machine.lock", "this machine's ports and GPUs")


def _own_folder() -> Path:
    """Return the first folder that only this user can write in, making it if need be.

    In the temporary folder another user may have made it first, and could hold the lock for ever.
    """
    name = f"pulumi-inference-{os.getuid()}"
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    faults = []
    for place in (
        *([runtime / name] if runtime.is_absolute() and runtime.is_dir() else []),
        Path(tempfile.gettempdir()) / name,
        platformdirs.user_state_path("pulumi-inference"),
    ):
        fault = _ownership_fault(place)
        if not fault:
            return place
        faults.append(f"'{shown(place)}' {fault}")
    raise TargetError(
        "lock",
        "this machine's ports and GPUs",
        "; ".join(faults),
        "set XDG_RUNTIME_DIR to a folder that is yours alone",
    )


def _ownership_fault(folder: Path) -> str:
    """Say why a folder, made if need be, is not this user's alone; empty when it is."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    except FileExistsError:
        return "is not a folder"
    except OSError as fault:
        return f"cannot be made ({fault.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "is a link"
    return others_fault(found)


def others_fault(found: os.stat_result) -> str:
    """Say who else may exchange what is in a folder; empty when it is this user's alone."""
    if found.st_uid != os.getuid():
        return f"belongs to {_user(found.st_uid)}"
    if found.st_mode & 0o022:
        return f"can be written by others (mode {stat.S_IMODE(found.st_mode):o})"
    return ""


def _user(uid: int) -> str:
    try:
        return f"user '{pwd.getpwuid(uid).pw_name}'"
    except KeyError:
        return f"user {uid}"


def open_files_fault() -> str:
    """Say that the limit of open files is too low; empty when it is not, or can be raised.

    supervisord raises its own limit as far as it may; root may raise that too.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= OPEN_FILES:
        return ""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, OPEN_FILES))
    except (OSError, ValueError):
        return f"a process may open {most} files here (`ulimit -Hn`), and {OPEN_FILES} are needed"
    return ""


class Fit(NamedTuple):
    """Whether this machine can do something."""

    fault: str
    """Why it cannot; empty when it can."""
    ways: tuple[str, ...] = ()
    """What a user can do so that it can, each by itself."""
    passes: bool = False
    """Whether the fault may be another one, or none, the next time."""

    def remedy(self, *others: str) -> str:
        """Say what to do; where it is one thing of several, each has a number."""
        ways = (*self.ways, *others)
        if len(ways) < 2:
            return "".join(ways)
        return "do one of these: " + ", ".join(f"({i}) {way}" for i, way in enumerate(ways, 1))


def own_network_fit() -> Fit:
    """Say whether an instance can have a network of its own, by trying it."""
    try:
        return _tried_network()
    except subprocess.TimeoutExpired:  # a busy machine: it is tried again
        return Fit(f"trying it took more than {_TRY_S} s", (_ELSEWHERE,), passes=True)


@cache
def _tried_network() -> Fit:
    command = (sys.executable, "-I", "-S", own_network.__file__)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TRY_S)
    if not done.returncode:
        return Fit("")
    said = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
    return Fit(f"{_user(os.getuid())} may not have one here ({said})", tuple(_network_ways()))


def _network_ways() -> Iterator[str]:
    """Yield what lets this user have a network of its own, as far as Linux tells."""
    closed = [f"`{name}` is {value}" for name, value in _SWITCHES.items() if _is_set(name, value)]
    if closed:
        yield f"have it allowed: {' and '.join(closed)}"
        if os.getuid():
            yield "run this as root"
    yield _ELSEWHERE


def _is_set(name: str, value: str) -> bool:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip() == value
    except OSError:
        return False


def shown(path: Path) -> str:
    """Format a path for display; its bytes may not be valid text."""
    return os.fsencode(path).decode(errors="backslashreplace").replace("\n", "\\n")


def path_fault(folders: Folders) -> str:
    """Say why a workspace cannot run in its folder; empty when it can."""
    path = os.fsencode(folders.supervisor_folder / "s.sock")
    try:
        path.decode()
    except UnicodeDecodeError:
        return f"the state folder's path is not UTF-8 text: {shown(folders.root)}"
    if b"\n" in path:  # /proc/net/unix, which lists connections, has one line per socket
        return f"the state folder's path contains a line break: {shown(folders.root)}"
    if len(path) > SOCKET_PATH_LIMIT:
        return (
            f"the state folder's path is too long: a socket of workspace '{folders.workspace}'"
            f" would have a path of {len(path)} bytes; the limit is {SOCKET_PATH_LIMIT}:"
            f" {shown(folders.root)}"
        )
    return ""
