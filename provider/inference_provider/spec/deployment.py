"""Deployment: a model on compute behind one endpoint.

A union on `kind`, which is its endpoint's: online or batch. A serverless endpoint has none.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Tag, model_validator

from inference_provider.injection import is_reference, reference_fault
from inference_provider.spec.base import (
    CAPACITY,
    COMPUTED,
    COSMETIC,
    LOCAL_PATH,
    REPLACES,
    ROLLS,
    ROLLS_SECURITY,
    SECURITY,
    Enabled,
    Kind,
    ResourceName,
    SpecModel,
    Tags,
    argument_fault,
    kind_among,
    on_kind,
)
from inference_provider.spec.names import names, names_asset, names_connections
from inference_provider.spec.reference import AssetReference
from inference_provider.spec.resources import Resources
from inference_provider.spec.scheduling import Scheduling


def _no_null_byte(value: SecretStr) -> SecretStr:
    if "\0" in value.get_secret_value():
        raise ValueError("contains a null byte; no environment variable can hold one")
    return value


def _valid_variable_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("not a valid variable name; use no `=` and no null byte")
    return name


def _refers_to_a_connection(value: SecretStr) -> SecretStr:
    fault = reference_fault(value.get_secret_value())
    if fault:
        raise ValueError(fault)
    return value


def _can_be_injected(variables: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in variables.items():
        if not is_reference(value.get_secret_value()):
            continue
        if name in _TARGETS_OWN:
            raise ValueError(f"{name}: the target sets it; no reference can")
        if not name.isascii() or not name.isidentifier():
            raise ValueError(
                f"{name}: only a name of letters, digits and `_` gets its value by a reference"
            )
    return variables


def _fits_a_process(variables: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in variables.items():
        fault = argument_fault(f"{name}={value.get_secret_value()}")
        if fault:
            raise ValueError(f"{name} with its value: {fault}")
    return variables


def _no_surge(asked: object) -> object:
    if asked != 0 or isinstance(asked, bool):
        raise ValueError(
            "only 0 is known; leave it out, and the old instances serve until the new ones do"
        )
    return 0


VariableName = Annotated[str, AfterValidator(_valid_variable_name)]
VariableValue = Annotated[
    SecretStr, AfterValidator(_no_null_byte), AfterValidator(_refers_to_a_connection)
]
_TARGETS_OWN = frozenset({"PATH", "HOST", "PORT", "CUDA_VISIBLE_DEVICES"})


class CodeConfiguration(SpecModel):
    """A folder of Python and the script in it that has `init()` and `run()`."""

    code: Annotated[str, LOCAL_PATH]
    """Folder, relative to the stack file (in a program: to its folder)."""
    scoring_script: str | None = None
    """Path inside `code`, with `init()` and `run()`; required unless the environment brings a
    `command`."""
    stack_file: Annotated[str | None, LOCAL_PATH, COMPUTED] = None
    """Name of the stack file in `code`, which is not content; None when it lies elsewhere."""
    content_hash: Annotated[str, COMPUTED] = ""
    """sha256 over names, bytes and executable bits under `code`; never written by hand."""


class RequestSettings(SpecModel):
    """Limits of one request."""

    request_timeout_ms: Annotated[int, Field(ge=1, le=180_000)] = 5000
    """Total time of one request, milliseconds."""
    max_concurrent_requests_per_instance: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """The router admits 2 x this x instance_count at once and answers 429 beyond that."""
    max_queue_wait_ms: Annotated[int, Field(ge=1)] = 500
    """Longest wait in the server's queue, milliseconds (deprecated in Azure ML, kept for files)."""
    retry_on_503: bool = False
    """Send a request answered 503 again to another instance; for models safe to run twice."""


class Probe(SpecModel):
    """How often a route is asked and when its answer counts; times in seconds."""

    initial_delay: Annotated[int, Field(ge=0, le=86_400)] = 10
    """Time before a missing answer counts: a new instance has these seconds on top of the
    deployment's `start_timeout_s`. An answer before that is taken at once."""
    period: Annotated[int, Field(ge=1, le=86_400)] = 10
    timeout: Annotated[int, Field(ge=1, le=86_400)] = 2
    success_threshold: Annotated[int, Field(ge=1)] = 1
    failure_threshold: Annotated[int, Field(ge=1)] = 30


