"""Where spans of a workspace go, and whether they can, for the status of its router."""

from inference_provider.errors import TargetError
from inference_provider.router.traces import HEALTHY
from inference_provider.spec.traces import TraceSettings
from inference_provider.targets.envoy.router_admin import RouterAdmin


def said_of_traces(settings: TraceSettings | None, admin: RouterAdmin) -> str:
    """Say where spans go; empty where none are declared, or a router does not run that has it."""
    if settings is None:
        return ""
    try:
        found = admin.stats(f"^{HEALTHY}$".replace(".", r"\."))
    except TargetError:
        return ""
    if HEALTHY not in found:
        return ""
    if found[HEALTHY]:
        return f"spans go to {settings.otlp_endpoint}"
    return f"spans are dropped: nobody can be connected to at {settings.otlp_endpoint}"
