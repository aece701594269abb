"""A webhook of this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "T0KEN-of-the-hook-5f1c"
"""In its URL, which is a secret."""


class Hook:
    """A webhook that keeps what it is told; it may hang, or not be there."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port, self.got, self.asked = host, port, list[dict](), 0
        self.hangs = threading.Event()
        self._free = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/{TOKEN}"

    @property
    def told(self) -> list[str]:
        return [one["data"]["essentials"]["monitorCondition"] for one in self.got]

    def begin(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.asked += 1
                if hook.hangs.is_set():
                    hook._free.wait(60)
                    return
                hook.got.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((self.host, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        self._free.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
