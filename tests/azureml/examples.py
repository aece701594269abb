"""The data files of Azure/azureml-examples that tests read; no part of this project.

`INFERENCE_TEST_AZUREML` names the folder that has their `cli/`; without it, `shared/azureml` beside
the checkout is taken where it is there.
"""

import os
import shutil
from collections.abc import Mapping
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


def copied(folder: Path, scripts: Mapping[str, str]) -> Path:
    """Copy the files into a folder of the test, with scoring scripts by their path in `ONLINE`."""
    shutil.copytree(EXAMPLES / "cli", folder / "cli", copy_function=shutil.copyfile)
    for directory in (folder, *folder.rglob("*")):
        if directory.is_dir():
            directory.chmod(0o755)  # what they are copied from may be read-only
    for name, text in scripts.items():
        script = folder / ONLINE / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(text)
    return folder
