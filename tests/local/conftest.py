"""A real workspace on loopback, with a server that needs no packages; and a router alone."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from inference_provider.desired import resolve
from inference_provider.files import load_stack
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.plan import plan
from inference_provider.targets.local.folders import Folders
from inference_provider.targets.local.instances import Instances
from inference_provider.targets.local.records import FileRecords
from inference_provider.targets.local.target import LocalTarget
from tests.local.server.model import Model, RawModel, WsgiModel, until
from tests.local.server.routing import Served, deployment, endpoint, serving
from tests.ports import own_port

SERVER = Path(__file__).parent / "server" / "serve.py"
ROUTER_PORT = own_port()
ACTOR = Actor(user="tester", command="pytest")


class Lab:
    """One state folder, one stack file, and the calls a person would make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.use_state(folder / "s")
        self.document: dict[str, Any] = {
            "name": "lab",
            "workspaces": [{"name": "lab", "router_port": ROUTER_PORT}],
            "environments": [
                {
                    "name": "plain",
                    "command": ["python", "serve.py", "{port}"],
                    "inference_config": {
                        "liveness_route": {"path": "/health", "port": 8080},
                        "readiness_route": {"path": "/health", "port": 8080},
                        "scoring_route": {"path": "/score", "port": 8080},
                    },
                }
            ],
            "endpoints": [{"name": "iris"}],
            "deployments": [self.deployment("blue"), self.deployment("green")],
            "traffic": [{"endpoint": "iris", "traffic": {"blue": 100, "green": 0}}],
        }

    def use_state(self, folder: Path) -> None:
        self.state = folder
        self.target = LocalTarget.open(folder)

    def deployment(self, name: str, answer: str | None = None) -> dict:
        self.write_code(name, answer or name)
        return {
            "endpoint": "iris",
            "name": name,
            "environment": "plain@latest",
            "code_configuration": {"code": f"code/{name}"},
            "request_settings": {"max_concurrent_requests_per_instance": 16},
            "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 1},
            "start_timeout_s": 15,
        }

    def write_code(self, name: str, answer: str) -> None:
        code = self.folder / "code" / name
        code.mkdir(parents=True, exist_ok=True)
        # The server has no init() and run(): the loader wants them only of scoring scripts.
        shutil.copy(SERVER, code / "serve.py")
        (code / "answer.txt").write_text(answer)

    def write_model(self, weights: str) -> None:
        """Declare a model for blue, whose one file holds `weights`."""
        (self.folder / "weights").mkdir(exist_ok=True)
        (self.folder / "weights" / "w.txt").write_text(weights)
        self.document["models"] = [{"name": "weights", "path": "weights"}]
        self.document["deployments"][0]["model"] = "weights@latest"

    def resources(self):
        path = self.folder / "stack.yaml"
        path.write_text(yaml.safe_dump(self.document))
        return resolve(load_stack(path), str(self.folder))

    def plan(self):
        desired = self.resources()
        return plan(desired, self.target.observe(["lab"]), "lab")

    def up(self) -> list[str]:
        """Apply the document; return what was done, `update Deployment 'lab/iris/blue'`."""
        from inference_provider.apply import apply

        planned = self.plan()
        apply(planned, self.target, ACTOR)
        return [f"{action.kind.value} {action.id}" for action in planned.pending]

    def inferctl(self, *args: str) -> subprocess.Popen[str]:
        """Start the command line on this state folder; it reads the stack file that is written."""
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("inferctl")), *args],
            cwd=self.folder,
            env={**os.environ, "INFERENCE_STATE_DIR": str(self.state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, *args: str) -> tuple[int, str]:
        """Return how a command ends and what it says."""
        process = self.inferctl(*args)
        out, err = process.communicate(timeout=60)
        return process.returncode, out + err

    def processes(self) -> list[str]:
        """Command lines of what runs with this state folder."""
        lines = (" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
        return [line for line in lines if str(self.state) in line]

    def process_ids(self) -> set[int]:
        """Ids of what runs with this state folder, or in it."""
        folder = str(self.state)
        return {
            p.pid
            for p in psutil.process_iter(["cmdline", "cwd"])
            if folder in " ".join(p.info["cmdline"] or ())
            or (p.info["cwd"] or "").startswith(folder)
        }

    def down(self) -> None:
        self.document = {"name": "lab", "workspaces": self.document["workspaces"]}
        self.up()
        self.target.delete(
            ResourceId(kind=Kind.WORKSPACE, workspace="lab", name="lab"), "lab", ACTOR
        )

    def observe(self, kind: Kind, name: str):
        return self.target.observe_one(ResourceId(kind=kind, workspace="lab", name=name))

    @property
    def uri(self) -> str:
        return self.observe(Kind.ENDPOINT, "iris").outputs["scoring_uri"]

    def key(self, which: str = "primary") -> str:
        endpoint = self.observe(Kind.ENDPOINT, "iris")
        return endpoint.secret_outputs[f"{which}_key"].get_secret_value()

    def score(
        self, deployment: str | None = None, key: str | None = None, **body
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.key()}"}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        return httpx.post(self.uri, json=body, headers=headers, timeout=10)

    @property
    def supervisor(self):
        return self.target.local.router("lab").supervisor

    def instances(self):
        """Return what is written down of instances, by deployment."""
        folders = Folders(self.state, "lab")
        return Instances(folders, FileRecords(folders)).by_deployment()

    def log(self) -> str:
        logs = (self.state / "workspaces" / "lab" / "logs").rglob("*.log")
        return "\n".join(path.read_text() for path in logs)


class Load:
    """A bounded loop of requests over 8 connections while something changes."""

    def __init__(
        self,
        lab: Lab,
        *,
        seconds: float = 60,
        sleep_s: float = 0.002,
        pause_s: float = 0.0,
        patience_s: float = 10.0,
    ) -> None:
        self.results: Counter = Counter()
        self._lab = lab
        self._stop = threading.Event()
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self.uri, self.current_key = lab.uri, lab.key()
        self._sleep_s, self._pause_s, self._patience_s = sleep_s, pause_s, patience_s
        self._threads = [threading.Thread(target=self._run) for _ in range(8)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, with all answers counted."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, requests: int, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while sum(self.results.values()) < requests and time.monotonic() < until:
            time.sleep(0.02)

    def _run(self) -> None:
        with httpx.Client(timeout=self._patience_s) as client:
            while not self._stop.is_set() and time.monotonic() < self._deadline:
                try:
                    answer = client.post(
                        self.uri,
                        json={"sleep_s": self._sleep_s},
                        headers={"authorization": f"Bearer {self.current_key}"},
                    )
                    result = str(answer.status_code)
                except httpx.TransportError as fault:
                    result = type(fault).__name__
                with self._lock:
                    self.results[result] += 1
                time.sleep(self._pause_s)

    @property
    def failed(self) -> dict[str, int]:
        return {k: v for k, v in self.results.items() if k != "200"}


@pytest.fixture
def lab():
    # Not tmp_path: a Unix socket's path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="inf-"))
    made = Lab(folder)
    yield made
    if "lab" in made.target.workspaces():
        made.target.stop("lab", ACTOR)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, Model]]:
    found = {name: Model(name) for name in ("blue", "green", "shadow")}
    yield found
    for model in found.values():
        model.close()


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModel]:
    found = RawModel()
    yield found
    found.close()


