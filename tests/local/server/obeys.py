"""A model server of the standard library alone, which runs the Python that it is sent.

It does what any model's code could. `obeys.py <port>`; the answer is what the code printed.
"""

import contextlib
import io
import json
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer("")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            try:
                exec(asked["run"], {"given": asked.get("given")})
            except Exception:  # noqa: BLE001 - the test sees it
                traceback.print_exc(file=said)
        self._answer(said.getvalue())

    def _answer(self, text):
        payload = text.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
