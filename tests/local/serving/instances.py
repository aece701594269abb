"""Instances of scoring scripts and of own servers, as a process manager starts them."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from inference_provider.serving.command import InstanceCommand, instance_command
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.local.surroundings import surroundings

SCORE = """
import json, os, time
def init():
    print("init saw", os.listdir(os.environ["AZUREML_MODEL_DIR"]))
def run(raw):
    asked = json.loads(raw)
    time.sleep(asked["seconds"])
    return {"who": os.environ["WHO"]}
"""
ROUTES = {
    "liveness_route": {"path": "/live", "port": 8000},
    "readiness_route": {"path": "/ready", "port": 8000},
    "scoring_route": {"path": "/predict", "port": 8000},
}
Start = Callable[[InstanceCommand], subprocess.Popen[str]]


def scripted(venv: Path, folder: Path, port: int, text: str, **fields: object) -> InstanceCommand:
    (folder / "code").mkdir()
    (folder / "code" / "score.py").write_text(text)
    (folder / "models" / "iris").mkdir(parents=True)
    spec = DeploymentSpec.model_validate(
        {
            "endpoint": "iris",
            "name": "blue",
            "environment": "plain:1",
            "code_configuration": {"code": "code", "scoring_script": "score.py"},
            "environment_variables": {"WHO": "blue"},
            **fields,
        }
    )
    code, models = folder / "code", folder / "models"
    here = surroundings(venv, "127.0.0.1")
    return instance_command(
        spec, EnvironmentSpec(name="plain"), here, code_dir=code, model_dir=models, port=port
    )


def wait_until_ready(url: str, process: subprocess.Popen[str], limit_s: float = 30) -> None:
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer in {limit_s} s")


def score(port: int, seconds: float) -> httpx.Response:
    url = f"http://127.0.0.1:{port}/score"
    return httpx.post(url, json={"seconds": seconds}, timeout=20, trust_env=False)


def own_environment(*command: str, **fields: object) -> EnvironmentSpec:
    return EnvironmentSpec.model_validate(
        {"name": "own", "command": command, "inference_config": ROUTES, **fields}
    )
