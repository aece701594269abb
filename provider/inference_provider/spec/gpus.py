"""What GPUs one instance asks for: whole ones, chosen ones, slices, or a share of one. Pure."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

_INDEX_OR_UUID = r"^(\d{1,3}(:\d{1,2})?|(GPU|MIG)-[-a-zA-Z0-9/]+)$"


def _text(value: object) -> object:
    # YAML reads an index as a number; true is one for Python
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


GpuDevice = Annotated[
    str,
    BeforeValidator(_text),
    Field(pattern=_INDEX_OR_UUID),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _INDEX_OR_UUID}]}),
]
"""A GPU, or a slice of one, as `nvidia-smi -L` numbers or names it."""
GpuProduct = Annotated[str, Field(pattern=r"^[a-zA-Z0-9]([- .a-zA-Z0-9]*[a-zA-Z0-9])?$")]
GpuShare = Annotated[str, Field(pattern=r"^[a-zA-Z]([-a-zA-Z0-9]{0,30}[a-zA-Z0-9])?$")]
MigProfile = Annotated[str, Field(pattern=r"^(\d+c\.)?\d+g\.\d+gb(\+[.a-z0-9]+)?$")]
"""`1g.5gb`, `1g.10gb+me`, `1c.3g.20gb`.

Source: docs.nvidia.com/datacenter/tesla/mig-user-guide/mig-device-names.html
"""


NVIDIA: Final = "nvidia.com/gpu"
GpuResource = Literal["nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"]
"""How a cluster names whole GPUs, by whose they are."""
DeviceClassName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
"""Name of a DeviceClass of a cluster: `gpu.nvidia.com`."""
DeviceSelector = Annotated[str, Field(min_length=1, max_length=10 * 1024)]
"""Which devices will do, as CEL: `device.capacity['gpu.nvidia.com'].memory.isGreaterThan(…)`."""
DeviceSelectors = Annotated[tuple[DeviceSelector, ...], Field(max_length=16)]
OTHER_VENDORS = tuple(name for name in get_args(GpuResource) if name != NVIDIA)


class GpuRequest(NamedTuple):
    """What GPUs one instance asks for, of each node that it is on."""

    field: str
    """Where it is written, `resources.limits.gpu`."""
    each: int
    """Whole GPUs or slices that it has alone; 1 of a share."""
    product: str = ""
    devices: tuple[str, ...] = ()
    mig: str = ""
    share: str = ""
    resource: str = NVIDIA
    """Whose whole GPUs these are."""
    device_class: str = ""
    """DeviceClass of a cluster that its devices are claimed of; empty where nodes count GPUs."""
    selectors: tuple[str, ...] = ()
    """What those devices have to be beside, as CEL."""
    nodes: int = 1
    """Over how many nodes an instance is spread; each of them has what `each` says."""


def gpu_fault(
    count: int,
    devices: Collection[str],
    mig: Mapping[str, int],
    share: str | None,
    product: str | None,
) -> str:
    """Say which of the ways to ask for GPUs contradict each other; empty when none do."""
    asked = {"gpu": count, "gpu_devices": devices, "mig": mig, "gpu_share": share}
    found = [name for name, value in asked.items() if value]
    if len(found) > 1:
        return f"{' and '.join(found)} are different requests for GPUs; keep one of them"
    if len(mig) > 1:
        return f"mig has {len(mig)} profiles; an instance gets slices of one, so keep one of them"
    if len({*devices}) < len(devices):
        return "gpu_devices has the same GPU twice; write it once"
    if product and (devices or mig):
        return f"gpu_product has no meaning with {found[0]}, which says which GPUs; leave it out"
    return ""


def device_class_fault(
    device_class: str | None,
    selectors: Collection[str],
    resource: str,
    others: Mapping[str, object],
) -> str:
    """Say what contradicts a DeviceClass; empty when nothing does.

    Args:
        device_class: It; None for none.
        selectors: Which of its devices will do.
        resource: Whose GPUs are counted without one.
        others: The other ways to ask for GPUs, by their field.
    """
    if device_class is None:
        missing = "device_selectors choose devices of a device_class; add one"
        return missing if selectors else ""
    asked = {**others, f"gpu_resource {resource}": resource != NVIDIA}
    if found := next((name for name, value in asked.items() if value), None):
        return f"device_class and {found} are different requests for GPUs; keep one of them"
    return ""


def gpu_request(resources: Mapping[str, Any]) -> GpuRequest | None:
    """Return what the resources of a deployment ask for; None for no GPU.

    Args:
        resources: `resources` of a record, or of a spec dumped: an older release lacks fields.
    """
    devices, mig = tuple(resources.get("gpu_devices") or ()), resources.get("mig") or {}
    product, share = resources.get("gpu_product") or "", resources.get("gpu_share")
    if devices:
        return GpuRequest("resources.gpu_devices", len(devices), devices=devices)
    if share:
        return GpuRequest("resources.gpu_share", 1, product, share=share)
    for profile, count in mig.items():
        return GpuRequest("resources.mig", int(count), mig=profile)
    for field in ("limits", "requests"):
        count = resources[field].get("gpu")
        if count:
            resource = resources.get("gpu_resource") or NVIDIA
            where = f"resources.{field}.gpu"
            found = GpuRequest(where, int(count), product, resource=resource)
            return found._replace(
                device_class=resources.get("device_class") or "",
                selectors=tuple(resources.get("device_selectors") or ()),
            )
    return None
