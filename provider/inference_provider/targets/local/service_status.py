"""What the workspace service of this machine does, for the status."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from inference_provider.router.table import Backend
from inference_provider.targets.heartbeat import (
    HANGS_S,
    Beat,
    beat_file,
    last_beat,
    not_looked,
    unwritable,
)
from inference_provider.targets.listening import bind_fault
from inference_provider.targets.local.addresses import listens
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.service_process import SERVICE, service_process
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.rule_faults import read
from inference_provider.targets.sent_logs import SentLogs, described
from inference_provider.targets.sent_logs import read as read_sent
from inference_provider.targets.service_needs import needs_of
from inference_provider.workspace.alert_states import States, notes_of
from inference_provider.workspace.alert_states import read as read_alerts
from inference_provider.workspace.state import State

_HOST = "127.0.0.1"


def said_of_service(supervisor: Supervisor, folders: Folders, state: State) -> dict[str, Any]:
    """Return what a router's status has of the service; nothing where it is not needed."""
    needs = needs_of(state)
    if not needs:
        return {}
    process, log = service_process(supervisor), folders.log_path(SERVICE, SERVICE)
    if process is None:
        return {"missing": f"the {needs.name} does not run: {needs.lost}; its log is {log}"}
    beat = _beat(process, folders)
    if hangs := beat and beat.hanging(HANGS_S):
        if why := unwritable(beat_file(folders.folder)):
            return {"missing": _unknown(needs.name, folders, why)}
        loop, look = hangs
        said = f"the {needs.name} hangs: it {not_looked(loop, look.time)}; its log is {log}"
        return {"missing": said}
    port = needs.metrics.port if needs.metrics else None
    sent = [_said_of_page(process, port)] if port else []
    sent += [_said_of_logs(folders, needs.logs)] if needs.logs else []
    looks = beat.loops.items() if beat else ()
    failed = [f"its look at {loop} fails: {look.fault}" for loop, look in looks if look.fault]
    said = "; ".join([needs.running(sent), *failed])
    known = {"beside": said, "unkept": _unkept(folders) if needs.rules else {}}
    alerts = notes_of(alert_states(folders), datetime.now(UTC)) if needs.alerts else {}
    return {**known, "alerts": alerts}


def _beat(process: ProcessState, folders: Folders) -> Beat | None:
    """Return when a service has looked; None where nobody knows."""
    found = last_beat(beat_file(folders.folder))
    return found if found and found.pid == process.pid else None


def _unknown(name: str, folders: Folders, why: str) -> str:
    place = f"{folders.folder} cannot be written: {why}"
    return f"nobody knows whether the {name} hangs: {place}; make the disk writable again"


def _said_of_page(process: ProcessState, port: int) -> str:
    """Say where the service serves its metrics, or that another process has the port."""
    if bind_fault(_HOST, port) is None:
        return f"metrics start on {_HOST}:{port}"
    if listens(process.pid, Backend(host=_HOST, port=port)):
        return f"metrics on {_HOST}:{port}"
    remedy = "end that, or use another metrics.port"
    return f"no metrics are served: port {port} is taken by another process; {remedy}"


def _said_of_logs(folders: Folders, url: str) -> str:
    sent = SentLogs()
    with suppress(OSError):
        sent = read_sent(folders.sent_logs.read_bytes())
    return described(url, sent)


def alert_states(folders: Folders) -> States:
    """Return how alerts stand, as the service has written it down."""
    with suppress(OSError):
        return read_alerts(folders.alerts.read_bytes())
    return {}


def _unkept(folders: Folders) -> dict[str, str]:
    with suppress(OSError):
        found = read(folders.rule_faults.read_bytes())
        return {name: str(one) for name, one in found.items()}
    return {}
