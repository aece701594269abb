"""Each conda file of Azure's examples, as it is, becomes a Python and requirements of pip."""

import pytest
import yaml

from inference_provider.files import SourceFolder, with_content_hash
from inference_provider.serving.server import requirements
from inference_provider.spec import EnvironmentSpec
from tests.azureml.examples import EXAMPLES, ONLINE, needs_examples, yaml_files

pytestmark = needs_examples
SERVER = "azureml-inference-server-http"
OURS = f"{SERVER}==1.5.1"
OF_MODEL = ("numpy==2.3.1.*", "scikit-learn==1.7.0.*", "scipy==1.16.0.*")
PINNED = (f"{SERVER}==1.4.1", "inference-schema[numpy-support]", "joblib")
MLFLOW = ("mlflow", "scikit-learn==1.7.0", "cloudpickle==3.1.1", "psutil==7.0.0")
HEART = "cli/endpoints/batch/deploy-models/heart-classifier-mlflow/deployment-simple"

FILES = {
    f"{HEART}/model/conda.yaml": (
        "3.8",
        ("mlflow", "cloudpickle==1.6.0", "scikit-learn==1.1.2", "xgboost==1.3.3", "numpy<2",
         f"{SERVER}==1.3.4"),
    ),
    f"{ONLINE}/managed/binary-payloads/env.yml": ("3.12", ("pillow~=11.2.1", SERVER, OURS)),
    f"{ONLINE}/managed/inference-schema/env.yml": (
        "3.10",
        ("scikit-learn==1.2.2.*", "numpy", "pandas", "joblib", SERVER, "inference-schema",
         "numpy<2", OURS),
    ),
    f"{ONLINE}/model-1/environment/conda-managedidentity.yaml": (
        "3.12",
        (*OF_MODEL, SERVER, "joblib==1.5.1", "azure-storage-blob==12.25.1",
         "azure-identity==1.23.0", OURS),
    ),
    f"{ONLINE}/model-1/environment/conda.yaml": ("3.12", (*OF_MODEL, *PINNED)),
    f"{ONLINE}/model-2/environment/conda.yaml": ("3.12", (*OF_MODEL, *PINNED)),
    f"{ONLINE}/ncd/sklearn-diabetes/environment/conda.yaml": (
        "3.12", (*MLFLOW, "pandas==2.3.0", SERVER, OURS),
    ),
    f"{ONLINE}/ncd/sklearn-diabetes/model/conda.yaml": (
        "3.12", (*MLFLOW, "numpy==2.3.1", SERVER, "azureml-ai-monitoring", OURS),
    ),
}  # fmt: skip


def is_conda(name: str) -> bool:
    text = (EXAMPLES / name).read_text()
    return "dependencies:" in text and isinstance(yaml.safe_load(text), dict)


def test_every_conda_file_stands_in_the_table():
    assert [one for one in yaml_files() if is_conda(one)] == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_conda_file_as_it_is_says_python_and_what_is_installed(name):
    file = EXAMPLES / name
    spec = EnvironmentSpec(name="env", conda_file=file.name)
    found = with_content_hash(spec, SourceFolder(file.parent))
    assert (found.python_version, requirements(found)) == FILES[name]
