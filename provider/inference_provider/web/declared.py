"""When a service may begin: it is started before what it was started for is recorded."""

import sys
import time
from collections.abc import Callable

from inference_provider.errors import TargetError
from inference_provider.workspace.state import State

DECLARED_S = 60.0
"""Longest wait for that."""
_LOOK_S = 0.2


def await_declared(state: State, scheme: str, looks: Callable[[], None] = lambda: None) -> None:
    """Wait until a workspace is recorded as its service was started for; else end this process.

    Args:
        state: The workspace's.
        scheme: `http` or `https`: what it is to speak.
        looks: Called meanwhile, again and again.
    """
    until_s = time.monotonic() + DECLARED_S
    while fault := _undeclared(state, scheme):
        if time.monotonic() > until_s:
            sys.exit(fault)
        looks()
        time.sleep(_LOOK_S)


def _undeclared(state: State, scheme: str) -> str:
    """Say why the workspace has not declared what this process is; empty where it has."""
    try:
        record = state.own_record()
        if record and record.properties.get("service") and state.scheme == scheme:
            return ""
    except TargetError as fault:
        return str(fault)
    return undeclared(scheme)


def undeclared(scheme: str) -> str:
    """Say that records ask for no service that speaks this."""
    return f"started for {scheme}, which the workspace does not declare; `inferctl up` fixes it"
