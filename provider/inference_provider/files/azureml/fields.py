"""The one table of fields of Azure ML's documents: what each is mapped to, or why it is refused.

`checks.py` holds documents against it, `mapping.py` reads the fields that it names, and the tables
of docs/azureml.md are held against it by a test.

Source: azure-ai-ml 1.35.2, and the files of Azure/azureml-examples.
"""

from collections.abc import Mapping
from typing import NamedTuple

TEXT, WHOLE, NUMBER, FLAG, MAP, TEXTS, ANY = (
    "text", "a whole number", "a number", "true or false", "a mapping", "a list", "any",
)  # fmt: skip


class Field(NamedTuple):
    """One field of a document; `*` in a path stands for any key, `[]` for any item of a list."""

    path: str
    values: str | tuple[str, ...]
    """What its value is; a tuple are the words that it may be."""
    to: str = ""
    """What it becomes; empty where it is refused."""
    refused: str = ""
    required: bool = False


def _no(path: str, values: str | tuple[str, ...], why: str) -> Field:
    return Field(path, values, refused=why)


def _under(prefix: str, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(
        one._replace(path=f"{prefix}.{one.path}", required=False)
        for one in fields
        if one.path != "$schema"
    )


_REPORTED = "Azure ML reports it and nobody sets it; remove it"
_OF_ARM = "an id of Azure Resource Manager has no meaning here; remove it"
_ENABLED = ("enabled", "disabled")
_SCHEMA = Field("$schema", TEXT, "nothing: it is for editors")
_NAME = Field("name", TEXT, "`name`, in small letters", required=True)
_TAGS = Field("tags.*", ANY, "`tags`, as text")
_DESCRIPTION = Field("description", TEXT, "`description`")

_READ_ONLY = (
    _no("id", TEXT, _OF_ARM),
    _no("provisioning_state", TEXT, _REPORTED),
)
_URIS = (_no("scoring_uri", TEXT, _REPORTED), _no("openapi_uri", TEXT, _REPORTED))

ONLINE_ENDPOINT = (
    _SCHEMA,
    _NAME,
    Field("auth_mode", ("key", "aml_token", "aad_token"), "`auth_mode`"),
    _DESCRIPTION,
    _TAGS,
    Field("identity.type", ("system_assigned",), "nothing: each endpoint has one of its own"),
    _no(
        "identity.user_assigned_identities.[].resource_id",
        TEXT,
        "an identity of Azure cannot be used here; declare `identities` in a stack file",
    ),
    _no("identity.principal_id", TEXT, _REPORTED),
    _no("identity.tenant_id", TEXT, _REPORTED),
    Field(
        "public_network_access",
        _ENABLED,
        "`public_network_access`; `disabled`: this machine alone may call, refused elsewhere",
    ),
    Field("traffic.*", WHOLE, "`traffic` of a Traffic of its own"),
    Field("mirror_traffic.*", WHOLE, "`mirror_traffic` of that Traffic"),
    Field(
        "properties.enforce_access_to_default_secret_stores",
        _ENABLED,
        "`properties.enforce_access_to_default_secret_stores`",
    ),
    _no("properties.*", ANY, "this property has no counterpart here; remove it"),
    _no("location", TEXT, "a region of Azure has no counterpart here; remove it"),
    *_READ_ONLY,
    *_URIS,
)

_ASSET_NAME = Field("name", TEXT, "`name`", required=True)
MODEL = (
    _SCHEMA,
    _ASSET_NAME,
    Field("version", TEXT, "`version`; `1` when left out"),
    Field("path", TEXT, "`path`", required=True),
    Field("type", ("custom_model", "mlflow_model", "triton_model"), "`type`"),
    _DESCRIPTION,
    _TAGS,
    _no("properties.*", ANY, "properties of a model are not kept; write them as tags"),
    _no("flavors.*", ANY, "the MLmodel file of the model says its flavors; remove it"),
    _no("stage", TEXT, "a model has no stage here; write it as a tag"),
    _no("datastore", TEXT, "datastores are not supported; name a local folder in path"),
    _no("id", TEXT, _OF_ARM),
)

_ROUTES = tuple(
    Field(f"inference_config.{route}_route.{part}", values, f"`inference_config.{route}_route`")
    for route in ("liveness", "readiness", "scoring")
    for part, values in (("path", TEXT), ("port", WHOLE))
)
ENVIRONMENT = (
    _SCHEMA,
    _ASSET_NAME,
    Field("version", TEXT, "`version`; `1` when left out"),
    Field(
        "image",
        TEXT,
        "`image`; on this machine left out, and said so, where a conda file is installed on it",
    ),
    Field("conda_file", ANY, "`conda_file`, a path or its content"),
    Field("build.path", TEXT, "`build.path`"),
    Field("build.dockerfile_path", TEXT, "`build.dockerfile_path`"),
    *_ROUTES,
    _DESCRIPTION,
    _TAGS,
    Field("os_type", ("linux",), "nothing: all instances run on Linux"),
    _no("datastore", TEXT, "datastores are not supported; name a local folder in build.path"),
    _no("id", TEXT, _OF_ARM),
)


def _probe(name: str) -> tuple[Field, ...]:
    parts = ("initial_delay", "period", "timeout", "success_threshold", "failure_threshold")
    return tuple(Field(f"{name}.{part}", WHOLE, f"`{name}.{part}`") for part in parts)


_ASSET = "a reference to an asset, or the asset"
_DROPPED = ("environment.name", "environment.version")
_DEPLOYED = (
    _SCHEMA,
    _NAME,
    Field("endpoint_name", TEXT, "`endpoint`, in small letters", required=True),
    _DESCRIPTION,
    _TAGS,
    Field("model", ANY, f"`model`: {_ASSET}"),
    *_under("model", MODEL),
    Field("environment", ANY, f"`environment`: {_ASSET}"),
    *(
        one._replace(to="nothing: Azure ML drops it too") if one.path in _DROPPED else one
        for one in _under("environment", ENVIRONMENT)
    ),
    Field("code_configuration.code", TEXT, "`code_configuration.code`"),
    Field("code_configuration.scoring_script", TEXT, "`code_configuration.scoring_script`"),
    Field("environment_variables.*", ANY, "`environment_variables`, as text"),
)

ONLINE_DEPLOYMENT = (
    *_DEPLOYED,
    Field("type", TEXT, "nothing: `kubernetes` makes it one of Kubernetes"),
    _no(
        "model_mount_path",
        TEXT,
        "a model cannot be mounted at a path of yours; read it from $AZUREML_MODEL_DIR",
    ),
    Field("instance_type", TEXT, "`instance_type`; on this machine left out, and said so"),
    Field("instance_count", WHOLE, "`instance_count`"),
    Field("request_settings.request_timeout_ms", WHOLE, "`request_settings.request_timeout_ms`"),
    Field("request_settings.max_queue_wait_ms", WHOLE, "`request_settings.max_queue_wait_ms`"),
    Field(
        "request_settings.max_concurrent_requests_per_instance",
        WHOLE,
        "`request_settings.max_concurrent_requests_per_instance`",
    ),
    *_probe("liveness_probe"),
    *_probe("readiness_probe"),
    Field("data_collector.collections.*.enabled", FLAG, "`data_collector.collections`"),
    Field(
        "data_collector.collections.*.data.*",
        ANY,
        "nothing: collected data is kept by the workspace; said so",
    ),
    _no("data_collector.collections.*.client_id", TEXT, "remove it: nothing uploads to Azure"),
    Field("data_collector.rolling_rate", TEXT, "`data_collector.rolling_rate`"),
    Field("data_collector.sampling_rate", NUMBER, "`data_collector.sampling_rate`"),
    _no(
        "data_collector.request_logging.capture_headers",
        TEXTS,
        "headers are not collected; remove it",
    ),
    *(
        Field(f"resources.{which}.{what}", TEXT, f"`resources.{which}.{ours}`")
        for which in ("requests", "limits")
        for what, ours in (("cpu", "cpu"), ("memory", "memory"), ("nvidia.com/gpu", "gpu"))
    ),
    Field("scale_settings.type", ("default",), "nothing: `instance_count` is the count"),
    *(
        _no(f"scale_settings.{part}", WHOLE, "declare `autoscale_rules` in a stack file")
        for part in (
            "min_instances", "max_instances", "polling_interval", "target_utilization_percentage",
        )
    ),
    Field("app_insights_enabled", FLAG, "`app_insights_enabled`"),
    Field("egress_public_network_access", _ENABLED, "`egress_public_network_access`"),
    _no("private_network_connection", ANY, "remove it: use egress_public_network_access"),
    _no("properties.*", ANY, "this property has no counterpart here; remove it"),
    *_READ_ONLY,
)  # fmt: skip

_COMPUTE = Field("compute", TEXT, "the cluster")
KUBERNETES_ENDPOINT = (*ONLINE_ENDPOINT, _COMPUTE)
KUBERNETES_DEPLOYMENT = tuple(
    one
    if not one.path.startswith("scale_settings.")
    else Field(
        one.path,
        ("default", "target_utilization") if one.path.endswith(".type") else WHOLE,
        "an autoscale rule",
    )
    for one in ONLINE_DEPLOYMENT
)
BATCH_ENDPOINT = (
    _SCHEMA,
    _NAME,
    _DESCRIPTION,
    Field("auth_mode", ("aad_token", "key"), "`auth_mode`"),
    _TAGS,
    Field("defaults.deployment_name", TEXT, "the default deployment"),
    *_READ_ONLY,
    *_URIS,
)
_BATCH_SETTINGS = (
    Field("mini_batch_size", WHOLE, "`mini_batch_size`"),
    Field("max_concurrency_per_instance", WHOLE, "`max_concurrency_per_instance`"),
    Field("error_threshold", WHOLE, "`error_threshold`"),
    Field("retry_settings.max_retries", WHOLE, "`retry_settings.max_retries`"),
    Field("retry_settings.timeout", WHOLE, "`retry_settings.timeout`"),
    Field("output_action", ("append_row", "summary_only"), "`output_action`"),
    Field("output_file_name", TEXT, "`output_file_name`"),
    Field("logging_level", ("warning", "info", "debug"), "`logging_level`"),
)
BATCH_DEPLOYMENT = (
    *_DEPLOYED,
    Field("type", ("model", "pipeline"), "model or pipeline"),
    _COMPUTE,
    Field("resources.instance_count", WHOLE, "`instance_count`"),
    Field("resources.instance_type", TEXT, "`instance_type`"),
    Field("instance_count", WHOLE, "`instance_count`"),
    Field("component", ANY, "a pipeline"),
    Field("job_definition", ANY, "a pipeline"),
    *_BATCH_SETTINGS,
    *_under("settings", _BATCH_SETTINGS),
    Field("settings.environment_variables.*", ANY, "`environment_variables`"),
    Field("settings.instance_count", WHOLE, "`instance_count`"),
    Field("settings.default_compute", TEXT, "the cluster of a pipeline"),
    Field("settings.continue_on_step_failure", FLAG, "a pipeline"),
    _no("properties.*", ANY, "this property has no counterpart here; remove it"),
    *_READ_ONLY,
)
SERVERLESS = (
    _SCHEMA,
    _NAME,
    Field("model_id", TEXT, "`model_id`", required=True),
    Field("auth_mode", ("key", "aad", "aad_token"), "`auth_mode`"),
    _DESCRIPTION,
    _TAGS,
    Field("properties.*", ANY, "nothing"),
)
PACKAGE = (
    _SCHEMA,
    Field("target_environment", ANY, "an environment", required=True),
    Field("inferencing_server.type", TEXT, "a server"),
    Field("inferencing_server.code_configuration.code", TEXT, "a server"),
    Field("inferencing_server.code_configuration.scoring_script", TEXT, "a server"),
    Field("base_environment_source.type", TEXT, "an environment"),
    Field("base_environment_source.resource_id", TEXT, "an environment"),
    Field("model_configuration.mode", TEXT, "a model"),
)


class DocumentKind(NamedTuple):
    """One kind of document."""

    word: str
    """As a person calls it."""
    fields: tuple[Field, ...]
    unserved: str = ""
    """Why none can be declared yet."""


KINDS: Mapping[str, DocumentKind] = {
    "online_endpoint": DocumentKind("managed online endpoint", ONLINE_ENDPOINT),
    "online_deployment": DocumentKind("managed online deployment", ONLINE_DEPLOYMENT),
    "model": DocumentKind("model", MODEL),
    "environment": DocumentKind("environment", ENVIRONMENT),
    "kubernetes_endpoint": DocumentKind(
        "Kubernetes online endpoint",
        KUBERNETES_ENDPOINT,
        "Kubernetes online endpoints are not supported yet in Azure ML YAML",
    ),
    "kubernetes_deployment": DocumentKind(
        "Kubernetes online deployment",
        KUBERNETES_DEPLOYMENT,
        "Kubernetes online deployments are not supported yet in Azure ML YAML",
    ),
    "batch_endpoint": DocumentKind(
        "batch endpoint", BATCH_ENDPOINT, "batch endpoints are not supported yet"
    ),
    "batch_deployment": DocumentKind(
        "batch deployment", BATCH_DEPLOYMENT, "batch deployments are not supported yet"
    ),
    "serverless_endpoint": DocumentKind(
        "serverless endpoint", SERVERLESS, "serverless endpoints are not supported yet"
    ),
    "package": DocumentKind("model package", PACKAGE, "model packages are not supported yet"),
}
