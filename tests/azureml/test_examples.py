"""Each YAML file of Azure's examples is read as its case says, or refused with the reason."""

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_azure
from inference_provider.files.azureml.overrides import Overrides
from tests.azureml.examples import ONLINE, copied, needs_examples, yaml_files

pytestmark = needs_examples
SCRIPTS = (
    "model-1/onlinescoring/score.py",
    "model-2/onlinescoring/score.py",
    "managed/binary-payloads/code/multi-file-to-json-score.py",
    "managed/inference-schema/code/score-numpy.py",
    "ncd/sklearn-diabetes/src/score.py",
)
"""The examples bring no scoring scripts; a test needs them only to be there."""

SAMPLE = f"{ONLINE}/managed/sample"
ENDPOINT = f"{SAMPLE}/endpoint.yml"
BINARY = f"{ONLINE}/managed/binary-payloads"
SCHEMA = f"{ONLINE}/managed/inference-schema"
CUSTOM = f"{ONLINE}/custom-container/minimal/single-model"
IN_CONDA = f"{CUSTOM}/conda-in-dockerfile/minimal-single-model-conda-in-dockerfile"
IN_PIP = f"{CUSTOM}/pip-in-dockerfile/minimal-single-model-pip-in-dockerfile"
NCD = f"{ONLINE}/ncd"
COLLECTS = f"{ONLINE}/data-collector/workspace-blob-storage/workspace-blob-storage"
WAYS = ("custom1", "custom2", "payload1", "payload2")
CUSTOM_BLOB = f"{ONLINE}/data-collector/custom-blob-storage/custom-blob-storage.YAML"
CLUSTER = f"{ONLINE}/kubernetes/kubernetes"
HEART = "cli/endpoints/batch/deploy-models/heart-classifier-mlflow"
HELLO = "cli/endpoints/batch/deploy-pipelines/hello-batch"
FOUNDATION = "cli/foundation-models/system/inference/text-classification"

FILLED = {"variables": {"ENDPOINT_NAME": "mine", "ACR_NAME": "mine"}}
NO_KIND = "not a document that can be served"
NO_ENDPOINT = "endpoint_name: no endpoint 'my-endpoint' in workspace 'default'"
MISSING = "endpoint_name: this field is missing (Azure ML: Missing data for required field.)"
NOT_A_NAME = "endpoint_name: not a valid name"
CURATED = "environment: 'azureml://registries/azureml/environments/sklearn-1.5/labels/latest' is in"
NO_ENVIRONMENT = "environment: this field is missing; name one; only a model of type mlflow_model"
NO_BATCH = "batch deployments are not supported yet"
NO_CLUSTER = "Kubernetes online deployments are not supported yet in Azure ML YAML"

