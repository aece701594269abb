"""inferctl as a person runs it, on Azure ML YAML and real servers of this machine."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

INFERCTL = [sys.executable, "-c", "from inference_provider.cli.main import main; main()"]
BUILT = Path(tempfile.gettempdir()) / "inference-azureml-tests"
"""Keeps environments for the next run: to install some of them takes minutes."""


class Running:
    """A folder, a state folder, and inferctl."""

    def __init__(self, folder: Path, built: Path = BUILT) -> None:
        self.folder = folder
        self.state = Path(tempfile.mkdtemp()) / "s"  # a socket's path must be short
        self.state.mkdir()
        built.mkdir(exist_ok=True)
        (self.state / "environments").symlink_to(built)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def both(self, *words: str, said: str = "", code: int = 0) -> tuple[str, str]:
        """Return what a command writes to stdout and to stderr."""
        done = subprocess.run(
            [*INFERCTL, *words], cwd=self.folder, input=said, text=True, capture_output=True,
            env={**os.environ, "INFERENCE_STATE_DIR": str(self.state)}, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    def __call__(self, *words: str, said: str = "", code: int = 0) -> str:
        return self.both(*words, said=said, code=code)[0]

    def score(self, endpoint: str, file: str, *words: str) -> Any:
        return json.loads(self("score", endpoint, "--data", file, *words))

    def outputs(self, endpoint: str) -> dict[str, str]:
        found = json.loads(self("outputs", "--show-secrets", "--json"))
        return {**found[f"Endpoint/default/{endpoint}"]}

    def ask(self, endpoint: str, uri: str, method: str = "GET", **fields: Any) -> httpx.Response:
        """Ask an address among the outputs of an endpoint, with its key."""
        told = self.outputs(endpoint)
        key = {"Authorization": f"Bearer {told['primary_key']}"}
        with httpx.Client(trust_env=False, headers=key, timeout=60) as client:
            return client.request(method, told[uri], **fields)
