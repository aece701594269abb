"""A model server of the standard library alone: `serve.py <port>`; 0 takes a free port.

FAIL in its environment ends it before it listens; LATE delays that, in seconds. A request with an
`x-until` header is answered once the file that it names exists; `<file>.got` says that the request
has arrived. One with `x-takes` is answered after as many seconds. One with `x-touch` makes a file,
in whose name $NAME is a variable of its own; one with `x-exists` is answered 200 if there is one
($MODEL is the model's folder), and one with `x-variable: NAME=value` if its environment says so.
"""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        until = self.headers.get("x-until")
        if until:
            Path(f"{until}.got").touch()
            while not Path(until).exists():
                time.sleep(0.01)
        time.sleep(float(self.headers.get("x-takes", "0")))
        if touched := self.headers.get("x-touch"):
            Path(touched.replace("$NAME", os.environ.get("NAME", ""))).touch()
        asked = self.headers.get("x-exists")
        name, _, value = self.headers.get("x-variable", "PATH=").partition("=")
        found = (asked or ".").replace("$MODEL", os.environ.get("AZUREML_MODEL_DIR", ""))
        is_so = os.environ.get(name) == value if value else Path(found).exists()
        self.send_response(200 if is_so else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args):
        pass


if "FAIL" in os.environ:
    raise SystemExit("told to fail")
time.sleep(float(os.environ.get("LATE", "0")))
server = ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(sys.argv[1])), Handler)
print(server.server_port, flush=True)
server.serve_forever()
