"""Types of nested arguments, with Azure ML's names; a key that is left out gets its default."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, Required, TypedDict

from pulumi import Input


class LocalPlaceArgs(TypedDict):
    """Processes of this machine."""

    kind: Literal["local"]


class _Docker(TypedDict):
    kind: Literal["docker"]


class DockerPlaceArgs(_Docker, total=False):
    """A Docker host."""

    host: Input[str]
    """`ssh://user@host`, `tcp://host:port` or `unix:///path`; the context's host when left out."""
    context: Input[str]
    """A Docker context; the current one when left out."""


class _Kubernetes(TypedDict):
    kind: Literal["kubernetes"]


class KubernetesPlaceArgs(_Kubernetes, total=False):
    """A namespace of a cluster."""

    context: Input[str]
    """A context of the kubeconfig; the current one when left out."""
    namespace: Input[str]
    """The workspace's name when left out."""


TargetInput = (
    Input[str] | Input[LocalPlaceArgs] | Input[DockerPlaceArgs] | Input[KubernetesPlaceArgs]
)
"""Where a workspace is: a word, or settings with that word as their `kind`."""


class ServiceArgs(TypedDict, total=False):
    """Where the workspace service listens, which gives tokens to callers."""

    port: Required[Input[int]]
    """TCP port, 1 to 65535."""
    bind_address: Input[str]
    """Address; `127.0.0.1` when left out. Any but loopback needs `tls` of the workspace."""
    console: Input[bool]
    """Whether it serves the console too, to who signs in with a token of the workspace."""


class QuotaArgs(TypedDict, total=False):
    """What all deployments of a workspace may use together."""

    max_instances: Input[int]
    """Most instances over all deployments, at least 1."""
    max_gpus: Input[int]
    """Most GPUs handed out over all deployments."""


class ClusterStorageArgs(TypedDict, total=False):
    """Where a cluster keeps a workspace's models, code and environments: a claim, or a bucket."""

    size: Input[str]
    """`20Gi`; on the disk of a node when left out."""
    storage_class: Input[str]
    """The cluster's default class when left out."""
    url: Input[str]
    """A prefix of a bucket instead of a claim: `s3://models/demo`."""
    secret: Input[str]
    """Secret of the workspace's namespace whose keys are variables for the bucket."""
    service_account: Input[str]
    """As whom the bucket is reached."""
    connection: Input[str]
    """A connection of the workspace with the bucket's credentials, instead of a `secret`."""


class ClusterIngressArgs(TypedDict, total=False):
    """An Ingress that leads to the router."""

    host: Required[Input[str]]
    """Under which the router is reached."""
    class_name: Input[str]
    """An IngressClass; the cluster's default when left out."""
    tls_secret: Input[str]
    """Secret with the certificate, in the workspace's namespace."""
    scheme: Input[str]
    """`https` or `http`, of URLs; `https` with a `tls_secret` and `http` without when left out."""
    annotations: Input[Mapping[str, Input[str]]]
    """What the controller takes."""


class ClusterGatewayArgs(TypedDict, total=False):
    """A Gateway of others that leads to the router, by an HTTPRoute."""

    name: Required[Input[str]]
    """Of the Gateway."""
    namespace: Input[str]
    """Of the Gateway; the workspace's when left out."""
    section: Input[str]
    """One listener of it."""
    hostnames: Required[Input[Sequence[Input[str]]]]
    """Under which the router is reached; URLs have the first."""
    scheme: Input[str]
    """`https` when left out, or `http`."""


class ClusterRouterArgs(TypedDict, total=False):
    """The router of a workspace in a cluster."""

    service: Input[str]
    """`ClusterIP`, `NodePort` or `LoadBalancer`."""
    replicas: Input[int]
    """Pods that take requests, at least 1; 2 when left out."""
    ingress: Input[ClusterIngressArgs]
    """An Ingress in front of it."""
    gateway: Input[ClusterGatewayArgs]
    """A Gateway in front of it, instead."""


class ClusterLimitsArgs(TypedDict, total=False):
    """What a container gets that does not say itself, and what one may ask for."""

    default: Input[Mapping[str, Input[str] | Input[int]]]
    """Limits of a container that has none."""
    default_request: Input[Mapping[str, Input[str] | Input[int]]]
    """What a container asks for that does not say."""
    min: Input[Mapping[str, Input[str] | Input[int]]]
    """The least that one may ask for."""
    max: Input[Mapping[str, Input[str] | Input[int]]]
    """The most that one may use."""


