"""A stack file of a workspace on a Docker host, `inferctl` on it, and load on its endpoint."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from inference_provider.targets.docker import names
from tests.conformance.labs import SERVER
from tests.docker_host import BASE_IMAGE


class Stack:
    """One endpoint with one deployment, and `inferctl` on its file."""

    def __init__(self, folder: Path, **space: object) -> None:
        """Write nothing yet; `space` says what else its workspace has."""
        self.folder = folder
        self.workspace = f"auto{time.time_ns() % 10**9}"
        route = {"path": "/", "port": 8080}
        self.write_code("code", SERVER.read_text())
        own = {"name": self.workspace, "target": "docker", "base_image": BASE_IMAGE}
        self.document: dict[str, Any] = {
            "name": self.workspace,
            "workspaces": [{**own, **space}],
            "environments": [
                {
                    "name": "plain",
                    "command": ["python", "{code_dir}/serve.py", "{port}"],
                    "inference_config": {
                        f"{name}_route": route for name in ("liveness", "readiness", "scoring")
                    },
                }
            ],
            "endpoints": [{"name": "iris"}],
            "deployments": [
                {
                    "endpoint": "iris",
                    "name": "blue",
                    "environment": "plain:1",
                    "code_configuration": {"code": "code"},
                    "request_settings": {"max_concurrent_requests_per_instance": 16},
                    "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 1},
                    "resources": {"requests": {"cpu": "1", "memory": "256Mi"}},
                }
            ],
            "traffic": [{"endpoint": "iris", "traffic": {"blue": 100}}],
        }

    def said(self, *given: str) -> tuple[int, str]:
        (self.folder / "stack.yaml").write_text(json.dumps(self.document))
        program = str(Path(sys.executable).with_name("inferctl"))
        done = subprocess.run(
            [program, *given],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        return done.returncode, done.stdout + done.stderr

    def up(self) -> str:
        """Apply the file; return what was said."""
        code, said = self.said("up", "-y")
        assert code == 0, said
        return said

    def status(self) -> str:
        return " ".join(self.said("status")[1].split())

    def write_code(self, name: str, text: str) -> None:
        """Write what a server runs to a folder of its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "serve.py").write_text(text)

    def load(self, takes_s: float = 0.3) -> "Load":
        """Return load on the endpoint, for a `with`."""
        outputs = json.loads(self.said("outputs", "--json", "--show-secrets")[1])
        [endpoint] = [found for found in outputs.values() if "scoring_uri" in found]
        return Load(endpoint["scoring_uri"], endpoint["primary_key"], takes_s)

    def end(self) -> None:
        """Remove all of it."""
        for section in ("deployments", "traffic", "autoscale_rules"):
            self.document[section] = []
        code, said = self.said("down", "-y")
        assert code == 0, said


class Load:
    """Requests to endpoint iris that take some time each, 6 at once, until it is left."""

    def __init__(self, url: str, key: str, takes_s: float) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}", "x-takes": str(takes_s)}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(6)]
        self.answers: list[object] = []

    @property
    def target(self) -> tuple[str, dict[str, str]]:
        """Where a request goes, and its headers."""
        return self._url, self._headers

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_given) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._over.is_set():
                self.answers.append(client.post(self._url, headers=self._headers).status_code)


@contextmanager
def stack_of(host, folder: Path, **space: object) -> Iterator[Stack]:
    """Give a stack, and end it; nothing of its workspace is left on the host."""
    made = Stack(folder, **space)
    try:
        yield made
    finally:
        made.end()
    label = {"label": f"{names.WORKSPACE}={made.workspace}"}
    assert (host.containers(label), host.volumes(label)) == ([], [])
