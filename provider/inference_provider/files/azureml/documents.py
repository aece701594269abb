"""Paths that a person gives -> Azure ML documents, each with its kind and lines.

A document's kind is told by what it says; `$schema` decides only what that leaves open. A folder
stands for the YAML files in it that say something to serve; conda files and the like are left to
the documents that name them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference_provider.errors import Fault
from inference_provider.files.azureml.fields import KINDS
from inference_provider.files.lines import LineMap, read_document
from inference_provider.files.reading import STACK_FILE_MIB, Unreadable, read_text
from inference_provider.spec.kinds import LISTED

VARIABLE = re.compile(r"(?<!\$)\{\{\s*([A-Za-z_]\w*)\s*\}\}")
"""What scripts replace before Azure ML reads the file; a reference to a connection is none."""

_SUFFIXES = (".yml", ".yaml")
_SCHEMAS = {
    "managedonlineendpoint": "online_endpoint",
    "kubernetesonlineendpoint": "kubernetes_endpoint",
    "managedonlinedeployment": "online_deployment",
    "kubernetesonlinedeployment": "kubernetes_deployment",
    "batchendpoint": "batch_endpoint",
    "batchdeployment": "batch_deployment",
    "modelbatchdeployment": "batch_deployment",
    "pipelinecomponentbatchdeployment": "batch_deployment",
    "modelpackage": "package",
    "modelversionpackage": "package",
    "environment": "environment",
    "model": "model",
}
_BATCH = frozenset(
    {
        "settings", "component", "job_definition", "mini_batch_size", "error_threshold",
        "output_action", "output_file_name", "retry_settings", "max_concurrency_per_instance",
    }
)  # fmt: skip
_DEPLOYS = frozenset(
    {
        "endpoint_name", "code_configuration", "instance_type", "instance_count",
        "request_settings", "data_collector", "scale_settings", "liveness_probe",
        "readiness_probe", "environment_variables",
    }
)  # fmt: skip
_FRONT = frozenset({"auth_mode", "traffic", "mirror_traffic", "public_network_access"})


@dataclass
class AzureDocument:
    """One document of a file."""

    file: Path
    shown: str
    """The file as a person knows it."""
    kind: str
    """A key of `KINDS`."""
    value: dict[str, Any]
    lines: LineMap
    from_options: set[str] = field(default_factory=set)
    """Paths whose value comes from the command line."""

    def fault(self, path: str, reason: str, remedy: str = "") -> Fault:
        """Return a fault at a path of the document."""
        if any(path == one or path.startswith(f"{one}.") for one in self.from_options):
            return Fault(f"{path} (from the command line)", reason, remedy, file=self.shown)
        return Fault(path, reason, remedy, self.lines.line(path), self.shown)


def kind_of(value: Any) -> str | None:
    """Return which kind of Azure ML document a value is; None if it is none that is known."""
    if not isinstance(value, Mapping) or any(_is_listing(value, key) for key in LISTED):
        return None
    if "model_id" in value:
        return "serverless_endpoint"
    if value.keys() & {"target_environment", "inferencing_server"}:
        return "package"
    return _deployed(value)


def _deployed(value: Mapping[str, Any]) -> str | None:
    keys, schema = value.keys(), _schema_of(value)
    if schema is None and "$schema" in keys and not keys & {"endpoint_name", "auth_mode"}:
        return None  # a job, a component, a data asset
    if keys & _BATCH or (value.get("type") in ("model", "pipeline") and "endpoint_name" in keys):
        return "batch_deployment"
    if keys & _DEPLOYS or ("model" in keys and "environment" in keys):
        return "kubernetes_deployment" if value.get("type") == "kubernetes" else "online_deployment"
    if keys & _FRONT:
        if schema == "batch_endpoint":
            return schema
        return "kubernetes_endpoint" if "compute" in keys else "online_endpoint"
    return schema or _asset(value)


def _asset(value: Mapping[str, Any]) -> str | None:
    keys = value.keys()
    if keys & {"image", "conda_file", "build", "inference_config"}:
        return "environment"
    types = ("custom_model", "mlflow_model", "triton_model", None)
    return "model" if {"name", "path"} <= keys and value.get("type") in types else None


def _is_listing(value: Mapping[str, Any], key: str) -> bool:
    return key in value and not (key == "traffic" and isinstance(value[key], Mapping))


def _schema_of(value: Mapping[str, Any]) -> str | None:
    name = str(value.get("$schema", "")).rpartition("/")[2].partition(".")[0].lower()
    return _SCHEMAS.get(name)


def is_azure(file: Path) -> bool:
    """Whether a file is Azure ML YAML rather than a stack file; False where it cannot be read."""
    try:
        text = read_text(file, file.name, STACK_FILE_MIB)
    except Unreadable:
        return False
    # The lists of a stack file stand at the start of a line: that is quicker than to parse it.
    listings = "|".join(key for key in LISTED if key != "traffic")
    if re.search(rf"^({listings})\s*:", text, re.MULTILINE):
        return False
    return kind_of(read_document(VARIABLE.sub("variable", text)).value) is not None


def in_folder(folder: Path) -> tuple[Path, ...]:
    """Return the Azure ML documents that lie in a folder, by name; those of its folders are not."""
    names = sorted(one for one in folder.iterdir() if one.suffix.lower() in _SUFFIXES)
    return tuple(one for one in names if one.is_file() and is_azure(one))


def read_documents(
    paths: Iterable[Path], variables: Mapping[str, str]
) -> tuple[list[AzureDocument], list[Fault]]:
    """Read files and folders; every fault of every file at once."""
    documents: list[AzureDocument] = []
    faults: list[Fault] = []
    seen: set[Path] = set()
    for path in paths:
        found = in_folder(path) if path.is_dir() else (path,)
        if not found:
            reason = "no Azure ML YAML in this folder"
            faults.append(Fault(str(path), reason, "name the files, or a folder that has them"))
        for file in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                _read(file, variables, documents, faults)
    return documents, faults


def _read(
    file: Path, variables: Mapping[str, str], documents: list[AzureDocument], faults: list[Fault]
) -> None:
    shown = str(file)
    try:
        text = read_text(file, file.name, STACK_FILE_MIB)
    except Unreadable as exc:
        remedy = exc.remedy or "name an Azure ML YAML file, or a folder of them"
        faults.append(Fault("", exc.reason, remedy, exc.line, shown))
        return
    text, missing = _filled(text, variables, shown)
    faults += missing
    document = read_document(text)
    if not missing:
        faults += [
            Fault(one.path, one.reason, one.remedy, one.line, shown) for one in document.faults
        ]
    kind = kind_of(document.value)
    if kind is not None:
        documents.append(AzureDocument(file, shown, kind, document.value, document.lines))
    elif isinstance(document.value, dict) and any(_is_listing(document.value, k) for k in LISTED):
        remedy = "pass a stack file alone, without Azure ML YAML"
        faults.append(Fault("", "it is a stack file", remedy, None, shown))
    elif not document.faults:
        known = ", ".join(one.word for one in KINDS.values())
        faults.append(
            Fault("", "not a document that can be served", f"known: {known}", None, shown)
        )


def _filled(text: str, variables: Mapping[str, str], shown: str) -> tuple[str, list[Fault]]:
    """Put variables in; each that has no value is a fault, and stands as a word meanwhile."""
    faults: list[Fault] = []
    told: set[str] = set()

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables and name not in told:
            told.add(name)
            line = text.count("\n", 0, match.start()) + 1
            reason, remedy = f"{{{{{name}}}}} has no value", f"add --var {name}=VALUE"
            faults.append(Fault("", reason, remedy, line, shown))
        return variables.get(name, "variable")

    return VARIABLE.sub(value, text), faults
