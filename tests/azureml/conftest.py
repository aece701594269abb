"""A folder as Azure ML's users have it, and inferctl over the memory target."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference_provider.cli.main import app
from inference_provider.cli.session import Session
from inference_provider.targets.memory import MemoryTarget

ENDPOINT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: Iris
auth_mode: AMLToken
"""
BLUE = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: iris
model:
  path: ../model/
code_configuration:
  code: ../src
  scoring_script: score.py
environment:
  conda_file: ../conda.yaml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
environment_variables:
  WORKER_COUNT: 2
instance_type: Standard_DS3_v2
instance_count: 1
"""
CONDA = "dependencies: [python=3.12, numpy=2.3.1, {pip: [azureml-inference-server-http]}]\n"
SCORE = "def init():\n    pass\n\n\ndef run(raw):\n    return raw\n"


class Folder:
    """An Azure ML folder, and one memory target for all that is run on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.target = MemoryTarget()
        can = self.target.memory.capabilities  # Azure ML YAML without a stack file is `local`
        self.target.memory.capabilities = can.model_copy(update={"name": "local"})
        self.write("azure/endpoint.yml", ENDPOINT)
        self.write("azure/blue-deployment.yml", BLUE)
        self.write("conda.yaml", CONDA)
        self.write("src/score.py", SCORE)
        self.write("model/model.pkl", "weights")

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *words: str):
        session = Session(make_target=lambda place: self.target, interactive=False)
        return CliRunner().invoke(app, list(words), obj=session)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)