class ClusterServiceAccountArgs(TypedDict, total=False):
    """A service account of the workspace's namespace, which deployments name."""

    annotations: Input[Mapping[str, Input[str]]]
    """What a cloud takes it for."""


class ClusterSettingsArgs(TypedDict, total=False):
    """What of a workspace only a cluster has."""

    storage: Input[ClusterStorageArgs]
    """Where content lies."""
    router: Input[ClusterRouterArgs]
    """How many pods of the router there are, and who reaches them."""
    quota: Input[Mapping[str, Input[str] | Input[int]]]
    """Most of each that all pods of the namespace may ask for together."""
    limits: Input[ClusterLimitsArgs]
    """What each container gets and may ask for."""
    service_accounts: Input[Mapping[str, Input[ClusterServiceAccountArgs]]]
    """Service accounts that are made, by name."""
    image_pull_secrets: Input[Sequence[Input[str]]]
    """Secrets of the namespace with the credentials of registries, for all pods."""
    network_policies: Input[str]
    """`enforced` says that the cluster's network plugin enforces NetworkPolicies."""


class RouteArgs(TypedDict):
    """One HTTP route of a server."""

    path: Input[str]
    """Starts with `/`."""
    port: Input[int]
    """1 to 65535; the port in the server's own configuration."""


class InferenceConfigArgs(TypedDict):
    """Routes of a server other than the default one."""

    liveness_route: Input[RouteArgs]
    readiness_route: Input[RouteArgs]
    scoring_route: Input[RouteArgs]


class _BuildFolder(TypedDict):
    path: Input[str] | PathLike[str]
    """Folder, relative to the program's; a `.dockerignore` or `.amlignore` in it counts."""


class BuildContextArgs(_BuildFolder, total=False):
    """A folder with a Dockerfile, of which an image is built."""

    dockerfile_path: Input[str]
    """Path of the Dockerfile inside `path`; `Dockerfile` when left out."""
    stack_file: Input[str]
    """Name of a stack file inside `path`, which does not count as content; `declare` sets it."""


class _CodeFolder(TypedDict):
    code: Input[str] | PathLike[str]
    """Folder, relative to the program's."""


class CodeConfigurationArgs(_CodeFolder, total=False):
    """A folder of Python and the script in it that has `init()` and `run()`."""

    scoring_script: Input[str] | PathLike[str]
    """Path inside `code`; required unless the environment brings a command."""
    stack_file: Input[str]
    """Name of a stack file inside `code`, which does not count as content; `declare` sets it."""


class RequestSettingsArgs(TypedDict, total=False):
    """Limits of one request."""

    request_timeout_ms: Input[int]
    """Total time of one request, milliseconds, 1 to 180000; 5000 when left out."""
    max_concurrent_requests_per_instance: Input[int]
    """At least 1; 1 when left out."""
    max_queue_wait_ms: Input[int]
    """Longest wait in the server's queue, milliseconds; 500 when left out."""
    retry_on_503: Input[bool]
    """Whether to retry a request that was answered 503 on another instance."""


class ProbeArgs(TypedDict, total=False):
    """How often a route is probed and how its answers count; times in seconds."""

    initial_delay: Input[int]
    period: Input[int]
    timeout: Input[int]
    success_threshold: Input[int]
    failure_threshold: Input[int]


class ResourceAmountsArgs(TypedDict, total=False):
    """Amounts as Kubernetes writes them."""

    cpu: Input[str]
    """Cores: `0.5`, `500m`."""
    memory: Input[str]
    """Bytes: `512Mi`, `4Gi`."""
    gpu: Input[int]
    """Whole GPUs per instance, 0 to 16."""


class UlimitArgs(TypedDict, total=False):
    """How much of something one process may use; -1 is as much as it likes."""

    soft: Input[int]
    hard: Input[int]


class ResourcesArgs(TypedDict, total=False):
    """What one instance asks for and may use."""

    requests: Input[ResourceAmountsArgs]
    limits: Input[ResourceAmountsArgs]
    gpu_resource: Input[str]
    """Whose GPUs `gpu` counts, as a cluster names them: `amd.com/gpu`."""
    gpu_product: Input[str]
    """Only GPUs of this product: words of its name, such as `A100`."""
    device_class: Input[str]
    """A DeviceClass of the cluster, of which `gpu` devices are claimed: `gpu.nvidia.com`."""
    device_selectors: Input[Sequence[Input[str]]]
    """Which devices of the class will do, as CEL."""
    gpu_devices: Input[Sequence[Input[str] | Input[int]]]
    """Chosen GPUs for the only instance, by index or UUID."""
    mig: Input[Mapping[str, Input[int]]]
    """Slices of partitioned GPUs by profile: `{"1g.5gb": 1}`."""
    gpu_share: Input[str]
    """Name under which instances share one GPU; nothing isolates their memory or faults."""
    shm_size: Input[str]
    """Most bytes in `/dev/shm`, counted as memory: `4Gi`, `4g`."""
    ulimits: Input[Mapping[str, Input[int] | Input[UlimitArgs]]]
    """What one process may use: `{"nofile": 65536}`, or `soft` and `hard`."""


