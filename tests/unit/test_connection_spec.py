"""What a connection may be, and what variables may ask of it."""

import json

import pytest
from pydantic import ValidationError
from tests.specs import deployment
from tests.stacks import PLAIN_ENVIRONMENT

from inference_provider.errors import SpecError
from inference_provider.files import load_stack
from inference_provider.files.wording import faults_of
from inference_provider.injection import Injected, injected, value_of
from inference_provider.spec import DeploymentSpec
from inference_provider.spec.connection import ConnectionSpec, contents_of

KEY = "${{azureml://connections/hub/credentials/key}}"


def connection(**fields):
    return ConnectionSpec.model_validate({"name": "hub"} | fields)


def fault_of(model, **fields):
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"name": "hub"} | fields)
    [fault] = faults_of(refused.value, model)
    return str(fault)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("azure_open_ai", "AzureOpenAI"),
        ("AzureOpenAI", "AzureOpenAI"),
        ("azureopenai", "AzureOpenAI"),
        ("azure_ai_search", "CognitiveSearch"),
        ("serverless", "Serverless"),
        ("api_key", "ApiKey"),
    ],
)
def test_a_category_is_read_as_azures_yaml_and_rest_write_it(written, meant):
    assert connection(category=written, credentials={"api_key": "x"}).category == meant


@pytest.mark.parametrize(
    ("category", "written", "names", "auth_type"),
    [
        ("custom", {"AnyName": "x", "other": "y"}, ["AnyName", "other"], "CustomKeys"),
        ("azure_blob", {"account_key": "x"}, ["key"], "AccountKey"),
        ("azure_blob", {"sas_token": "x"}, ["sas"], "SAS"),
        (
            "ADLSGen2",
            {"client_id": "a", "client_secret": "b", "tenant_id": "c"},
            ["clientId", "clientSecret", "tenantId"],
            "ServicePrincipal",
        ),
        ("container_registry", {"username": "a", "password": "b"}, ["password", "username"],
         "UsernamePassword"),
        ("S3", {"access_key_id": "a", "secret_access_key": "b"},
         ["accessKeyId", "secretAccessKey"], "AccessKey"),
        ("git", {"pat": "a"}, ["pat"], "PAT"),
    ],
)  # fmt: skip
def test_credentials_have_azures_names(category, written, names, auth_type):
    found = connection(category=category, target="hub.example.org", credentials=written)
    assert (sorted(found.credentials), found.auth_type) == (names, auth_type)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"category": "ApiKey", "credentials": {"token": "hidden"}},
            "credentials: ApiKey takes key, and here: token",
        ),
        (
            {"category": "ApiKey", "stored_credentials": {"token": "HUB"}},
            "credentials: ApiKey takes key, and here: token",
        ),
        ({"category": "ApiKey"}, "credentials: ApiKey takes key, and here: none"),
        (
            {"category": "git", "credentials": {"pat": "a", "username": "b"}},
            "credentials: Git takes pat or password, username, and here: pat, username",
        ),
        (
            {"credentials": {"key": ""}},
            "credentials.key: empty; write its value, or leave it out",
        ),
        ({"credentials": {"key": "a\0b"}}, "credentials.key: contains a null byte; remove it"),
        (
            {"credentials": {"a/b": "hidden"}},
            "credentials.a/b: not a valid name; use no blank, `/`, `{` or `}`",
        ),
        (
            {"name": "a b"},
            "name: not a valid name; use 3 to 33 letters, digits, `-` and `_`, starting with a"
            " letter or digit",
        ),
    ],
)
def test_what_a_connection_cannot_be_is_said_without_its_secrets(fields, said):
    found = fault_of(ConnectionSpec, **fields)
    assert found == said
    assert "hidden" not in found


def test_a_registry_with_a_user_in_its_target_is_refused_without_saying_the_user():
    said = fault_of(
        ConnectionSpec,
        category="ContainerRegistry",
        target="https://ann:4711@hub.example.org",
        credentials={"username": "ann", "password": "4711"},
    )
    assert said == (
        "target: it names a user before the `@`; name the registry alone, the user in credentials"
    )


def test_a_connection_to_a_registry_says_which():
    user = {"username": "ann", "password": "4711"}
    assert fault_of(ConnectionSpec, category="ContainerRegistry", credentials=user) == (
        "target: missing; write the registry, such as registry.example.org"
    )


def test_an_unknown_category_names_those_there_are():
    said = fault_of(ConnectionSpec, category="AzureOpenAi2", credentials={"key": "x"})
    assert said.startswith("category: ")
    assert "'AzureOpenAI'" in said


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (KEY, Injected("hub", "credentials", "key")),
        ("${{ azureml://connections/my_hub/target }}", Injected("my_hub", "target", "")),
        ("${{azureml://connections/hub/metadata/Api.Version}}",
         Injected("hub", "metadata", "Api.Version")),
        ("${{azureml://connections/hub}}", Injected("hub", "", "")),
        ("${azureml://connections/hub}", None),
        ("plain", None),
        (f"Bearer {KEY}", None),
    ],
)  # fmt: skip
def test_a_reference_is_read_as_azure_writes_it(text, asked):
    assert injected(text) == asked


