"""The process in which requests wait for an instance, for the router of this machine.

It runs under the workspace's supervisord while a deployment may have no instance
(`targets/envoy/room_server.py`): apart from the autoscaler, which may end while they wait.
"""

from inference_provider.router.holding import SOCKET
from inference_provider.router.table import Backend
from inference_provider.targets.envoy import room
from inference_provider.targets.envoy.connections import refuses
from inference_provider.targets.local.addresses import listens
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.own_program import (
    is_of_this_release,
    own_program,
    wait_until_it_answers,
)
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program

WAITING = "waiting"
"""The program's name; an instance's cannot be the same, since it contains dots."""
_MODULE = "inference_provider.targets.envoy.room_server"
"""By its name: who publishes needs no event loop."""
_SOCKETS = SOCKET, room.SOCKET


def ensure_room(supervisor: Supervisor, folders: Folders) -> None:
    """Run it, and wait until it answers.

    Raises:
        NotReady: It does not answer; its log says why.
    """
    begin_room(supervisor, folders, needed=True)
    what = "the process in which requests wait for an instance"
    wait_until_it_answers(folders, WAITING, what, _SOCKETS)


def begin_room(supervisor: Supervisor, folders: Folders, *, needed: bool) -> None:
    """Start it where it is needed, or end it; waits for no start.

    One of another release is replaced, but not while requests wait in it.
    """
    if not needed and not supervisor.has(WAITING):
        return  # most workspaces: nothing is asked
    try:
        process = supervisor.process(WAITING)
        if needed and not (_answers(process, folders) and _may_stay(supervisor, folders)):
            supervisor.remove(WAITING)  # also one that outlived its supervisord
            supervisor.add(_program(folders))
        elif process and not needed:
            supervisor.remove(WAITING)
    except SupervisorGone:  # nothing can be started; the next start does it
        return


def _may_stay(supervisor: Supervisor, folders: Folders) -> bool:
    if is_of_this_release(supervisor, WAITING):
        return True
    said = room.Room(folders.router_folder).ask()
    return bool(said and said.waiting)


def room_fault(supervisor: Supervisor, folders: Folders, *, needed: bool) -> str:
    """Say that it does not run; empty when it does, or need not."""
    if not needed or _answers(supervisor.processes().get(WAITING), folders):
        return ""
    log = folders.log_path(WAITING, WAITING)
    lost = "who asks for a deployment without an instance gets 503, and cannot wait for one"
    return f"{lost}: the process for that does not answer; run `inferctl up`; its log is {log}"


def _answers(process: ProcessState | None, folders: Folders) -> bool:
    """Whether it runs, and its sockets lead to it, or will: somebody may have removed them."""
    if process is None or not process.runs:
        return False
    sockets = [str(folders.router_folder / name) for name in _SOCKETS]
    lost = (Backend(host="", port=0, socket=one) for one in sockets if refuses(one))
    return not any(listens(process.pid, one) for one in lost)


def _program(folders: Folders) -> Program:
    folder = folders.router_folder
    return own_program(folders, WAITING, _MODULE, str(folder), directory=folder, stop_wait_s=2)
