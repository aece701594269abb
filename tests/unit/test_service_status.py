"""What a router's status says of the workspace service."""

import os
import socket
from types import SimpleNamespace
from typing import Any

from tests.ports import own_port

from inference_provider.targets.local.service_process import SERVICE
from inference_provider.targets.local.service_status import said_of_service
from inference_provider.targets.local.supervisor import ProcessState


def said(**metrics: Any) -> str:
    """Return it of a service whose process is this one."""
    runs = ProcessState(name=SERVICE, state="RUNNING", pid=os.getpid())
    supervisor: Any = SimpleNamespace(processes=lambda: {SERVICE: runs})
    folders: Any = SimpleNamespace(log_path=lambda program, _name: program)
    declared = {"metrics": metrics}
    state: Any = SimpleNamespace(
        rules=dict,
        of_workspace=declared.get,
        section=lambda *_: {},
        recorded=lambda _: set(),
    )
    return said_of_service(supervisor, folders, state)["beside"]


def test_a_service_that_does_not_serve_its_page_yet_is_told_too():
    port = own_port()
    assert said(port=port) == f"metrics start on 127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", port)):
        assert said(port=port) == f"metrics on 127.0.0.1:{port}"


def test_a_service_that_serves_no_page_is_told():
    assert said(otlp_endpoint="http://127.0.0.1:4318") == "workspace service runs"