def test_all_of_a_connection_has_the_form_of_azures_list_secrets():
    contents = contents_of(connection(credentials={"A": "x"}, target="http://a"))
    assert json.loads(value_of(contents, Injected("hub", "", ""))) == {
        "name": "hub",
        "type": "Microsoft.MachineLearningServices/workspaces/connections",
        "properties": {
            "authType": "CustomKeys",
            "category": "CustomKeys",
            "target": "http://a",
            "metadata": {},
            "credentials": {"keys": {"A": "x"}},
        },
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"Bearer {KEY}", "not a reference to a connection; write it alone"),
        ("${{azureml://connections/hub/credential/key}}", "not a reference to a connection"),
        ("${{azureml://datastores/hub}}", "not a reference to a connection"),
        (
            "${{keyvault:https://a.vault.azure.net/secrets/b/c}}",
            "not a reference to a secret of an Azure Key Vault; write it alone, as",
        ),
        (
            "${{KeyVault:https://a.vault.azure.net/secrets/b}}",
            "not a reference to a secret of an Azure Key Vault; write it alone, as",
        ),
        (
            "x ${{ keyvault : https://a.vault.azure.net/secrets/b }}",
            "not a reference to a secret of an Azure Key Vault; write it alone, as",
        ),
        ("${{AzureML://connections/hub/credentials/key}}", "not a reference to a connection"),
        ("${{azureml:connections/hub/credentials/key}}", "not a reference to a connection"),
    ],
)
def test_what_looks_like_a_reference_and_is_none_is_a_fault(text, said):
    base = {"endpoint": "iris", "name": "blue", "environment": "env:1"}
    found = fault_of(DeploymentSpec, **base, environment_variables={"OPENAI_KEY": text})
    assert found.startswith(f"environment_variables.OPENAI_KEY: {said}")


def test_a_variable_that_the_target_sets_comes_from_no_connection():
    base = {"endpoint": "iris", "name": "blue", "environment": "env:1"}
    said = fault_of(DeploymentSpec, **base, environment_variables={"PATH": KEY})
    assert said == "environment_variables: PATH: the target sets it; no reference can"
    said = fault_of(DeploymentSpec, **base, environment_variables={"a.b": KEY})
    assert said == (
        "environment_variables: a.b: only a name of letters, digits and `_` gets its value by a"
        " reference"
    )


def test_a_reference_is_recorded_as_it_is_and_a_value_as_a_digest():
    from inference_provider.spec.fields import recorded

    found = recorded(deployment(environment_variables={"A": KEY, "B": "hidden"}))
    assert found["environment_variables"]["A"] == KEY
    assert found["environment_variables"]["B"].startswith("secret:sha256:")


# -- stack files -----------------------------------------------------------------------------------


def stack_file(folder, variables, connections=""):
    (folder / "code").mkdir()
    text = f"""\
name: demo
{connections}
{PLAIN_ENVIRONMENT}
endpoints: [{{name: iris}}]
deployments:
  - name: blue
    endpoint: iris
    environment: plain:1
    environment_variables: {json.dumps(variables)}
"""
    path = folder / "stack.yaml"
    path.write_text(text)
    return path


HUB = 'connections: [{name: hub, category: ApiKey, credentials: {key: "${env:HUB_KEY}"}}]'


def test_a_stack_file_takes_the_secret_from_a_variable_and_keeps_the_reference(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HUB_KEY", "a-hidden-value")
    found = load_stack(stack_file(tmp_path, {"OPENAI_KEY": KEY}, HUB))
    assert found.connections[0].credentials["key"].get_secret_value() == "a-hidden-value"
    variables = found.deployments[0].environment_variables
    assert variables["OPENAI_KEY"].get_secret_value() == KEY
    assert "a-hidden-value" not in repr(found)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"A": "${{azureml://connections/nub/target}}"},
            "deployments.0.environment_variables.A: no connection 'nub' in workspace 'default';"
            " declare it under connections",
        ),
        (
            {"A": "${{azureml://connections/hub/credentials/pat}}"},
            "deployments.0.environment_variables.A: connection 'hub' has no credentials 'pat'; it"
            " has 'key'; correct one of the two",
        ),
        (
            {"A": "${{azureml://connections/hub/metadata/a}}"},
            "deployments.0.environment_variables.A: connection 'hub' has no metadata 'a'; it has"
            " none; correct one of the two",
        ),
        (
            {"A": "${{azureml://connections/hub/target}}"},
            "deployments.0.environment_variables.A: connection 'hub' has no target; correct one of"
            " the two",
        ),
        (
            {"A": "${{KeyVault:https://lab.vault.azure.net/secrets/b}}"},
            "deployments.0.environment_variables.A: not a reference to a secret of an Azure Key"
            " Vault; write it alone, as ${{keyvault:https://VAULT.vault.azure.net/secrets/NAME}},"
            " with /VERSION or without",
        ),
    ],
)
def test_what_a_connection_has_not_is_a_fault_with_its_line(tmp_path, monkeypatch, variables, said):
    monkeypatch.setenv("HUB_KEY", "a-hidden-value")
    with pytest.raises(SpecError) as refused:
        load_stack(stack_file(tmp_path, variables, HUB))
    assert [str(fault).partition(": ")[2] for fault in refused.value.faults] == [said]
    assert "a-hidden-value" not in str(refused.value)