class CollectionSpec(SpecModel):
    """One stream of collected data."""

    enabled: bool = False


class DataCollector(SpecModel):
    """Which inputs and outputs are kept for monitoring."""

    collections: dict[str, CollectionSpec] = {}
    sampling_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    rolling_rate: Literal["minute", "hour", "day", "month", "year"] = "hour"
    """How often a new file is begun."""


class RetrySettings(SpecModel):
    """What becomes of a mini-batch that fails."""

    max_retries: Annotated[int, Field(ge=0)] = 3
    timeout: Annotated[int, Field(ge=1)] = 30
    """Longest time of one mini-batch, seconds."""


class DeploymentSpec(SpecModel):
    """An online deployment: instances of a model that answer requests."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    endpoint: Annotated[ResourceName, REPLACES, names(Kind.ENDPOINT)]
    name: Annotated[ResourceName, REPLACES]
    """Unique in its endpoint."""
    kind: Annotated[Literal["online"], kind_among("online", "batch"), REPLACES] = "online"
    """As its endpoint's; `batch` has other fields."""
    model: Annotated[AssetReference | None, ROLLS, names_asset(Kind.MODEL)] = None
    """A model of the workspace. A folder `path: model-a` lies at `$AZUREML_MODEL_DIR/model-a`, a
    file at `$AZUREML_MODEL_DIR/<file>`."""
    environment: Annotated[AssetReference, ROLLS, names_asset(Kind.ENVIRONMENT)]
    """In a stack file, one is made for a model of type `mlflow_model` where none is named."""
    code_configuration: Annotated[CodeConfiguration | None, ROLLS] = None
    """Required unless the environment brings its own server, or a stack file declares the model
    with type `mlflow_model`."""
    environment_variables: Annotated[
        dict[VariableName, VariableValue],
        AfterValidator(_fits_a_process),
        AfterValidator(_can_be_injected),
        ROLLS,
        names_connections(),
    ] = {}
    """Set in every instance, at most 128 KiB each, except `HOST` and `PORT`, which the target sets.
    Values are treated as secrets: never printed, compared by digest. Of a connection:
    `${{azureml://connections/NAME/credentials/KEY}}`, and so with `/metadata/KEY`, `/target`, or
    neither for all of it. Of an Azure Key Vault:
    `${{keyvault:https://VAULT.vault.azure.net/secrets/NAME}}`, with `/VERSION` or without."""
    instance_type: Annotated[str | None, ROLLS] = None
    """What an instance gets, by name: one of the workspace's `instance_types`, or a common size of
    Azure. Amounts in `resources` override it."""
    instance_count: Annotated[int, Field(ge=0, le=50), CAPACITY] = 1
    nodes_per_instance: Annotated[int, Field(ge=1, le=64), ROLLS] = 1
    """On a cluster: how many nodes one instance spans, for a model that fits on none. It is then as
    many pods, each with all that `resources` or the instance type say: a leader, which alone gets
    requests, and workers. All of them start the same, and are told their place by
    `LWS_WORKER_INDEX` (0 is the leader), `LWS_GROUP_SIZE` and `LWS_LEADER_ADDRESS`."""
    surge: Annotated[Annotated[Literal[0], BeforeValidator(_no_surge)] | None, CAPACITY] = None
    """`0` ends the old instances before a new generation starts, where there is no room for both,
    such as a full GPU; requests fail meanwhile unless another deployment gets them. New instances
    that do not start give way to the old ones again. One that is replaced by another of its own
    generation ends first too, as one that hangs or whose image's tag was moved, and does not come
    back. Left out, old ones serve until new ones do."""
    resources: Annotated[Resources, ROLLS] = Resources()
    scheduling: Annotated[Scheduling, ROLLS] = Scheduling()
    """On a cluster: where an instance runs, and as what."""
    request_settings: Annotated[RequestSettings, CAPACITY] = RequestSettings()
    liveness_probe: Annotated[Probe, CAPACITY] = Probe()
    """An instance whose liveness route fails `failure_threshold` times in a row is restarted."""
    readiness_probe: Annotated[Probe, CAPACITY] = Probe()
    data_collector: Annotated[DataCollector, SECURITY] = DataCollector()
    app_insights_enabled: Annotated[bool, CAPACITY] = False
    egress_public_network_access: Annotated[Enabled, ROLLS_SECURITY] = "enabled"
    """`disabled` closes the instances' way out, as the workspace's `egress` does for all."""
    start_timeout_s: Annotated[int, Field(ge=1, le=3600), COSMETIC] = 120
    """Longest wait for a new instance to answer its readiness route, seconds, after the probe's
    `initial_delay`."""
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}

    def liveness_note(self) -> str:
        """Say that one long request may pass for a hang; empty if it cannot."""
        probe = self.liveness_probe
        silent_s = probe.period * (probe.failure_threshold - 1)  # from the first failure on
        longest_s = self.request_settings.request_timeout_ms / 1000
        if silent_s > longest_s:
            return ""
        return (
            f"an instance that answers nothing for {silent_s} s is restarted, and a request may"
            f" take {longest_s:g} s: a server that does one at a time would be ended in the midst"
        )

    @model_validator(mode="after")
    def _chosen_gpus_are_for_one_instance(self) -> "DeploymentSpec":
        if self.resources.gpu_devices and self.instance_count > 1:
            raise ValueError(
                f"resources.gpu_devices are for one instance, and instance_count is"
                f" {self.instance_count}; write instance_count: 1, or limits: {{gpu: 1}} instead"
            )
        return self


