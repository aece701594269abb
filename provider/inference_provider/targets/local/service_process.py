"""The workspace service of this machine, under the workspace's supervisord.

It runs while an autoscale rule is on. When it ends, counts stay as they are.
"""

import os
import sys
from pathlib import Path

import inference_provider
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.supervisor import Supervisor
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program

SERVICE = "service"
"""The program's name; an instance's cannot be the same, since it contains dots."""
_MODULE = "inference_provider.service"
"""By its name: it stands on targets."""


def settle_service(supervisor: Supervisor, folders: Folders, *, needed: bool) -> None:
    """Start it where it is needed and does not run, or end it; waits for no start."""
    if not needed and not supervisor.has(SERVICE):
        return  # most workspaces: nothing is asked
    try:
        process = supervisor.process(SERVICE)
        if needed and not (process and process.runs):
            supervisor.remove(SERVICE)  # also one that outlived its supervisord
            supervisor.add(_program(folders))
        elif process and not needed:
            supervisor.remove(SERVICE)
            folders.rule_faults.unlink(missing_ok=True)  # of rules that are kept no more
    except SupervisorGone:  # nothing can be started; the next start does it
        return


def service_runs(supervisor: Supervisor) -> bool:
    """Whether it runs."""
    process = supervisor.processes().get(SERVICE)
    return process is not None and process.runs


def is_the_service(supervisor: Supervisor) -> bool:
    """Whether this process is the one that the workspace's supervisord has started."""
    try:
        process = supervisor.process(SERVICE)
    except SupervisorGone:
        return False
    return process is not None and process.pid == os.getpid()


def _program(folders: Folders) -> Program:
    package = Path(inference_provider.__file__).parents[1]  # where it is not installed, but run
    return Program(
        name=SERVICE,
        argv=(sys.executable, "-P", "-m", _MODULE, str(folders.root), folders.workspace),
        environment={"PYTHONPATH": str(package)},
        directory=str(folders.folder),
        log=str(folders.log_path(SERVICE, SERVICE)),
    )
