"""Resources: what one instance of a deployment asks for and may use."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from inference_provider.spec.base import SpecModel
from inference_provider.spec.gpus import (
    NVIDIA,
    OTHER_VENDORS,
    DeviceClassName,
    DeviceSelectors,
    GpuDevice,
    GpuProduct,
    GpuResource,
    GpuShare,
    MigProfile,
    device_class_fault,
    gpu_fault,
)


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
    device_class: DeviceClassName | None = None
    """A DeviceClass of the cluster, such as `gpu.nvidia.com`: each instance claims as many of its
    devices as `gpu` says (dynamic resource allocation)."""
    device_selectors: DeviceSelectors = ()
    """Which devices of the class will do, all of them true: CEL over `device`."""
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

    @model_validator(mode="after")
    def _one_way_to_get_gpus(self) -> "Resources":
        others = {"gpu_devices": self.gpu_devices, "mig": self.mig, "gpu_share": self.gpu_share}
        if fault := device_class_fault(
            self.device_class, self.device_selectors, self.gpu_resource, others
        ):
            raise ValueError(fault)
        return self
