"""Scores iris flowers: `init` once in every instance, `run` for every request."""

import json
import os
from pathlib import Path

import joblib

model = None
model_name = ""
SPECIES = ("setosa", "versicolor", "virginica")


def init():
    global model, model_name  # noqa: PLW0603  the scoring contract has no other place for state
    folder = next(Path(os.environ["AZUREML_MODEL_DIR"]).iterdir())
    model = joblib.load(folder / "model.joblib")
    model_name = folder.name


def run(raw_data):
    rows = json.loads(raw_data)["data"]
    return {"species": [SPECIES[i] for i in model.predict(rows)], "model": model_name}
