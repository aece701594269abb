"""Whether the workspace service of this machine is needed, and what it does, for the status."""

from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from inference_provider.router.table import Backend
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.targets.listening import bind_fault
from inference_provider.targets.local.addresses import listens
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.service_process import SERVICE, service_process
from inference_provider.targets.local.supervisor import ProcessState, Supervisor
from inference_provider.targets.rule_faults import read
from inference_provider.targets.sent_logs import SentLogs, described
from inference_provider.targets.sent_logs import read as read_sent
from inference_provider.workspace.shifts import is_any_moving
from inference_provider.workspace.state import State

_HOST = "127.0.0.1"


def metrics_of(state: State) -> MetricsSettings | None:
    """Return where what is measured goes; None where it goes nowhere."""
    with suppress(ValidationError):  # of a newer release
        said = state.of_workspace("metrics")
        return MetricsSettings.model_validate(said) if said else None
    return None


def logs_of(state: State) -> LogSettings | None:
    """Return where logs go; None where they go nowhere."""
    with suppress(ValidationError):  # as above
        said = state.of_workspace("logs")
        return LogSettings.model_validate(said) if said else None
    return None


def is_needed(state: State) -> bool:
    """Whether a rule has to be kept, a split is on its way, or metrics or logs go somewhere.

    Nobody but the service does any of it.
    """
    goes = metrics_of(state) or logs_of(state)
    return bool(state.rules()) or is_any_moving(state) or goes is not None


def said_of_service(supervisor: Supervisor, folders: Folders, state: State) -> dict[str, Any]:
    """Return what a router's status has of the service; nothing where it is not needed."""
    rules, moving, metrics = bool(state.rules()), is_any_moving(state), metrics_of(state)
    logs = logs_of(state)
    if not (rules or moving or metrics or logs):
        return {}
    process, log = service_process(supervisor), folders.log_path(SERVICE, SERVICE)
    if process is None:
        lost = ["counts stay as they are"] * rules
        lost += ["splits stay where they are on their way"] * moving
        lost += ["metrics go nowhere"] * bool(metrics)
        lost += ["logs are not sent"] * bool(logs)
        name = "autoscaler" if rules else "workspace service"
        return {"missing": f"the {name} does not run: {', '.join(lost)}; its log is {log}"}
    pages = [_said_of_page(process, metrics.port)] if metrics and metrics.port else []
    pages += [_said_of_logs(folders, logs)] if logs else []
    plain = ["workspace service runs"] * (moving or not pages)
    said = "; ".join((*(["autoscaler runs"] if rules else plain), *pages))
    return {"beside": said, "unkept": _unkept(folders) if rules else {}}


def _said_of_page(process: ProcessState, port: int) -> str:
    """Say where the service serves its metrics, or that another process has the port."""
    if bind_fault(_HOST, port) is None:
        return f"metrics start on {_HOST}:{port}"
    if listens(process.pid, Backend(host=_HOST, port=port)):
        return f"metrics on {_HOST}:{port}"
    remedy = "end that, or use another metrics.port"
    return f"no metrics are served: port {port} is taken by another process; {remedy}"


def _said_of_logs(folders: Folders, settings: LogSettings) -> str:
    sent = SentLogs()
    with suppress(OSError):
        sent = read_sent(folders.sent_logs.read_bytes())
    return described(settings.otlp_endpoint, sent)


def _unkept(folders: Folders) -> dict[str, str]:
    with suppress(OSError):
        found = read(folders.rule_faults.read_bytes())
        return {name: str(one) for name, one in found.items()}
    return {}
