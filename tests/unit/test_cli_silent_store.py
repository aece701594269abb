"""What inferctl does while the secret store of a workspace gives nothing."""

import pytest
from tests.stacks import PLAIN_ENVIRONMENT
from tests.unit.conftest import ServedTarget

from inference_provider.secret_stores.environment import EnvironmentSecrets

STACK = f"""\
name: demo
workspaces: [{{name: default, target: memory, secret_store: {{kind: environment}}}}]
{PLAIN_ENVIRONMENT}
connections: [{{name: hub, category: ApiKey, stored_credentials: {{key: HUB_KEY}}}}]
endpoints: [{{name: iris}}]
role_assignments:
  - name: reads
    principal: endpoints/iris
    role: Azure Machine Learning Workspace Connection Secrets Reader
    scope: connections/hub
deployments:
  - {{endpoint: iris, name: blue, environment: "plain:1"}}
  - endpoint: iris
    name: green
    environment: "plain:1"
    environment_variables: {{HUB_KEY: "${{{{azureml://connections/hub/credentials/key}}}}"}}
traffic: [{{endpoint: iris, traffic: {{blue: 0, green: 100}}}}]
"""
SAID = "Connection 'default/hub': left as it is: environment variable HUB_KEY is not set"


@pytest.fixture
def silent(cli):
    """The command line over an applied stack, whose store gives nothing any more."""
    variables = {"HUB_KEY": "a-secret-of-4711"}
    cli.target = ServedTarget()
    cli.target.open_store = lambda _settings: EnvironmentSecrets(variables)
    cli.file.write_text(STACK)
    assert cli("up").exit_code == 0
    variables.clear()
    return cli


def test_a_plan_says_that_it_leaves_the_connection_and_has_no_change(silent):
    told = silent("plan")
    assert (told.exit_code, told.output) == (0, f"{SAID}\nno changes; 8 unchanged\n")
    assert silent("up").exit_code == 0


def test_traffic_goes_back_to_what_served_before(silent):
    silent.file.write_text(STACK.replace("blue: 0, green: 100", "blue: 100, green: 0"))
    told = silent("up")
    assert told.exit_code == 0
    assert SAID in told.output
    assert "Traffic 'default/iris': blue 100 %, green 0 %" in told.output
