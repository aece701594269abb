"""Starts azureml-inference-server-http on one socket; run by the environment's own Python.

Goes in: `--socket` (a Unix socket's path) or `--host` and `--port`, and the server's usual
environment variables (AML_APP_ROOT, AZUREML_ENTRY_SCRIPT, AZUREML_MODEL_DIR, WORKER_COUNT,
WORKER_TIMEOUT, WORKER_PRELOAD). Comes out: a process that answers GET / and POST /score, finishes
its requests on SIGTERM and exits, and exits with status 3 when the script does not import, init()
raises, with a traceback then, or either ends its process.

It replaces the server's own command, `azmlinfsrv`, which always binds 0.0.0.0. It imports nothing
of this package, which the environment does not have.
"""

import argparse
import logging
import mmap
import os
import re
import sys
from typing import Any

LONGEST_REQUEST_S = 180
"""Azure ML's longest request timeout; a stopping worker has as long to finish its request."""

SERVERS_FORMAT = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
"""Of the server's own logging.json."""
NO_SIGN_OF_ITS_OWN = re.compile(r"[^\W_][\w.:=+/@-]{0,127}", re.ASCII)
"""Ids of requests that no line could be mistaken by."""
SCRIPT_FAILED = "scoring script failed"
"""Start of the line that says why an instance did not start."""


def server_settings(bind: str, environment: "os._Environ[str]") -> "dict[str, Any]":
    """Return gunicorn's settings; the environment does not decide the address."""
    return {
        "bind": [bind],
        "workers": int(environment.get("WORKER_COUNT", "1")),
        "timeout": int(environment.get("WORKER_TIMEOUT", "300")),
        "preload_app": environment.get("WORKER_PRELOAD", "false").lower() == "true",
        "graceful_timeout": LONGEST_REQUEST_S + 10,
        # The server's own log handlers write gunicorn's errors already.
        "errorlog": "/dev/null",
        "proc_name": "scoring",
        # Newer gunicorns open a control socket in the home folder, the same for all instances.
        "control_socket_disable": True,
    }


def serve(bind: str) -> None:
    """Run until stopped. Imports are local: only the serving environment has these packages."""
    from azureml_inference_server_http.constants import PACKAGE_ROOT  # noqa: PLC0415
    from azureml_inference_server_http.log_config import load_logging_config  # noqa: PLC0415
    from gunicorn.app.base import (  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415
        BaseApplication,
    )
    from gunicorn.errors import (  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415
        HaltServer,
    )

    started = mmap.mmap(-1, 1)  # shared by the workers

    def note_start(worker: Any) -> None:
        started[0] = 1

    def end_if_none_has_started(server: Any, worker: Any) -> None:
        # gunicorn starts such a worker again for ever, unless the script has raised an exception
        if not started[0] and server.LISTENERS:  # it has none while it stops
            print(f"{SCRIPT_FAILED}: its process ended before init() had returned", flush=True)  # noqa: T201
            raise HaltServer("no worker has started", 3)

    class ScoringServer(BaseApplication):  # type: ignore[misc, unused-ignore]
        def load_config(self) -> None:
            for name, value in server_settings(bind, os.environ).items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)
            self.cfg.set("post_worker_init", note_start)
            self.cfg.set("child_exit", end_if_none_has_started)

        def load(self) -> Any:
            try:
                from azureml_inference_server_http.server.entry import app  # noqa: PLC0415
            except SystemExit as stopped:
                # The server prints the traceback, then up to 200 names of the model's files: the
                # cause is repeated, so that the last lines of the log have it.
                cause = getattr(stopped.__context__, "user_ex", stopped.__context__)
                print(f"{SCRIPT_FAILED}: {type(cause).__name__}: {cause}", flush=True)  # noqa: T201
                raise
            show_requests()  # now: the server has read its logging.json, or the user's
            return app

    name_requests()
    load_logging_config(PACKAGE_ROOT, silent=True)
    ScoringServer().run()


def name_requests() -> None:
    """Have each log record say in which request it was made, as `request_id`; empty in none."""
    import flask  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - as in `serve`

    before = logging.getLogRecordFactory()

    def made(*args: Any, **named: Any) -> logging.LogRecord:
        record = before(*args, **named)
        known = getattr(flask.g, "request_id", "") if flask.has_app_context() else ""
        # a caller may have made it, or the script, of whatever class
        is_plain = isinstance(known, str) and NO_SIGN_OF_ITS_OWN.fullmatch(known)
        shown = known if is_plain else ""
        vars(record).update(request_id=shown, of_request=f" [{shown}]" if shown else "")
        return record

    logging.setLogRecordFactory(made)


def show_requests() -> None:
    """Have the server's own lines, and those of print(), show it; a user's logging.json stays."""
    for handler in logging.getLogger("azmlinfsrv").handlers:
        formatter = handler.formatter
        if formatter and getattr(formatter, "_fmt", "") == SERVERS_FORMAT:
            shown = SERVERS_FORMAT.replace("%(name)s", "%(name)s%(of_request)s")
            handler.setFormatter(type(formatter)(shown))


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a scoring script on one socket.")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--port", type=int)
    place.add_argument("--socket")
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    use_path_of_server(sys.path, os.environ["AML_APP_ROOT"])
    serve(f"unix:{given.socket}" if given.socket else f"{given.host}:{given.port}")


def use_path_of_server(path: "list[str]", code_dir: str) -> None:
    """Put the user's folder where azmlinfsrv has it: after Python's and what is installed.

    A `signal.py` or `flask.py` in it must not break the server. It comes before the server's own
    folder, which the server appends later: `import utils` finds the user's.
    """
    own = os.path.dirname(os.path.realpath(__file__))  # its modules must not shadow anything
    path[:] = [*(place for place in path if place != own), code_dir]


if __name__ == "__main__":
    main()
