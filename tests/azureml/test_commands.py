"""inferctl takes Azure ML YAML where it takes a stack file."""

import pytest
import yaml

from inference_provider.errors import SpecError
from inference_provider.files import load_azure
from inference_provider.files.azureml.overrides import Overrides
from inference_provider.observed import Kind, ResourceId
from tests.azureml.conftest import BLUE

FILES = ("azure/endpoint.yml", "azure/blue-deployment.yml")


def recorded(folder, kind, name):
    resource = ResourceId(kind=kind, workspace="default", name=name)
    return folder.target.observe_one(resource).record.properties


def test_files_are_made_and_a_second_up_changes_nothing(folder):
    made = folder.run("up", *FILES, "--all-traffic")
    assert made.exit_code == 0, made.output
    assert "stack 'azure', named after its folder; --stack names another\n" in made.stderr
    again = folder.run("up", "azure", "--all-traffic")
    assert again.stdout.startswith("no changes; 6 unchanged\n")
    assert folder.run("drift", "azure", "--all-traffic").exit_code == 0


def test_down_deletes_what_up_made(folder):
    folder.run("up", "azure", "--stack", "mine")
    assert folder.run("down", "azure", "--stack", "mine", "--yes").exit_code == 0
    assert folder.target.workspaces() == ()


def test_names_are_compared_without_case_and_numbers_become_text(folder):
    folder.run("up", *FILES)
    assert recorded(folder, Kind.ENDPOINT, "iris")["auth_mode"] == "aml_token"
    deployment = recorded(folder, Kind.DEPLOYMENT, "iris/blue")
    assert list(deployment["environment_variables"]) == ["WORKER_COUNT"]


def test_what_this_machine_does_not_use_is_said(folder):
    notes = [line for line in folder.run("plan", *FILES).stderr.splitlines() if "note:" in line]
    assert notes == [
        "note: azure/blue-deployment.yml: instance_type 'Standard_DS3_v2' is not used:"
        " instances are processes of this machine",
        "note: azure/blue-deployment.yml: image"
        " 'mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest' is not used: on this machine"
        " the packages of the conda file are installed in a folder",
        "note: endpoint 'iris' has no traffic: its address answers 404; add --all-traffic, or"
        ' --traffic "NAME=100"',
    ]


def test_traffic_of_the_command_line_becomes_a_traffic(folder):
    green = (folder.path / "azure/blue-deployment.yml").read_text().replace("blue", "green")
    folder.write("azure/green.yml", green)
    folder.run("up", "azure", "--traffic", "blue=90 green=10")
    assert recorded(folder, Kind.TRAFFIC, "iris")["traffic"] == {"blue": 90, "green": 10}


def test_values_are_set_before_anything_is_checked(folder):
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    folder.write("azure/blue-deployment.yml", text.replace("endpoint_name: iris\n", ""))
    done = folder.run(
        "up", *FILES, "--endpoint", "other", "--name", "first",
        "--set", "instance_count=2", "--set", "request_settings.request_timeout_ms=9000",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    deployment = recorded(folder, Kind.DEPLOYMENT, "other/first")
    assert deployment["instance_count"] == 2
    assert deployment["request_settings"]["request_timeout_ms"] == 9000


def test_a_name_that_several_files_have_is_set_in_a_named_one(folder):
    refused = folder.run("plan", *FILES, "--set", "name=green")
    assert refused.stderr.splitlines()[-1] == (
        "  --set: several files have 'name': azure/endpoint.yml, azure/blue-deployment.yml;"
        " write FILE:name=green"
    )
    taken = folder.run("plan", *FILES, "--set", "blue-deployment.yml:name=green")
    assert "Deployment 'default/iris/green'" in taken.stdout


def test_variables_are_put_in_before_the_file_is_read(folder):
    folder.write("azure/endpoint.yml", "name: {{ENDPOINT_NAME}}\nauth_mode: key\n")
    refused = folder.run("plan", *FILES)
    assert refused.stderr.splitlines()[1:] == [
        "  azure/endpoint.yml line 1: {{ENDPOINT_NAME}} has no value;"
        " add --var ENDPOINT_NAME=VALUE",
    ]
    assert folder.run("plan", *FILES, "--var", "ENDPOINT_NAME=iris").exit_code == 2


def test_every_fault_of_every_file_is_told_with_its_file_and_line(folder):
    folder.write("azure/endpoint.yml", "name: my_endpoint\nauth_mode: none\nidentiy: {}\n")
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    text = text.replace("instance_count: 1", "instance_count: many")
    folder.write("azure/blue-deployment.yml", text.replace("endpoint_name: iris\n", ""))
    assert folder.run("plan", *FILES).stderr.splitlines() == [
        "error: the Azure ML YAML has 5 faults:",
        "  azure/blue-deployment.yml line 1: endpoint_name: this field is missing (Azure ML:"
        " Missing data for required field.); add it, or pass --endpoint NAME",
        "  azure/blue-deployment.yml line 14: instance_count: expected a whole number, got text"
        " (Azure ML: Not a valid integer.); write digits only",
        "  azure/endpoint.yml line 1: name: not a valid name; use 3 to 32 letters, digits and"
        " single dashes, starting with a letter",
        "  azure/endpoint.yml line 2: auth_mode: 'none' is not known (Azure ML: Value 'none' passed"
        " is not in set); use one of: key, aml_token, aad_token",
        "  azure/endpoint.yml line 3: identiy: unknown field 'identiy' (Azure ML: Unknown field.);"
        " did you mean 'identity'?",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "name: b\nauth_mode: key\ncompute: azureml:c\n",
            "Kubernetes online endpoints are not supported yet in Azure ML YAML",
            id="kubernetes",
        ),
        pytest.param(
            "$schema: https://x/batchEndpoint.schema.json\nname: bat\nauth_mode: aad_token\n",
            "batch endpoints are not supported yet",
            id="batch",
        ),
        pytest.param(
            "name: bat\nmodel_id: azureml://registries/r/models/m\n",
            "serverless endpoints are not supported yet",
            id="serverless",
        ),
    ],
)
def test_what_is_not_served_yet_is_refused_by_name(folder, text, reason):
    folder.write("other.yml", text)
    assert folder.run("plan", "other.yml").stderr == (
        f"error: the Azure ML YAML has 1 fault:\n  other.yml: {reason}; leave the file out\n"
    )