class BatchDeploymentSpec(SpecModel):
    """A batch deployment: what a job runs; nothing runs between jobs."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    endpoint: Annotated[ResourceName, REPLACES, names(Kind.ENDPOINT)]
    name: Annotated[ResourceName, REPLACES]
    """Unique in its endpoint."""
    kind: Annotated[Literal["batch"], REPLACES]
    model: Annotated[AssetReference | None, ROLLS, names_asset(Kind.MODEL)] = None
    """A model of the workspace."""
    environment: Annotated[AssetReference, ROLLS, names_asset(Kind.ENVIRONMENT)]
    code_configuration: Annotated[CodeConfiguration | None, ROLLS] = None
    environment_variables: Annotated[
        dict[VariableName, VariableValue],
        AfterValidator(_fits_a_process),
        AfterValidator(_can_be_injected),
        ROLLS,
        names_connections(),
    ] = {}
    """Set in every instance, at most 128 KiB each. Values are treated as secrets."""
    instance_type: Annotated[str | None, ROLLS] = None
    """What an instance gets, by name: one of the workspace's `instance_types`, or a common size of
    Azure. Amounts in `resources` override it."""
    instance_count: Annotated[int, Field(ge=1, le=50), CAPACITY] = 1
    """Instances of one job."""
    resources: Annotated[Resources, ROLLS] = Resources()
    mini_batch_size: Annotated[int, Field(ge=1), CAPACITY] = 10
    """Files that one call of `run()` gets."""
    max_concurrency_per_instance: Annotated[int, Field(ge=1), CAPACITY] = 1
    """Calls of `run()` side by side in one instance."""
    retry_settings: Annotated[RetrySettings, CAPACITY] = RetrySettings()
    error_threshold: Annotated[int, Field(ge=-1), CAPACITY] = -1
    """Failed files, over the whole input, at which a job is ended; -1 ends none."""
    output_action: Annotated[Literal["append_row", "summary_only"], CAPACITY] = "append_row"
    """`append_row` writes what `run()` returns to one file; `summary_only` leaves it to `run()`."""
    output_file_name: Annotated[str, Field(min_length=1), CAPACITY] = "predictions.csv"
    """That file; only with `append_row`."""
    logging_level: Annotated[Literal["warning", "info", "debug"], COSMETIC] = "info"
    description: Annotated[str, COSMETIC] = ""
    tags: Annotated[Tags, COSMETIC] = {}

    @model_validator(mode="after")
    def _a_file_name_needs_append_row(self) -> "BatchDeploymentSpec":
        named = self.output_file_name != type(self).model_fields["output_file_name"].default
        if self.output_action == "summary_only" and named:
            raise ValueError(
                "output_file_name has no meaning with output_action: summary_only; leave it out"
            )
        return self


AnyDeployment = Annotated[
    Annotated[DeploymentSpec, Tag("online")] | Annotated[BatchDeploymentSpec, Tag("batch")],
    on_kind("online", "batch"),
]
