"""Deployment: a model on compute behind one endpoint.

A union on `kind`, which is its endpoint's: online or batch. A serverless endpoint has none.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Tag, model_validator

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
from inference_provider.spec.gpus import (
    NVIDIA,
    OTHER_VENDORS,
    GpuDevice,
    GpuProduct,
    GpuResource,
    GpuShare,
    MigProfile,
    gpu_fault,
)
from inference_provider.spec.names import names, names_asset
from inference_provider.spec.reference import AssetReference
from inference_provider.spec.scheduling import Scheduling


def _no_null_byte(value: SecretStr) -> SecretStr:
    if "\0" in value.get_secret_value():
        raise ValueError("contains a null byte; no environment variable can hold one")
    return value


def _valid_variable_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("not a valid variable name; use no `=` and no null byte")
    return name


def _fits_a_process(variables: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in variables.items():
        fault = argument_fault(f"{name}={value.get_secret_value()}")
        if fault:
            raise ValueError(f"{name} with its value: {fault}")
    return variables


VariableName = Annotated[str, AfterValidator(_valid_variable_name)]
VariableValue = Annotated[SecretStr, AfterValidator(_no_null_byte)]


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


def _some(without: str) -> BeforeValidator:
    """Refuse 0 and less, written as a number too; `without` is what leaving it out means."""

    def more_than_nothing(amount: object) -> object:
        try:
            nothing = float(str(amount).rstrip("mKMGTibkg")) <= 0
        except ValueError:  # no amount at all: the pattern says so
            nothing = False
        if nothing:
            raise ValueError(f"expected more than 0; leave it out for {without}")
        return amount

    return BeforeValidator(more_than_nothing)


_SOME = _some("no limit")
Cpu = Annotated[str, Field(pattern=r"^\d+(\.\d+)?m?$"), _SOME]
Memory = Annotated[str, Field(pattern=r"^\d+(\.\d+)?([KMGT]i?)?$"), _SOME]
GpuCount = Annotated[int, Field(ge=0, le=16)]
_DOCKERS_UNITS = {"b": "", "k": "Ki", "m": "Mi", "g": "Gi"}


def _no_surge(asked: object) -> object:
    if asked != 0 or isinstance(asked, bool):
        raise ValueError(
            "only 0 is known; leave it out, and the old instances serve until the new ones do"
        )
    return 0


def _as_kubernetes_writes_it(amount: str) -> str:
    unit = amount[-1]
    return amount[:-1] + _DOCKERS_UNITS[unit] if unit in _DOCKERS_UNITS else amount


ShmSize = Annotated[
    str,
    Field(pattern=r"^\d+(\.\d+)?([KMGT]i?|[bkmg])?$"),
    AfterValidator(_as_kubernetes_writes_it),
    _some("2 GiB"),
]
UlimitName = Literal[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
]
"""As `docker run --ulimit` and `limits.conf` name them."""
UlimitCount = Annotated[int, Field(ge=-1, le=10**15)]
MIG_PREFIX = "nvidia.com/mig-"
"""How Kubernetes names slices among amounts: `nvidia.com/mig-1g.5gb`."""


def _names_slices(amount: object) -> bool:
    return isinstance(amount, str) and amount.startswith(MIG_PREFIX)


def _of_one_vendor(resources: dict[str, Any], amounts: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return amounts with `gpu` in place of a vendor's name, which then is the `gpu_resource`."""
    named = [name for name in amounts if name in OTHER_VENDORS]
    if not named:
        return dict(amounts)
    known = resources.setdefault("gpu_resource", named[0])
    if len(named) > 1 or known != named[0] or {"gpu", NVIDIA} & amounts.keys():
        raise ValueError(f"{named[0]} and other GPUs are different requests; keep one of them")
    return {"gpu" if name == named[0] else name: count for name, count in amounts.items()}


class ResourceAmounts(SpecModel):
    """Amounts as Kubernetes writes them."""

    cpu: Cpu | None = None
    """Cores: `0.5`, `500m`."""
    memory: Memory | None = None
    """Bytes: `512Mi`, `4Gi`."""
    gpu: GpuCount | None = Field(default=None, alias="nvidia.com/gpu")
    """Whole GPUs per instance; also written `nvidia.com/gpu`."""

    model_config = {"validate_by_name": True, "validate_by_alias": True}


class Ulimit(SpecModel):
    """How much of something one process may use; -1 is as much as it likes."""

    soft: UlimitCount
    """What a process has at its start."""
    hard: UlimitCount
    """Up to what it may raise that itself."""

    @model_validator(mode="before")
    @classmethod
    def _one_number_is_both(cls, value: Any) -> Any:
        return {"soft": value, "hard": value} if isinstance(value, int | str) else value

    @model_validator(mode="after")
    def _soft_is_within_hard(self) -> "Ulimit":
        if self.hard != -1 and not 0 <= self.soft <= self.hard:
            soft = "unlimited" if self.soft == -1 else self.soft
            raise ValueError(f"soft is {soft}, above hard {self.hard}; raise hard, or lower soft")
        return self


