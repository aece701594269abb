"""An OpenTelemetry collector of this machine, which keeps what it gets by OTLP over HTTP."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Named = dict[str, Any]


def named(attributes: Any) -> Named:
    """Return attributes by their names."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector(ThreadingHTTPServer):
    """Takes logs at `/v1/logs` and spans at `/v1/traces`.

    `statuses` are answered first, one a request; `refuses` says for a request of logs that it is
    not wanted; `cuts` has each answer end before its content does.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.paths: list[str] = []
        self.logs: list[Any] = []
        self.spans: list[Any] = []
        self.resources: list[Named] = []
        self.statuses: list[int] = []
        self.refuses: Callable[[list[Any]], bool] = lambda _records: False
        self.answer = ExportLogsServiceResponse()
        self.cuts = False
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.body()
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.paths.append(self.path)
                status = collector.statuses.pop(0) if collector.statuses else 200
                if status == 200:
                    status = collector.take(self.path, body)
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                content = collector.answer.SerializeToString()
                self.send_header("content-length", str(len(content) + collector.cuts))
                self.end_headers()
                self.wfile.write(content)

            def body(self) -> bytes:
                if "content-length" in self.headers:
                    return self.rfile.read(int(self.headers["content-length"]))
                found = b""  # in chunks, as Envoy sends it
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found

            def log_message(self, *_args: Any) -> None:
                pass

        super().__init__((host, port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def take(self, path: str, body: bytes) -> int:
        """Keep what a request has; return the status of its answer."""
        if path.endswith("traces"):
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(named(group.resource.attributes))
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            return 200
        found = ExportLogsServiceRequest.FromString(body).resource_logs
        records = [
            one for group in found for scope in group.scope_logs for one in scope.log_records
        ]
        if self.refuses(records):
            return 400
        self.resources += [named(group.resource.attributes) for group in found]
        self.logs += records
        return 200

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_port}"

    def bodies(self, table: str = "") -> list[str]:
        """Return the texts of the logs of a table that came, all for an empty name."""
        return [
            one.body.string_value
            for one in self.logs
            if not table or named(one.attributes)["Type"] == table
        ]

    def wait_for(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something holds."""
        limit = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < limit, (self.paths, self.bodies())
            time.sleep(0.05)

    def end(self) -> None:
        self.shutdown()
        self.server_close()


@contextmanager
def collecting(port: int = 0, host: str = "127.0.0.1") -> Iterator[Collector]:
    """Run a collector."""
    found = Collector(port, host)
    try:
        yield found
    finally:
        found.end()