def test_a_reference_among_the_files_is_used_and_one_to_azure_is_refused(folder):
    folder.write("azure/model.yml", "name: weights\nversion: 3\npath: ../model\n")
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    inline = "model:\n  path: ../model/\n"
    folder.write(
        "azure/blue-deployment.yml", text.replace(inline, "model: azureml:weights@latest\n")
    )
    assert "Model 'default/weights:3'" in folder.run("plan", "azure").stdout
    there = "model: azureml://registries/r/models/m/versions/1\n"
    folder.write("azure/blue-deployment.yml", text.replace(inline, there))
    assert "line 4: model: 'azureml://registries/r/models/m/versions/1' is in a registry" in (
        folder.run("plan", "azure").stderr
    )


def test_an_option_for_azure_ml_is_refused_with_a_stack_file(folder):
    folder.write("stack.yaml", "name: demo\nendpoints: [{name: iris}]\n")
    refused = folder.run("plan", "--set", "name=x")
    assert "--set: it is for Azure ML YAML, and stack.yaml is not" in refused.stderr


def test_what_convert_prints_is_planned_as_no_change(folder):
    folder.run("up", *FILES, "--all-traffic")
    folder.write("azure/stack.yaml", folder.run("convert", *FILES, "--all-traffic").stdout)
    assert folder.run("plan", "azure/stack.yaml").stdout == "no changes; 6 unchanged\n"


@pytest.mark.parametrize("target", ["docker", "kubernetes"])
def test_what_is_converted_for_containers_keeps_the_image_and_the_instance_type(folder, target):
    done = folder.run("convert", *FILES, "--target", target)
    stack = yaml.safe_load(done.stdout)
    assert stack["workspaces"] == [{"name": "default", "target": target}]
    assert stack["deployments"][0]["instance_type"] == "Standard_DS3_v2"
    image = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
    assert stack["environments"][0]["image"] == image
    assert "is not used" not in done.stderr


def test_an_endpoint_of_no_public_network_is_for_this_machine_alone(folder):
    endpoint = "name: iris\nauth_mode: key\npublic_network_access: disabled\n"
    folder.write("azure/endpoint.yml", endpoint)
    folder.run("up", *FILES)
    ranges = recorded(folder, Kind.ENDPOINT, "iris")["allowed_source_ranges"]
    assert list(ranges) == ["127.0.0.0/8", "::1"]
    assert folder.run("convert", *FILES, "--target", "docker").stderr.splitlines()[1:] == [
        "  azure/endpoint.yml line 3: public_network_access: 'disabled' does not say which"
        " addresses may call, outside of this machine; leave it out, and write"
        " allowed_source_ranges in the stack file",
    ]


def test_a_placeholder_of_a_stack_file_is_plain_text_in_azure_ml_yaml(folder):
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    folder.write("azure/blue-deployment.yml", text.replace("COUNT: 2", "COUNT: '${env:HOME}'"))
    folder.run("up", *FILES)
    converted = folder.run("convert", *FILES).stdout
    assert "WORKER_COUNT: $${env:HOME}" in converted
    folder.write("azure/stack.yaml", converted)
    assert folder.run("plan", "azure/stack.yaml").stdout.startswith("no changes")


def test_a_deployment_alone_is_enough_to_serve_it(folder):
    folder.write("azure/blue-deployment.yml", BLUE.replace("endpoint_name: iris\n", ""))
    loaded = load_azure([folder.path / "azure/blue-deployment.yml"], Overrides(), alone=True)
    assert [one.name for one in loaded.spec.endpoints] == ["local"]
    with pytest.raises(SpecError, match="endpoint_name: this field is missing"):
        load_azure([folder.path / "azure/blue-deployment.yml"], Overrides())


def test_an_endpoint_that_is_given_is_the_one_that_is_served(folder):
    folder.write("azure/blue-deployment.yml", BLUE.replace("endpoint_name: iris\n", ""))
    loaded = load_azure([folder.path / "azure"], Overrides(), alone=True)
    assert [one.name for one in loaded.spec.endpoints] == ["iris"]


def test_options_of_a_split_are_refused_where_one_deployment_runs(folder):
    done = folder.run("serve", "azure", "--all-traffic")
    assert done.exit_code == 1
    assert "--all-traffic: one deployment runs, and gets all requests; leave it out" in done.stderr
