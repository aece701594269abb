"""The data files of Azure/azureml-examples that tests read; no part of this project.

`INFERENCE_TEST_AZUREML` names the folder that has their `cli/`; without it, `shared/azureml` beside
the checkout is taken where it is there.
"""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared" / "azureml"
EXAMPLES = Path(os.environ.get("INFERENCE_TEST_AZUREML") or BESIDE)
needs_examples = pytest.mark.skipif(
    not (EXAMPLES / "cli").is_dir(),
    reason="no files of Azure/azureml-examples: INFERENCE_TEST_AZUREML names no folder with cli/",
)
ONLINE = "cli/endpoints/online"


def yaml_files() -> list[str]:
    """Return every YAML file, from the folder on."""
    found = (one for one in EXAMPLES.rglob("*") if one.suffix.lower() in (".yml", ".yaml"))
    return sorted(one.relative_to(EXAMPLES).as_posix() for one in found)
