"""A model server of the standard library alone: says which answer file it was started with."""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANSWER = (Path(__file__).parent / "answer.txt").read_text().strip()
MODEL_DIR = os.environ.get("AZUREML_MODEL_DIR")
MODEL = (Path(MODEL_DIR) / "weights" / "w.txt").read_text() if MODEL_DIR else ""
if ANSWER == "raise":
    raise SystemExit("RuntimeError: the model is not there")
if ANSWER == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self._answer({"healthy": True}, int(os.environ.get("READY_STATUS", "200")))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = json.loads(body or b"{}")
        time.sleep(asked.get("sleep_s", 0))
        if ANSWER == "slow":
            time.sleep(0.3)
        if ANSWER == "stuck":
            time.sleep(5)
        self._answer(
            {
                "answer": ANSWER,
                "model": MODEL,
                "pid": os.getpid(),
                "greeting": os.environ.get("GREETING", ""),
                "authorization": self.headers.get("authorization"),
            },
            {"fail": 500, "refuse": 422}.get(ANSWER, 200),
        )

    def _answer(self, value, status=200):
        payload = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("location", "http://127.0.0.1:1/nobody")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass


time.sleep(float(os.environ.get("START_S", "0")))
print(f"serving {ANSWER}", flush=True)
if ANSWER == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