class TolerationArgs(TypedDict, total=False):
    """A taint of nodes that keeps instances off no more."""

    key: Required[Input[str]]
    value: Input[str]
    """Any value when left out."""
    effect: Input[str]
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`; any when left out."""


class SchedulingArgs(TypedDict, total=False):
    """Where a cluster runs an instance, and as what."""

    priority_class: Input[str]
    """A PriorityClass of the cluster."""
    runtime_class: Input[str]
    """A RuntimeClass of the cluster."""
    service_account: Input[str]
    """As whom it calls the cloud: a service account of the workspace's namespace."""
    node_selector: Input[Mapping[str, Input[str]]]
    """Labels of the nodes that may run it, all of them."""
    tolerations: Input[Sequence[Input[TolerationArgs]]]
    """Taints of nodes that may run it all the same."""
    spread: Input[str]
    """`nodes` or `zones`, as far as there is room."""


class InstanceTypeArgs(TypedDict, total=False):
    """What each instance of a type gets."""

    cpu: Input[str]
    """Cores: `0.5`, `500m`."""
    memory: Input[str]
    """Bytes: `512Mi`, `4Gi`."""
    gpu: Input[int]
    """Whole GPUs, 0 to 16."""
    gpu_resource: Input[str]
    """Whose GPUs, as a cluster names them: `amd.com/gpu`."""
    gpu_product: Input[str]
    """Only GPUs of this product: words of its name, such as `A100`."""
    device_class: Input[str]
    """A DeviceClass of the cluster, of which `gpu` devices are claimed: `gpu.nvidia.com`."""
    device_selectors: Input[Sequence[Input[str]]]
    """Which devices of the class will do, as CEL."""


class CollectionArgs(TypedDict, total=False):
    """One stream of collected data."""

    enabled: Input[bool]


class DataCollectorArgs(TypedDict, total=False):
    """Which inputs and outputs are kept for monitoring."""

    collections: Input[dict[str, Input[CollectionArgs]]]
    sampling_rate: Input[float]
    """Share of requests kept, 0 to 1."""
    rolling_rate: Input[str]
    """How often a new file is started: `minute`, `hour`, `day`, `month` or `year`."""


class TargetRuleArgs(TypedDict):
    """Keep the mean of a metric over all instances near a value."""

    metric: Input[str]
    """`CpuUtilizationPercentage`, `CpuMemoryUtilizationPercentage` or `RequestsInFlight`."""
    target: Input[float]
    """Whole percent of what an instance asks for, or requests in flight for each instance."""


class ScalingPaceArgs(TypedDict, total=False):
    """How fast targets may change the count in one direction."""

    stabilization_s: Input[int]
    """Seconds for which a change has to be right; 0 out and 300 in when left out."""
    max_change: Input[int]
    """Most instances that come, or go, within `period_s`; the target's own pace when left out."""
    period_s: Input[int]
    """60 when left out."""


class MetricRuleArgs(TypedDict, total=False):
    """Change the count when a metric stays beyond a threshold."""

    metric: Input[str]
    """`CpuUtilizationPercentage`, `RequestsPerMinute`, `RequestsQueued`, `RequestLatency`, …"""
    operator: Input[str]
    """`greater_than` or `less_than`."""
    threshold: Input[float]
    percentile: Input[int]
    """Of `RequestLatency` alone, 50 to 99; the mean when left out."""
    window_s: Input[int]
    """Seconds, at least 60; 300 when left out."""
    change: Input[int]
    """Instances added, or removed when negative, once per window."""


class ScheduleRuleArgs(TypedDict, total=False):
    """Other limits during part of the week."""

    cron: Required[Input[str]]
    """When it begins: minute, hour, day of the month, month and day of the week, `30 8 * * 1-5`."""
    duration_s: Required[Input[int]]
    """Seconds, at least 60."""
    time_zone: Input[str]
    """Whose clock `cron` follows, such as `Europe/Berlin`; UTC when left out."""
    min_instances: Required[Input[int]]
    max_instances: Required[Input[int]]
