"""A target's progress messages -> the status in the resource's row of `pulumi up`.

The engine's address is an argument of the plugin process, and the request names the row. When
either is missing nothing is shown, and a message that cannot be sent never fails a change.
"""

import functools
import re
import sys

import grpc
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.proto.engine_pb2_grpc import EngineStub

from inference_provider.dynamic.host import served_urn
from inference_provider.observed import ResourceId
from inference_provider.printable import one_line
from inference_provider.workspace.ports import Progress, silent

_LONGEST_MESSAGE_S = 2.0
"""Seconds; an engine on loopback answers at once, and one that does not is not worth a wait."""


def row_progress() -> Progress:
    """Return a Progress that writes to the row of the resource that this thread handles."""
    address, urn = _engine_address(), served_urn()
    if not address or not urn:
        return silent

    def tell(_resource: ResourceId, message: str) -> None:
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.INFO,
            message=one_line(message),
            urn=urn,
            ephemeral=True,
        )
        try:
            _engine(address).Log(request, timeout=_LONGEST_MESSAGE_S)
        except (grpc.RpcError, ValueError):  # ValueError: its channel is closed
            return

    return tell


def _engine_address() -> str:
    """Return `host:port` of the engine that started this process; empty when none did."""
    found = (word for word in sys.argv[1:] if re.fullmatch(r"[\w.-]+:\d{1,5}", word))
    return next(found, "")


@functools.cache
def _engine(address: str) -> EngineStub:
    # The engine is on this machine, where a proxy from the environment cannot reach it.
    options = (("grpc.enable_http_proxy", 0),)
    return EngineStub(grpc.insecure_channel(address, options=options))