REFUSED = {
    f"{HEART}/deployment-simple/deployment.yml": [NO_BATCH],
    f"{HEART}/deployment-simple/model/conda.yaml": [NO_KIND],
    f"{HEART}/endpoint.yml": ["batch endpoints are not supported yet"],
    f"{HEART}/heart-dataset-unlabeled.yml": [NO_KIND],
    f"{HELLO}/deployment-from-job.yml": [NO_BATCH],
    f"{HELLO}/deployment.yml": [NO_BATCH],
    f"{HELLO}/endpoint.yml": ["batch endpoints are not supported yet"],
    f"{HELLO}/pipeline-job.yml": [NO_KIND],
    f"{IN_CONDA}-deployment.yml": [
        "{{ENDPOINT_NAME}} has no value; add --var ENDPOINT_NAME=VALUE",
        "{{ACR_NAME}} has no value; add --var ACR_NAME=VALUE",
    ],
    f"{IN_CONDA}-endpoint.yml": ["{{ENDPOINT_NAME}} has no value"],
    f"{CUSTOM}/minimal-single-model-endpoint.yml": ["{{ENDPOINT_NAME}} has no value"],
    f"{IN_PIP}-deployment.yml": ["{{ENDPOINT_NAME}} has no value", "{{ACR_NAME}} has no value"],
    f"{CUSTOM_BLOB}": [
        NOT_A_NAME,
        "model: no model 'iris_mlflow_model@latest'",
        "environment.conda_file: cannot read 'conda.yaml': No such file or directory",
        "code_configuration.code: no folder 'scripts'",
    ],
    **{
        f"{COLLECTS}-{which}.YAML": [
            NOT_A_NAME,
            "model: no model 'iris_mlflow_model@latest'",
            "environment.conda_file: cannot read 'conda.yaml': No such file or directory",
            "code_configuration.code: no folder 'scripts'",
        ]
        for which in WAYS
    },
    f"{CLUSTER}-blue-deployment.yml": [NO_CLUSTER],
    f"{CLUSTER}-endpoint.yml": [
        "Kubernetes online endpoints are not supported yet in Azure ML YAML"
    ],
    f"{CLUSTER}-green-deployment.yml": [NO_CLUSTER],
    f"{BINARY}/binary-payloads-deployment.yml": [
        NOT_A_NAME,
        "code_configuration.scoring_script: no file '<SCORING_SCRIPT>' in 'code'",
    ],
    f"{BINARY}/env.yml": [NO_KIND],
    f"{SCHEMA}/deployment-numpy.yml": [NOT_A_NAME, "model: no model 'azureml-infschema:1'"],
    f"{SCHEMA}/env.yml": [NO_KIND],
    f"{SAMPLE}/blue-deployment-with-curated-env.yml": [NO_ENDPOINT, CURATED],
    f"{SAMPLE}/blue-deployment-with-registered-assets.yml": [
        NO_ENDPOINT,
        "model: no model 'my-model:1' in workspace 'default'",
        "environment: no environment 'my-env:1' in workspace 'default'",
    ],
    f"{SAMPLE}/blue-deployment.yml": [NO_ENDPOINT],
    f"{SAMPLE}/green-deployment-with-curated-env.yml": [NO_ENDPOINT, CURATED],
    f"{SAMPLE}/green-deployment-with-registered-assets.yml": [
        NO_ENDPOINT,
        "model: no model 'my-model:2' in workspace 'default'",
        "environment: no environment 'my-env:1' in workspace 'default'",
    ],
    f"{SAMPLE}/green-deployment.yml": [NO_ENDPOINT],
    **{
        f"{ONLINE}/model-{n}/environment/{name}": [NO_KIND]
        for n, name in ((1, "conda-managedidentity.yaml"), (1, "conda.yaml"), (2, "conda.yaml"))
    },
    f"{NCD}/sklearn-deployment-with-script.yaml": [NO_ENDPOINT],
    f"{NCD}/sklearn-diabetes/environment/conda.yaml": [NO_KIND],
    f"{NCD}/sklearn-diabetes/model/conda.yaml": [NO_KIND],
    f"{NCD}/sklearn-deployment.yaml": [NO_ENDPOINT],
    f"{FOUNDATION}/batch-deploy.yml": [NO_BATCH, MISSING],
    f"{FOUNDATION}/deploy.yml": [MISSING, NO_ENVIRONMENT],
}
"""Files that are refused alone, each with every fault that it is refused for."""

READ = {
    f"{SCHEMA}/model.yml": ["models azureml-infschema"],
    f"{ENDPOINT}": ["endpoints my-endpoint"],
    f"{NCD}/create-endpoint.yaml": ["endpoints my-endpoint"],
}
"""Files that are read alone."""

BLUE = ["endpoints my-endpoint", "models my-endpoint-blue", "environments my-endpoint-blue",
        "deployments blue"]  # fmt: skip
