"""Scores an MLflow model that has no scoring script of its own, as Azure ML does without code.

Goes in: a POST with `{"input_data": …}`, `params` beside it or not. Comes out: what the model
predicts, as bare JSON. What a caller got wrong is 400 with a sentence; a model that fails is 500.

azureml-inference-server-http runs it in the model's own environment: it imports nothing of this
package, stays within Python 3.7, and of MLflow 1.27 to 3 uses only `pyfunc.load_model`. The files
beside it are its own; all of them are part of what a deployment runs.
"""

from __future__ import annotations

import atexit
import inspect
import json
import logging
import os
import shutil
import tempfile
import traceback
from typing import Any

import mlflow_input
import mlflow_output
import mlflow_swagger
from mlflow_input import BadRequest, Signature, Table

try:
    from azureml_inference_server_http.api.aml_request import rawhttp
    from azureml_inference_server_http.api.aml_response import AMLResponse
except ImportError:  # its parts are tested where there is no server

    def rawhttp(run: Any) -> Any:
        """Leave it as it is."""
        return run


logger = logging.getLogger("azmlinfsrv.mlflow")
_DTYPES = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
}  # fmt: skip
"""What pandas keeps a column as, by its type; `object` for any other."""
_MLFLOWS_CHECKS = ("_enforce_schema", "_enforce_params_schema", "_validate_params")
"""Functions in which MLflow refuses what does not fit the signature."""
_JSON = {"Content-Type": "application/json"}
_loaded: dict[str, Any] = {}


def model_folder(root: str) -> str:
    """Return the folder with the MLmodel file, in AZUREML_MODEL_DIR."""
    level = [root]
    for _ in range(3):
        found = [one for one in level if os.path.isfile(os.path.join(one, "MLmodel"))]
        if len(found) == 1:
            return found[0]
        level = [entry.path for one in level for entry in os.scandir(one) if entry.is_dir()]
    raise RuntimeError(f"no folder, or several, with an MLmodel file in {root}")


