"""What a target says while it works -> the status in its resource's row of `pulumi up`.

The engine's address is an argument of the plugin process; whose row it is stands in the request.
Where either is missing nothing is said, and no log that fails ever fails a change.
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
"""An engine on loopback answers at once; one that does not is not waited for."""


def row_progress() -> Progress:
    """Return what tells the row of the resource that this thread is handling."""
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
    """Return `host:port` of the engine that started this process; empty for any other process."""
    found = (word for word in sys.argv[1:] if re.fullmatch(r"[\w.-]+:\d{1,5}", word))
    return next(found, "")


@functools.cache
def _engine(address: str) -> EngineStub:
    # The engine is on this machine: a proxy of the environment cannot reach it.
    options = (("grpc.enable_http_proxy", 0),)
    return EngineStub(grpc.insecure_channel(address, options=options))
