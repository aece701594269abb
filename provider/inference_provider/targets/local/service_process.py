"""The workspace service of this machine, under the workspace's supervisord.

It runs while an autoscale rule is on, a split is on its way, metrics or logs are declared to go
somewhere, or an endpoint has alerts. When it ends, counts and splits stay as they are.
"""

import os

from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.own_program import (
    environment_of,
    is_of_this_release,
    own_program,
)
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.local.supervisor_rpc import SupervisorGone
from inference_provider.targets.local.supervisor_text import Program

SERVICE = "service"
"""The program's name; an instance's cannot be the same, since it contains dots."""
_MODULE = "inference_provider.service"
"""By its name: it stands on targets."""
_WAY_OUT = (
    *("https_proxy", "http_proxy", "no_proxy", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""Variables by which it finds webhooks and collectors; no other program of the workspace gets them,
since the URL of a proxy may have a password."""


def settle_service(
    supervisor: Supervisor, folders: Folders, *, needed: bool, no_alerts: bool = True
) -> None:
    """Start it where it is needed and does not run, or end it; waits for no start.

    One of another release is replaced, or one that finds its way out by other variables than this
    process has: nothing asks it, and what it was changing its successor ends. The state
    of its alerts is removed too if it has none; where that cannot be read, the state is kept.
    """
    if not needed and not supervisor.has(SERVICE):
        return  # most workspaces: nothing is asked
    try:
        process = supervisor.process(SERVICE)
        if needed and not (process and process.runs and _is_as_it_would_start(supervisor)):
            supervisor.remove(SERVICE)  # also one that outlived its supervisord
            supervisor.add(_program(folders))
        elif process and not needed and process.pid != os.getpid():  # which ends no change of its
            supervisor.remove(SERVICE)
            folders.rule_faults.unlink(missing_ok=True)  # of rules that are kept no more
            if no_alerts:
                folders.alerts.unlink(missing_ok=True)
    except SupervisorGone:  # nothing can be started; the next start does it
        return


def _is_as_it_would_start(supervisor: Supervisor) -> bool:
    """Whether this release started it, and so; whose Python it runs is of no account.

    Who has none of the variables of its way out, such as a timer, leaves it those that it has.
    """
    there, wanted = environment_of(supervisor, SERVICE), _way_out()
    same = not wanted or wanted == {n: there[n] for n in _WAY_OUT if n in there}
    return same and is_of_this_release(supervisor, SERVICE)


def _way_out() -> dict[str, str]:
    return {name: os.environ[name] for name in _WAY_OUT if os.environ.get(name)}


def service_process(supervisor: Supervisor) -> ProcessState | None:
    """Return its process; None when it does not run."""
    process = supervisor.processes().get(SERVICE)
    return process if process and process.runs else None


def is_the_service(supervisor: Supervisor) -> bool:
    """Whether this process is the one that the workspace's supervisord has started."""
    try:
        process = supervisor.process(SERVICE)
    except SupervisorGone:
        return False
    return process is not None and process.pid == os.getpid()


def _program(folders: Folders) -> Program:
    place = ("local", str(folders.root), folders.workspace)
    program = own_program(folders, SERVICE, _MODULE, *place, directory=folders.folder)
    environment = {**_way_out(), **program.environment}
    return program.model_copy(update={"environment": environment})