@pytest.fixture(scope="module")
def wsgi_model() -> Iterator[WsgiModel]:
    found = WsgiModel()
    yield found
    found.close()


@pytest.fixture(scope="module")
def served(
    models: dict[str, Model], raw_model: RawModel, wsgi_model: WsgiModel
) -> Iterator[Served]:
    blue, green = models["blue"], models["green"]
    with serving(
        endpoint("chat", {"blue": 100}, deployment("blue", blue), deployment("green", green)),
        endpoint("idle", {"blue": 0}, deployment("blue", blue)),
        endpoint("bare", {"blue": 100}, deployment("blue")),
        endpoint("quick", {"blue": 100}, deployment("blue", blue, timeout_ms=300)),
        endpoint("narrow", {"blue": 100}, deployment("blue", blue, max_concurrent=1)),
        endpoint("raw", {"raw": 100}, deployment("raw", raw_model)),
        endpoint("wsgi", {"wsgi": 100}, deployment("wsgi", wsgi_model)),
        endpoint("other", {"blue": 100}, deployment("blue", blue, scoring_path="/v1/x:predict")),
        endpoint("closed", {"blue": 100}, deployment("blue", blue), keys=()),
    ) as found:
        until(lambda: found.ask("chat/score").status_code == 200)
        until(lambda: found.ask("raw/200").status_code == 200)
        until(lambda: found.ask("wsgi/score").status_code == 200)
        yield found