class Resources(SpecModel):
    """What one instance asks for and may use."""

    requests: ResourceAmounts = ResourceAmounts()
    limits: ResourceAmounts = ResourceAmounts()
    gpu_resource: GpuResource = NVIDIA
    """Whose GPUs `gpu` counts, as a cluster names them. Also written in place of `gpu`:
    `limits: {amd.com/gpu: 1}`."""
    gpu_product: GpuProduct | None = None
    """Only GPUs of this product, with `gpu` or `gpu_share`: words of the name that `nvidia-smi -L`
    prints, such as `A100` or `A100-SXM4-80GB`."""
    gpu_devices: tuple[GpuDevice, ...] = ()
    """Chosen GPUs instead of any, for the only instance: by index or UUID."""
    mig: dict[MigProfile, Annotated[int, Field(ge=1, le=56)]] = {}
    """Slices of partitioned GPUs for each instance, by their profile: `{1g.5gb: 1}`. Also written
    `nvidia.com/mig-1g.5gb` among the limits."""
    gpu_share: GpuShare | None = None
    """Name under which instances share one GPU: all that say the same. Nothing isolates their
    memory or their faults."""
    shm_size: ShmSize | None = None
    """Most bytes in `/dev/shm`, counted as memory: `4Gi`, or `4g` as in Azure ML's jobs; without it
    2 GiB, Azure ML's own default."""
    ulimits: dict[UlimitName, Ulimit] = {}
    """What one process may use: `{nofile: 65536}`, or `{nofile: {soft: 1024, hard: 65536}}`."""

    @model_validator(mode="before")
    @classmethod
    def _slices_among_the_amounts(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        rest = dict(value)
        written = rest.get("mig")
        found = dict(written) if isinstance(written, Mapping) else {}
        for field in ("requests", "limits"):
            amounts = rest.get(field)
            if not isinstance(amounts, Mapping):
                continue
            amounts = _of_one_vendor(rest, amounts)
            rest[field] = {n: c for n, c in amounts.items() if not _names_slices(n)}
            for name in filter(_names_slices, amounts):
                profile, count = name.removeprefix(MIG_PREFIX), amounts[name]
                if found.setdefault(profile, count) != count:
                    raise ValueError(
                        f"{name} has different numbers in mig, requests or limits; write it once"
                    )
        return {**rest, "mig": found} if found else rest

    @model_validator(mode="after")
    def _one_kind_of_gpu_request(self) -> "Resources":
        count = self.limits.gpu or self.requests.gpu or 0
        fault = gpu_fault(count, self.gpu_devices, self.mig, self.gpu_share, self.gpu_product)
        if fault:
            raise ValueError(fault)
        if self.gpu_resource != NVIDIA and (self.gpu_devices or self.mig or self.gpu_share):
            raise ValueError(f"gpu_resource {self.gpu_resource} is for gpu alone; leave it out")
        return self


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
    code_configuration: Annotated[CodeConfiguration | None, ROLLS] = None
    """Required unless the environment brings its own server."""
    environment_variables: Annotated[
        dict[VariableName, VariableValue], AfterValidator(_fits_a_process), ROLLS
    ] = {}
    """Set in every instance, at most 128 KiB each, except `HOST` and `PORT`, which the target sets.
    Values are treated as secrets: never printed, compared by digest."""
    instance_type: Annotated[str | None, ROLLS] = None
    """What an instance gets, by name: one of the workspace's `instance_types`, or a common size of
    Azure. Amounts in `resources` override it."""
    instance_count: Annotated[int, Field(ge=0, le=50), CAPACITY] = 1
    surge: Annotated[Annotated[Literal[0], BeforeValidator(_no_surge)] | None, CAPACITY] = None
    """`0` ends the old instances before a new generation starts, where there is no room for both,
    such as a full GPU; requests fail meanwhile unless another deployment gets them. New instances
    that do not start give way to the old ones again. One that is replaced by another of its own
    generation ends first too, as one that hangs. Left out, old ones serve until new ones do."""
    resources: Annotated[Resources, ROLLS] = Resources()
    scheduling: Annotated[Scheduling, ROLLS] = Scheduling()
    """On a cluster: where an instance runs, and as what."""
    request_settings: Annotated[RequestSettings, CAPACITY] = RequestSettings()
    liveness_probe: Annotated[Probe, CAPACITY] = Probe()
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
        dict[VariableName, VariableValue], AfterValidator(_fits_a_process), ROLLS
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