def init() -> None:
    # a closed network would have each start wait for an answer
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # MLflow makes a store of runs, in the folder of the code where nothing else is said
    if "MLFLOW_TRACKING_URI" not in os.environ:
        runs = tempfile.mkdtemp(prefix="mlflow-")
        atexit.register(shutil.rmtree, runs, ignore_errors=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"file://{runs}"
    try:
        from mlflow import pyfunc  # noqa: PLC0415 - takes seconds; the tests have none
    except ModuleNotFoundError as exc:
        if exc.name != "mlflow":
            raise
        reason = "the environment has no mlflow, which serves a model without code"
        raise RuntimeError(f"{reason}; add mlflow to its dependencies") from None
    # MLflow 3 refuses a model that it reaches through a link
    root = os.path.realpath(os.environ["AZUREML_MODEL_DIR"])
    folder = os.path.realpath(model_folder(root))
    model = pyfunc.load_model(folder)
    metadata = getattr(model, "metadata", None)
    asked = getattr(metadata, "get_input_schema", lambda: None)()
    returned = getattr(metadata, "get_output_schema", lambda: None)()
    _loaded.update(model=model, signature=mlflow_input.signature_of(asked))
    _describe(_loaded["signature"], mlflow_input.signature_of(returned))
    logger.info("Loaded the MLflow model in %s", folder)


def _describe(asked: Signature | None, returned: Signature | None) -> None:
    """Say what `/swagger.json` shall say, as decorators of inference-schema do."""
    try:
        from inference_schema import schema_util  # noqa: PLC0415 - comes with the server
    except ImportError:
        return
    known = getattr(schema_util, "__functions_schema__", None)
    if isinstance(known, dict):
        known[f"{run.__module__}.{run.__name__}"] = {
            "input_schema": mlflow_swagger.input_schema(asked),
            "output_schema": mlflow_swagger.output_schema(returned),
        }


@rawhttp  # type: ignore[untyped-decorator, unused-ignore]
def run(request: Any) -> Any:
    """Answer one request."""
    if request.method != "POST":
        return _told(405, "send a POST with the input in its body")
    try:
        asked, params = mlflow_input.asked_of(request.get_data())
        given = _given(asked, _loaded["signature"])
        result = _predicted(given, params)
    except BadRequest as refused:
        return _told(400, str(refused))
    return AMLResponse(mlflow_output.answer_of(result), 200, _JSON)


def _told(status: int, message: str) -> Any:
    return AMLResponse(json.dumps({"message": message}), status, _JSON)


def _predicted(given: Any, params: dict[str, Any] | None) -> Any:
    predict = _loaded["model"].predict
    more = {} if params is None else {"params": params}
    if more and "params" not in inspect.signature(predict).parameters:
        raise BadRequest('"params" is not known to the MLflow that serves this model')
    try:
        return predict(given, **more)
    except Exception as exc:
        frames = traceback.extract_tb(exc.__traceback__)
        if any(frame.name in _MLFLOWS_CHECKS for frame in frames):
            raise BadRequest(str(exc).splitlines()[0]) from None
        raise


def _given(asked: Any, signature: Signature | None) -> Any:
    """Return what the model gets."""
    if signature is not None and signature.of_tensors:
        return _tensors(asked, signature)
    table = mlflow_input.table_of(asked)
    if signature is None:
        return _unsigned(asked, table)
    if table is None and isinstance(asked, dict):
        return _by_column(asked, signature)
    if table is None and isinstance(asked, list):
        table = Table(None, [[one] for one in asked])
    if table is None:
        raise BadRequest('"input_data" is neither a table nor a list')
    return _frame(table, signature)


def _by_column(asked: dict[str, Any], signature: Signature) -> Any:
    if any(column.type not in mlflow_input.SIMPLE for column in signature.columns):
        return asked  # MLflow checks it
    mlflow_input.refuse_missing("column", asked, signature)
    names = [str(name) for name in asked]
    columns = [one if isinstance(one, list) else [one] for one in asked.values()]
    if len({len(one) for one in columns}) > 1:
        raise BadRequest("the columns are not all of the same length")
    return _frame(Table(names, [list(row) for row in zip(*columns)]), signature)  # noqa: B905 - Python 3.7


def _frame(table: Table, signature: Signature) -> Any:
    import pandas as pd  # noqa: PLC0415 - comes with MLflow

    columns = mlflow_input.cast(table, signature)
    series = []
    for place, (column, values) in enumerate(columns):
        found = pd.Series(values, dtype=_DTYPES.get(column.type, "object"), index=table.labels)
        if column.type == "datetime":
            found = _moments(found, place, column, values)
        series.append(found.rename(place if column.name is None else column.name))
    return pd.concat(series, axis=1)


def _moments(found: Any, place: int, column: Any, values: list[Any]) -> Any:
    import pandas as pd  # noqa: PLC0415 - comes with MLflow

    read = pd.to_datetime(found, errors="coerce", utc=True).dt.tz_localize(None)
    for row, value in enumerate(values):
        if value is not None and read.iloc[row] is pd.NaT:
            raise mlflow_input.misfit(column, place, row, value)
    return read.astype("datetime64[ns]")


def _unsigned(asked: Any, table: Table | None) -> Any:
    """Return what a model without a signature gets: nothing tells what it asks for."""
    import numpy as np  # noqa: PLC0415 - comes with MLflow

    if table is not None and (table.names is not None or isinstance(asked, dict)):
        import pandas as pd  # noqa: PLC0415 - comes with MLflow

        return pd.DataFrame(table.rows, columns=table.names, index=table.labels)

    def numbers(value: Any) -> Any:
        try:
            array = np.asarray(value) if isinstance(value, list) else None
        except ValueError:  # of several lengths
            return value
        return value if array is None or array.dtype.kind not in "biuf" else array

    if isinstance(asked, dict):
        return {name: numbers(one) for name, one in asked.items()}
    return numbers(asked)


def _tensors(asked: Any, signature: Signature) -> Any:
    names = signature.names
    if isinstance(asked, dict) and names and not set(names).isdisjoint(asked):
        mlflow_input.refuse_missing("tensor", asked, signature)
        return {c.name: _tensor(asked[c.name], c) for c in signature.columns if c.name in asked}
    table = mlflow_input.table_of(asked)
    values = table.rows if table is not None else asked
    if not isinstance(values, list) or len(signature.columns) > 1:
        mlflow_input.refuse_missing("tensor", (), signature)
        raise BadRequest('"input_data" is not a list of numbers')
    [column] = signature.columns
    tensor = _tensor(values, column)
    return tensor if column.name is None else {column.name: tensor}


def _tensor(values: Any, column: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - comes with MLflow

    name = "the tensor" if column.name is None else f"tensor {column.name!r}"
    try:
        wanted, array = np.dtype(column.type), np.asarray(values)
        found = array.astype(wanted)
    except (TypeError, ValueError):
        raise BadRequest(f"{name} has values that are not of type {column.type}") from None
    if wanted.kind in "iu" and array.dtype.kind == "f" and not np.array_equal(found, array):
        raise BadRequest(f"{name} has values that are not of type {column.type}")
    shape = column.shape
    fits = len(found.shape) == len(shape) and all(
        asked in (-1, there)
        for asked, there in zip(shape, found.shape)  # noqa: B905 - Python 3.7
    )
    if not fits:
        raise BadRequest(f"{name} is of shape {found.shape}; the model asks for {shape}")
    return found
