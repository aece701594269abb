"""A workspace's folder with its logs, and the process that sends them."""

import json

from inference_provider.service.log_book import FileBook
from inference_provider.service.log_export import LogExport
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.log_sources import log_sources
from inference_provider.targets.sent_logs import SentLogs, read

CALL = {
    "ts": "2026-11-27T12:00:00.005Z", "request_id": "r-1", "client_request_id": None,
    "client": "127.0.0.1", "endpoint": "iris", "deployment": "blue", "method": "POST",
    "path": "/endpoints/iris/score", "status": 200, "model_status": None, "flags": "-",
    "details": "via_upstream", "bytes_in": 17, "bytes_out": 0, "ms": 8, "ttfb_ms": 7,
    "upstream": "127.0.0.1:21000", "attempts": 1, "identity": "primary",
}  # fmt: skip
CALLS, EVENTS = "AmlOnlineEndpointTrafficLog", "AmlOnlineEndpointEventLog"
CONSOLE = "AmlOnlineEndpointConsoleLog"


class Lab:
    """A workspace's folder, and the process that sends its logs."""

    def __init__(self, root, url):
        self.folders = Folders(root, "lab")
        self.log = self.folders.log_path("iris/blue", "iris.blue.ab.0")
        self.log.parent.mkdir(parents=True)
        self.calls = self.folders.router_folder / "access.log"
        self.calls.parent.mkdir(parents=True)
        self.settings = LogSettings(otlp_endpoint=url)
        self.begin()

    def begin(self):
        """Begin as a process does that is started again."""
        self.export = LogExport(
            lambda: log_sources(self.folders),
            lambda: self.settings,
            FileBook(self.folders.sent_logs),
            "lab",
        )

    def call(self, **values):
        with self.calls.open("a") as file:
            file.write(json.dumps({**CALL, **values}) + "\n")

    def prints(self, *lines):
        with self.log.open("ab") as file:
            file.writelines(line + b"\n" for line in lines)

    def look(self, times=1):
        return [self.export.look() for _ in range(times)][-1]

    @property
    def sent(self) -> SentLogs:
        return read(self.folders.sent_logs.read_bytes())
