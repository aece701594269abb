"""Where spans of a workspace go, for its router's table, and whether they can, for its status."""

from collections.abc import Callable, Mapping
from typing import Any

from inference_provider.errors import TargetError
from inference_provider.router.table import RouterTable, Traces
from inference_provider.router.traces import HEALTHY
from inference_provider.spec.traces import TraceSettings
from inference_provider.targets.envoy.authorities import ca_file

_HTTPS = "https://"


def traces_to(settings: TraceSettings | None, workspace: str) -> Traces | None:
    """Return where a router sends spans; None where none are declared.

    Whom it trusts for https:// is for its own machine to say: `with_authorities`.
    """
    if settings is None:
        return None
    return Traces(
        url=settings.otlp_endpoint, sample_percent=settings.sample_percent, workspace=workspace
    )


def with_authorities(table: RouterTable, trusted: Callable[[], str] = ca_file) -> RouterTable:
    """Return a table whose collector is checked by the authorities that this machine trusts.

    Raises:
        TargetError: A collector is of https://, and there are none.
    """
    traces = table.traces
    if traces is None or not traces.url.startswith(_HTTPS):
        return table
    if not (found := trusted()):
        reason = "the router's machine has no certificates of authorities, so none can be checked"
        remedy = "install its package ca-certificates (a container: in its base_image), or use"
        remedy += " a collector of http://"
        raise TargetError("send", f"spans to {traces.url}", reason, remedy)
    return table.model_copy(update={"traces": traces.model_copy(update={"ca_file": found})})


def said_of_traces(
    settings: TraceSettings | None, stats: Callable[[str], Mapping[str, Any]]
) -> str:
    """Say where spans go; empty where none are declared, or a router does not run that has it.

    Args:
        settings: What is declared.
        stats: Returns numbers of the router whose names match a regular expression.
    """
    if settings is None:
        return ""
    try:
        found = stats(f"^{HEALTHY}$".replace(".", r"\."))
    except TargetError:
        return ""
    if HEALTHY not in found:
        return ""
    if found[HEALTHY]:
        return f"spans go to {settings.otlp_endpoint}"
    return f"spans are dropped: nothing listens at {settings.otlp_endpoint}"
