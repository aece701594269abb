"""The metrics there are: Azure's name, unit and dimensions of each, and what it says. Pure.

Azure's: the page "supported-metrics" of Azure Monitor, of onlineEndpoints and of their deployments.
There a metric is of one endpoint, or of one deployment; here both are dimensions as well.
"""

from dataclasses import dataclass

ENDPOINT, DEPLOYMENT, INSTANCE = "endpoint", "deployment", "instanceId"
STATE, HEALTHY, UNHEALTHY = "State", "Healthy", "Unhealthy"
STATUS, CLASS, MODEL_STATUS = "statusCode", "statusCodeClass", "modelStatusCode"
DISK = "disk"
MILLISECONDS, PERCENT, PER_MINUTE, PER_SECOND, BYTES_PER_SECOND = "ms", "%", "/min", "/s", "B/s"
_OF_DEPLOYMENT = (ENDPOINT, DEPLOYMENT)
_OF_INSTANCE = (*_OF_DEPLOYMENT, INSTANCE)


@dataclass(frozen=True)
class Metric:
    """One thing that is measured."""

    name: str
    """Azure's."""
    unit: str
    dimensions: tuple[str, ...]
    help: str

    @property
    def prometheus(self) -> str:
        """Return its name for Prometheus."""
        return f"{PREFIX}{self.name}"


PREFIX = "inference_"
REQUESTS = Metric(
    "RequestsPerMinute",
    PER_MINUTE,
    (*_OF_DEPLOYMENT, STATUS, CLASS, MODEL_STATUS),
    "Requests answered in a minute; modelStatusCode is what the model gave in place of 424.",
)
LATENCY = Metric(
    "RequestLatency", MILLISECONDS, _OF_DEPLOYMENT, "Mean time until a request is answered whole."
)
PERCENTILES = {
    share: Metric(
        f"RequestLatency_P{share}",
        MILLISECONDS,
        _OF_DEPLOYMENT,
        f"{share} % of the requests were answered in this time or less.",
    )
    for share in (50, 90, 95, 99)
}
NETWORK = Metric(
    "NetworkBytes", BYTES_PER_SECOND, (ENDPOINT,), "Bytes of the bodies of requests and answers."
)
CONNECTIONS = Metric(
    "ConnectionsActive", "", (), "Open connections of clients to the router, of all endpoints."
)
NEW_CONNECTIONS = Metric(
    "NewConnectionsPerSecond", PER_SECOND, (), "Connections that clients opened to the router."
)
CAPACITY = Metric(
    "DeploymentCapacity",
    "",
    (*_OF_DEPLOYMENT, STATE),
    "Instances to which the router sends requests, and those that it would if they were healthy.",
)
CPU = Metric(
    "CpuUtilizationPercentage",
    PERCENT,
    _OF_INSTANCE,
    "Processor time of an instance, of the cpu that it asks for, else of all there is.",
)
MEMORY = Metric(
    "CpuMemoryUtilizationPercentage",
    PERCENT,
    _OF_INSTANCE,
    "Memory of an instance, of the memory that it asks for, else of all there is.",
)
DISK_USED = Metric(
    "DiskUtilization", PERCENT, (*_OF_INSTANCE, DISK), "How full the disk of an instance is."
)
GPU = Metric(
    "GpuUtilizationPercentage",
    PERCENT,
    _OF_INSTANCE,
    "Time in which the GPUs of an instance computed, whoever had them do so: the mean of them.",
)
GPU_MEMORY = Metric(
    "GpuMemoryUtilizationPercentage",
    PERCENT,
    _OF_INSTANCE,
    "How full the memory of the GPUs of an instance is: the mean of them.",
)
CATALOGUE = (
    REQUESTS,
    LATENCY,
    *PERCENTILES.values(),
    NETWORK,
    CONNECTIONS,
    NEW_CONNECTIONS,
    CAPACITY,
    CPU,
    MEMORY,
    DISK_USED,
    GPU,
    GPU_MEMORY,
)
"""In the order in which they are listed."""
