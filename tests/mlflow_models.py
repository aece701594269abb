"""Small models of MLflow, written by hand: tests need neither MLflow nor weights."""

import json
from pathlib import Path

CONDA = "dependencies: [{pip: [mlflow-skinny==3.4.0, numpy==2.3.1, pandas==2.3.0]}]\n"
_MLMODEL = """\
flavors:
  python_function: {env: conda.yaml, loader_module: NAME_model, code: code, data: data}
mlflow_version: 3.4.0
"""


def write_model(folder: Path, name: str, loader: str, inputs: object = None) -> None:
    """Write a model.

    Args:
        folder: Where its folder is made.
        name: That of its folder.
        loader: Python with `_load_pyfunc(path)`, which returns what has `predict(given)`.
        inputs: What its signature asks for, as an MLmodel file has it; None for no signature.
    """
    signature = f"signature: {{inputs: '{json.dumps(inputs)}'}}\n" if inputs else ""
    files = {
        "MLmodel": _MLMODEL.replace("NAME", name) + signature,
        "conda.yaml": CONDA,
        f"code/{name}_model.py": loader,
        "data": "",
    }
    for file, text in files.items():
        (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_text(text)
