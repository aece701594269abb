"""A model server on several nodes: `serve.py <port>`, in each pod of a group.

The leader answers 200 once every worker has reached it, and 503 before. FAIL_WORKER in its
environment ends a worker at once, and REACH one that reaches what that names.
"""

import os
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INDEX, SIZE = (int(os.environ[f"LWS_{name}"]) for name in ("WORKER_INDEX", "GROUP_SIZE"))
PORT = int(sys.argv[1])
heard = set()


class Leader(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if worker := self.headers.get("x-worker"):
            heard.add(worker)
        self.send_response(200 if worker or len(heard) == SIZE - 1 else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args):
        pass


if INDEX == 0:
    ThreadingHTTPServer(("0.0.0.0", PORT), Leader).serve_forever()
if "FAIL_WORKER" in os.environ:
    raise SystemExit("told to fail")
address = os.environ.get("REACH") or os.environ["LWS_LEADER_ADDRESS"]
asked = urllib.request.Request(f"http://{address}:{PORT}/", headers={"x-worker": str(INDEX)})
while True:
    try:
        with urllib.request.urlopen(asked, timeout=2):
            print(f"reached {address}", flush=True)
        if "REACH" in os.environ:
            raise SystemExit("reached what is none of its own")
    except OSError as fault:
        print(f"{address}: {fault}", flush=True)
    time.sleep(0.5)
