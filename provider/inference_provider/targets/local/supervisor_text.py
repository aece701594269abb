"""What supervisord runs -> the text of its configuration. Pure.

`supervisor.py` writes it.
"""

import os
import re
import shlex
import sys
from pathlib import Path

from inference_provider.observed import Frozen
from inference_provider.targets.local import launch, log_times, watch
from inference_provider.targets.local.own_network import Passages

LISTENER = watch.OWN
"""The event listener's name; a program's cannot be the same: all but the router contain dots."""
_PROGRAM = re.compile(rf"^command=.*{re.escape(Path(watch.__file__).name)}\S*", re.MULTILINE)
"""The listener's command without its arguments."""
LOG_BYTES = 10_000_000
LOG_BACKUPS = log_times.BACKUPS
LOG_OPTION = "stdout_logfile="


class Program(Frozen):
    """What supervisord runs."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    directory: str
    content: dict[str, str] = {}
    """Kept content, keyed by the tree that each start makes of it."""
    connections: str = ""
    """Folder of the workspace whose connections, or other secrets, its variables refer to; empty if
    none do."""
    first_values: str = ""
    """What those variables get now, encrypted; for what the workspace itself does not have."""
    network: Passages | None = None
    """What leads into a network of its own and out of it; None for one in the machine's."""
    log: str
    stop_wait_s: int = 10
    """Seconds between SIGTERM and SIGKILL."""


def _escape(value: str) -> str:
    return value.replace("%", "%%")


def daemon_configuration() -> str:
    """Return the part of the daemon itself."""
    # Paths are relative to the folder that it starts and stays in: a blank, `%`, `[` or ` ;` in a
    # path is special to supervisord. It prefixes `files` with this file's folder and treats the
    # result as a pattern, hence /proc.
    return f"""[unix_http_server]
file=s.sock
chmod=0700

[supervisord]
logfile=supervisord.log
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOG_BACKUPS}
pidfile=supervisord.pid
childlogdir=.
umask=077

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files=/proc/self/cwd/programs/*.conf
"""


def listener_configuration(command: tuple[str, ...]) -> str:
    """Return the part of the event listener."""
    return f"""
[eventlistener:{LISTENER}]
command={_escape(shlex.join(command))}
events={",".join(watch.EVENTS)}
buffer_size=1000
autorestart=true
startretries=100000
stdout_logfile=NONE
stderr_logfile=watch.log
stderr_logfile_maxbytes=1MB
stderr_logfile_backups=1
"""


def is_the_same(written: str, ours: str) -> bool:
    """Whether two configurations differ in nothing but whose Python runs the event listener.

    Two installations of one release that use a workspace in turns replace nothing.
    """
    return _PROGRAM.sub("command=", written) == _PROGRAM.sub("command=", ours)


def program_configuration(program: Program, folder: Path) -> str:
    """Return the file of one program."""
    launch_file = f"launch/{program.name}.json"
    command = shlex.join([sys.executable, "-P", launch.__file__, launch_file])
    log = os.path.relpath(program.log, folder)
    return f"""[program:{program.name}]
command={_escape(command)}
autostart=true
autorestart=true
startsecs=1
startretries=100000
stopsignal=TERM
stopwaitsecs={program.stop_wait_s}
killasgroup=true
redirect_stderr=true
{LOG_OPTION}{log}
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOG_BACKUPS}
"""
