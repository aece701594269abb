"""What a workspace has its router report, for its table: spans, and calls for so many days."""

from typing import Any

from inference_provider.targets.envoy.spans import traces_to
from inference_provider.targets.service_needs import days_of, traces_of
from inference_provider.workspace.state import State


def reported(state: State, workspace: str) -> dict[str, Any]:
    """Return fields of a router's table, where the router itself bounds its log of calls."""
    traces = traces_to(traces_of(state), workspace)
    return {"traces": traces, "calls_days": days_of(state, "traffic")}


def said_of_calls(days: int) -> str:
    """Say for how long calls stay; empty where that is as long as they have room."""
    return f"calls stay for {days} {'day' if days == 1 else 'days'}" if days else ""