GREEN = [one.replace("blue", "green") for one in BLUE]
COLLECTING = [CUSTOM_BLOB, *(f"{COLLECTS}-{one}.YAML" for one in WAYS)]
HERE = (
    "model=azureml:azureml-infschema:1",
    "environment.conda_file=../../model-1/environment/conda.yaml",
    "code_configuration.code=../../model-1/onlinescoring",
)
CASES = {
    "V1 blue": ([ENDPOINT, f"{SAMPLE}/blue-deployment.yml"], {}, BLUE),
    "V1 green": ([ENDPOINT, f"{SAMPLE}/green-deployment.yml"], {}, GREEN),
    "V2": (
        [f"{SCHEMA}/deployment-numpy.yml", f"{SCHEMA}/model.yml", ENDPOINT],
        {"sets": ("model=azureml:azureml-infschema:1",), "endpoint": "schemed"},
        ["environments schemed-infsrv-numpy", "deployments infsrv-numpy",
         "models azureml-infschema", "endpoints schemed"],
    ),
    "V3": (
        [f"{BINARY}/binary-payloads-deployment.yml", ENDPOINT],
        {"endpoint": "binary",
         "sets": ("code_configuration.scoring_script=multi-file-to-json-score.py",)},
        ["models binary-binary-payload", "environments binary-binary-payload",
         "deployments binary-payload", "endpoints binary"],
    ),
    "V4": (
        [f"{NCD}/create-endpoint.yaml", f"{NCD}/sklearn-deployment.yaml"],
        {},
        ["endpoints my-endpoint", "models mir-sample-sklearn-ncd-model",
         "deployments sklearn-deployment"],
    ),
    "ncd with script": (
        [f"{NCD}/create-endpoint.yaml", f"{NCD}/sklearn-deployment-with-script.yaml"],
        {},
        ["endpoints my-endpoint", "models mir-sample-sklearn-mlflow-model",
         "environments my-endpoint-sklearn-deployment-script",
         "deployments sklearn-deployment-script"],
    ),
    "V6 conda": (
        [f"{IN_CONDA}-endpoint.yml", f"{IN_CONDA}-deployment.yml"], FILLED,
        ["endpoints mine", "models minimal-cc-model", "environments mine-conda-in-dockerfile",
         "deployments conda-in-dockerfile"],
    ),
    "V6 pip": (
        [f"{CUSTOM}/minimal-single-model-endpoint.yml", f"{IN_PIP}-deployment.yml"], FILLED,
        ["endpoints mine", "models minimal-cc-model", "environments mine-pip-in-dockerfile",
         "deployments pip-in-dockerfile"],
    ),
    **{
        f"V9 {name.rpartition('/')[2]}": (
            [name, ENDPOINT, f"{SCHEMA}/model.yml"], {"endpoint": "collects", "sets": HERE},
            ["environments collects-blue", "deployments blue", "endpoints collects",
             "models azureml-infschema"],
        )
        for name in COLLECTING
    },
    "V10": (
        [f"{FOUNDATION}/deploy.yml", ENDPOINT, f"{SCHEMA}/model.yml"],
        {"endpoint": "founded", "sets": (
            "model=azureml:azureml-infschema@latest",
            "environment.conda_file=../../../../endpoints/online/model-1/environment/conda.yaml",
            "code_configuration.code=../../../../endpoints/online/model-1/onlinescoring",
            "code_configuration.scoring_script=score.py",
        )},
        ["environments founded-demo", "deployments demo", "endpoints founded",
         "models azureml-infschema"],
    ),
}  # fmt: skip
"""Files with what their case gives, and what is declared then."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    text = "def init():\n    pass\n\n\ndef run(raw):\n    return raw\n"
    return copied(tmp_path_factory.mktemp("examples"), dict.fromkeys(SCRIPTS, text))


def declared(folder, files, options) -> list[str]:
    value = load_azure([folder / one for one in files], Overrides(**options)).azure.value
    return [
        f"{listing} {one['name']}"
        for listing, items in value.items()
        if listing != "name"
        for one in items
    ]


def test_every_yaml_file_stands_in_a_table():
    named = {one for files, _, _ in CASES.values() for one in files}
    assert set(yaml_files()) == REFUSED.keys() | READ.keys() | named


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_lacks_something_is_refused_for_all_that_it_lacks(examples, name):
    with pytest.raises(SpecError) as refused:
        load_azure([examples / name], Overrides())
    told = [f"{one.path}: {one.reason}; {one.remedy}".removeprefix(": ")
            for one in refused.value.faults]  # fmt: skip
    assert [
        one for one, wanted in zip(told, REFUSED[name], strict=False) if not one.startswith(wanted)
    ] == []
    assert len(told) == len(REFUSED[name]), told


@pytest.mark.parametrize("name", READ)
def test_a_file_that_says_all_is_read(examples, name):
    assert declared(examples, [name], {}) == READ[name]


@pytest.mark.parametrize("case", CASES)
def test_with_what_its_case_gives_a_file_is_read(examples, case):
    files, options, resources = CASES[case]
    assert declared(examples, files, options) == resources


INS_AND_OUTS = {"model_inputs": {"enabled": True}, "model_outputs": {"enabled": True}}
PAYLOAD = {"request": {"enabled": True}, "response": {"enabled": True}}


@pytest.mark.parametrize(
    ("name", "collector"),
    [
        (CUSTOM_BLOB, {"collections": INS_AND_OUTS}),
        (f"{COLLECTS}-custom1.YAML", {"collections": INS_AND_OUTS}),
        (
            f"{COLLECTS}-custom2.YAML",
            {"rolling_rate": "hour", "sampling_rate": 1.0, "collections": PAYLOAD | INS_AND_OUTS},
        ),
        (f"{COLLECTS}-payload1.YAML", {"collections": PAYLOAD}),
        (
            f"{COLLECTS}-payload2.YAML",
            {"rolling_rate": "hour", "sampling_rate": 1.0, "collections": PAYLOAD},
        ),
    ],
)
def test_collections_that_are_on_in_quotes_are_on(examples, name, collector):
    files = [examples / one for one in (name, ENDPOINT, f"{SCHEMA}/model.yml")]
    azure = load_azure(files, Overrides(endpoint="collects", sets=HERE)).azure
    [deployment] = azure.value["deployments"]
    assert deployment["data_collector"] == collector
    told = [one for one in azure.notes if "collected data is kept by the workspace" in one]
    assert len(told) == (2 if name == CUSTOM_BLOB else 0)
