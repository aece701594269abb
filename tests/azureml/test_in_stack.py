"""A stack file names Azure ML YAML, and what stands for assets of Azure's registries."""

import pytest

from inference_provider.files import load_stack
from inference_provider.observed import Kind, ResourceId

CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
STACK = """\
name: demo
workspaces:
  - name: default
    registries:
      azureml:
        environments:
          sklearn-1.5: {conda_file: conda.yaml}
azureml: [azure]
"""
INLINE = """\
environment:
  conda_file: ../conda.yaml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
"""


@pytest.fixture
def curated(folder):
    """The folder, with a curated environment and a stack file."""
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    folder.write("azure/blue-deployment.yml", text.replace(INLINE, f"environment: {CURATED}\n"))
    folder.write("stack.yaml", STACK)
    return folder


def deployed(folder):
    blue = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue")
    return folder.target.observe_one(blue).record.properties


def test_what_the_yaml_declares_joins_the_stack(folder):
    folder.write("stack.yaml", "name: demo\nazureml: [azure]\nmodels: [{name: m, path: model}]\n")
    made = folder.run("up")
    assert made.exit_code == 0, made.output
    assert "Model 'default/m:1'" in made.stdout
    assert "Model 'default/iris-blue:1'" in made.stdout
    assert folder.run("plan").stdout == "no changes; 6 unchanged\n"
    assert folder.run("drift").exit_code == 0
    assert folder.run("down", "--yes").exit_code == 0
    assert folder.target.workspaces() == ()


def test_what_it_does_not_use_is_said_as_without_a_stack_file(folder):
    folder.write("stack.yaml", "name: demo\nazureml: [azure]\n")
    notes = [line for line in folder.run("plan").stderr.splitlines() if "note:" in line]
    assert [line.partition(" is not used")[0] for line in notes[:2]] == [
        "note: azure/blue-deployment.yml: instance_type 'Standard_DS3_v2'",
        "note: azure/blue-deployment.yml: image"
        " 'mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest'",
    ]


def test_a_fault_of_the_yaml_is_told_at_its_file_beside_those_of_the_stack_file(folder):
    text = (folder.path / "azure/blue-deployment.yml").read_text()
    folder.write("azure/blue-deployment.yml", text.replace("../src", "../gone"))
    folder.write("stack.yaml", "name: demo\nmodels: [{name: m, path: gone}]\nazureml: [azure]\n")
    assert folder.run("plan").stderr.splitlines() == [
        "error: stack.yaml has 2 faults:",
        "  line 2: models.0.path: no file or folder 'gone'; paths are relative to the stack file",
        "  azure/blue-deployment.yml line 7: code_configuration.code: no folder 'gone'; paths are"
        " relative to the folder of the YAML file",
    ]


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (
            "azureml: azure",
            "  line 2: azureml: expected a list of paths; write a list of files and folders, such"
            " as [endpoint.yml, blue-deployment.yml]",
        ),
        (
            "azureml: [gone.yml]",
            "  gone.yml: cannot read 'gone.yml': No such file or directory; name an Azure ML YAML"
            " file, or a folder of them",
        ),
    ],
)
def test_files_that_cannot_be_read_are_told(folder, written, fault):
    folder.write("stack.yaml", f"name: demo\n{written}\n")
    assert folder.run("plan").stderr.splitlines() == ["error: stack.yaml has 1 fault:", fault]


def test_a_curated_environment_is_what_its_registry_says(curated):
    made = curated.run("up")
    assert made.exit_code == 0, made.output
    assert "Environment 'default/azureml-sklearn-1.5:1'" in made.stdout
    assert deployed(curated)["environment"].startswith("azureml-sklearn-1.5:1@sha256:")


def test_a_version_of_its_own_counts_before_the_name_alone(curated):
    text = (curated.path / "azure/blue-deployment.yml").read_text()
    one = CURATED.replace("labels/latest", "versions/7")
    curated.write("azure/blue-deployment.yml", text.replace(CURATED, one))
    own = "          sklearn-1.5:7: {python_version: '3.12', dependencies: [six]}\nazureml:"
    curated.write("stack.yaml", STACK.replace("azureml: [", f"{own} ["))
    assert "Environment 'default/azureml-sklearn-1.5:7'" in curated.run("up").stdout
    seven = ResourceId(kind=Kind.ENVIRONMENT, workspace="default", name="azureml-sklearn-1.5:7")
    recorded = curated.target.observe_one(seven).record.properties
    assert list(recorded["dependencies"]) == ["six"]


def test_a_registry_may_name_an_asset_that_is_declared(curated):
    declared = "environments: [{name: mine, version: '4', conda_file: conda.yaml}]\n"
    text = STACK.replace("{conda_file: conda.yaml}", "mine:4")
    curated.write("stack.yaml", text + declared)
    assert curated.run("up").exit_code == 0
    assert deployed(curated)["environment"].startswith("mine:4@sha256:")


def test_a_deployment_of_the_stack_file_may_name_a_registry_too(curated):
    text = STACK.replace("azureml: [azure]\n", "")
    declared = f"""\
endpoints: [{{name: iris}}]
deployments:
  - endpoint: iris
    name: blue
    environment: {CURATED}
    code_configuration: {{code: src, scoring_script: score.py}}
"""
    curated.write("stack.yaml", text + declared)
    assert curated.run("up").exit_code == 0
    assert deployed(curated)["environment"].startswith("azureml-sklearn-1.5:1@sha256:")


def test_what_no_registry_says_is_refused_with_the_lines_to_add(curated):
    curated.write("stack.yaml", "name: demo\nworkspaces: [{name: default}]\nazureml: [azure]\n")
    lines = "`registries: {azureml: {environments: {sklearn-1.5: {conda_file: PATH}}}}`"
    fault = (
        f"  azure/blue-deployment.yml line 9: environment: '{CURATED}' is in a registry of Azure,"
        " which cannot be read here; "
    )
    assert curated.run("plan").stderr.splitlines()[-1] == f"{fault}add to the workspace {lines}"
    assert curated.run("plan", "azure").stderr.splitlines()[-1] == (
        f"{fault}write a stack file with `azureml: [FILES]`, and in its workspace {lines}"
    )


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (
            "{conda_fil: x}",
            "sklearn-1.5.conda_fil: unknown field 'conda_fil'; did you mean 'conda_file'?",
        ),
        (
            "{conda_file: gone.yaml}",
            "sklearn-1.5.conda_file: cannot read 'gone.yaml': No such file or directory; paths are"
            " relative to the stack file",
        ),
        ("3", "sklearn-1.5: expected the fields of an asset, or a reference"),
    ],
)
def test_a_fault_in_what_a_registry_says_is_told_where_it_is_written(curated, written, fault):
    curated.write("stack.yaml", STACK.replace("{conda_file: conda.yaml}", written))
    place = "  line 7: workspaces.0.registries.azureml.environments"
    assert f"{place}.{fault}" in curated.run("plan").stderr.splitlines()


def test_for_containers_the_image_and_the_instance_type_are_kept(folder):
    text = "name: demo\nworkspaces: [{name: default, target: docker}]\nazureml: [azure]\n"
    folder.write("stack.yaml", text)
    stack = load_stack(folder.path / "stack.yaml")
    assert stack.deployments[0].instance_type == "Standard_DS3_v2"
    image = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
    assert stack.environments[0].image == image
    assert [note for note in stack.notes if "is not used" in note] == []
