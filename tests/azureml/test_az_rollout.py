"""The safe rollout of Azure's examples, as a script of `inferctl az`, against real servers."""

import json
import shlex
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from inference_provider.cli.main import app
from inference_provider.cli.session import Session

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]  # thirty commands, one after another

ENDPOINT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: my-endpoint
auth_mode: key
"""
DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: NAME
endpoint_name: my-endpoint
model:
  path: ../../model-NAME/model/
code_configuration:
  code: ../../model-NAME/onlinescoring/
  scoring_script: score.py
environment:
  conda_file: ../../environment/conda.yaml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
instance_type: Standard_DS3_v2
instance_count: 1
"""
CONDA = "dependencies: [python=3.11, {pip: [azureml-inference-server-http]}]\n"
SCORE = """\
import json
import os
from pathlib import Path


def init():
    global weights
    found = Path(os.environ["AZUREML_MODEL_DIR"]) / "model" / "weights.json"
    weights = json.loads(found.read_text())


def run(raw):
    rows = json.loads(raw)["data"]
    print(f"{len(rows)} rows")
    return [sum(weight * x for weight, x in zip(weights, row)) for row in rows]
"""
WEIGHTS = {"blue": [1.0, 10.0], "green": [0.5, 0.0]}
BLUE, GREEN = [21.0, 43.0], [0.5, 1.5]
REQUEST = {"data": [[1, 2], [3, 4]]}


class Shell:
    """A folder as the examples have it, and the lines of a script that are run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("managed/sample/endpoint.yml", ENDPOINT)
        self.write("environment/conda.yaml", CONDA)
        self.write("model-1/sample-request.json", json.dumps(REQUEST))
        for name, weights in WEIGHTS.items():
            text = DEPLOYMENT.replace("NAME", name)
            self.write(f"managed/sample/{name}-deployment.yml", text)
            self.write(f"model-{name}/model/weights.json", json.dumps(weights))
            self.write(f"model-{name}/onlinescoring/score.py", SCORE)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def inferctl(self, *words: str) -> Result:
        """Run a command as a process of its own would, without the start of Python."""
        return CliRunner().invoke(app, list(words), obj=Session(interactive=False))

    def az(self, line: str, code: int = 0) -> str:
        """Run one line as it stands in a script; return what it writes to stdout."""
        done = self.inferctl("az", *shlex.split(line))
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def shell(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="inf-"))  # a socket's path has a limit of 107 bytes
    monkeypatch.setenv("INFERENCE_STATE_DIR", str(folder / "s"))
    monkeypatch.chdir(folder)
    made = Shell(folder)
    yield made
    made.inferctl("stop", "--workspace", "default")
    shutil.rmtree(folder, ignore_errors=True)


def answers(shell: Shell, times: int, **headers: str) -> Counter:
    """Return how often each answer came, by the address and the key that a script reads."""
    uri = shell.az("online-endpoint show -n endpt-moe --query scoring_uri -o tsv").strip()
    key = shell.az("online-endpoint get-credentials -n endpt-moe --query primaryKey -o tsv")
    said = {"authorization": f"Bearer {key.strip()}", **headers}
    with httpx.Client(timeout=10, trust_env=False) as client:
        found = [client.post(uri, json=REQUEST, headers=said) for _ in range(times)]
    return Counter(str(one.json()) for one in found)


def test_a_safe_rollout_of_azures_examples_runs_line_by_line(shell):
    az, sample = shell.az, "managed/sample"
    az(f"online-endpoint create --name endpt-moe -f {sample}/endpoint.yml")
    state = az("online-endpoint show -n endpt-moe --query provisioning_state -o tsv")
    assert state == "Succeeded\n"
    az(
        f"online-deployment create --name blue --endpoint endpt-moe"
        f" -f {sample}/blue-deployment.yml --all-traffic"
    )
    state = az("online-deployment show -n blue --endpoint endpt-moe --query provisioning_state")
    assert state == '"Succeeded"\n'
    invoked = az(
        "online-endpoint invoke --name endpt-moe --request-file model-1/sample-request.json"
    )
    assert json.loads(json.loads(invoked)) == BLUE

    # scale out
    scaled = az(
        "online-deployment update --name blue --endpoint-name endpt-moe --set instance_count=2"
    )
    assert json.loads(scaled)["instance_count"] == 2

    # green gets no request but by its header
    az(
        f"online-deployment create --name green --endpoint-name endpt-moe"
        f" -f {sample}/green-deployment.yml"
    )
    split = az("online-endpoint show -n endpt-moe --query traffic")
    assert json.loads(split) == {"blue": 100}
    asked = az(
        "online-endpoint invoke --name endpt-moe --deployment-name green"
        " --request-file model-1/sample-request.json -o tsv"
    )
    assert json.loads(asked) == GREEN
    assert answers(shell, 20) == {str(BLUE): 20}
    pinned = answers(shell, 5, **{"azureml-model-deployment": "green"})
    assert pinned == {str(GREEN): 5}

    # mirrored to green: callers see blue alone
    logged = "online-deployment get-logs -n green -e endpt-moe --lines 1000"
    before = az(logged).count(" 2 rows")
    az('online-endpoint update --name endpt-moe --mirror-traffic "green=10"')
    assert answers(shell, 100) == {str(BLUE): 100}
    assert az(logged).count(" 2 rows") > before
    az('online-endpoint update --name endpt-moe --mirror-traffic "green=0"')

    # 10 % to green, then all
    split = az('online-endpoint update --name endpt-moe --traffic "blue=90 green=10"')
    assert json.loads(split)["traffic"] == {"blue": 90, "green": 10}
    shares = answers(shell, 300)
    assert set(shares) == {str(BLUE), str(GREEN)}
    assert 9 <= shares[str(GREEN)] <= 60  # 30 expected; 4 standard deviations are 21
    az('online-endpoint update --name endpt-moe --traffic "blue=0 green=100"')
    assert answers(shell, 20) == {str(GREEN): 20}

    az("online-deployment delete --name blue --endpoint endpt-moe --yes --no-wait")
    names = az("online-deployment list -e endpt-moe --query [].name -o tsv")
    assert names == "green\n"
    az("online-endpoint delete --name endpt-moe --yes --no-wait")
    assert "Endpoint 'default/endpt-moe': not found" in az(
        "online-endpoint show --name endpt-moe", code=3
    )
    status = shell.inferctl("status").stdout
    assert status == "present  Workspace 'default'  router ready\n"
